//! With whose permissions an execution acts.

use flowhost_model::{Actor, ActorKind, RecordId, RecordType};

use crate::access::Access;
use crate::execution::Live;
use crate::host::Host;
use crate::identity::Identity;
use crate::problem::Problem;

/// Who gives an execution its permissions.
pub(crate) struct ActingIdentity {
    /// `USER` or `WEBHOOK`.
    pub(crate) record_type: RecordType,
    pub(crate) id: RecordId,
    pub(crate) name: String,
}

impl Host {
    /// The identity that an execution acts as, with the permissions that it has at this moment.
    pub(crate) fn acting(&self, live: &Live) -> Identity {
        let access = self.access_of(live.start.actor);
        let user_id = live.start.actor.map_or_else(|| live.id, |actor| actor.id);
        Identity { user_id, user_name: format!("an execution of {}", live.start.flow.name), access, token: None }
    }

    /// What this actor may do at this moment.
    pub(crate) fn access_of(&self, actor: Option<Actor>) -> Access {
        let snapshot = self.snapshot();
        match actor {
            None => Access::none(),
            Some(Actor { kind: ActorKind::Webhook, id }) => snapshot.access_of(snapshot.webhook_roles(id), true),
            Some(Actor { kind, id }) => match snapshot.user(id) {
                Some(user) => snapshot.access_of(&user.roles, kind == ActorKind::PropagatedUser),
                // It was disabled or deleted.
                None => Access::none(),
            },
        }
    }

    /// Who an execution acts as; none where that is nobody, or somebody who is gone or disabled.
    pub(crate) async fn acting_identity(&self, live: &Live) -> Result<Option<ActingIdentity>, Problem> {
        let Some(Actor { kind, id }) = live.start.actor else { return Ok(None) };
        if kind == ActorKind::Webhook {
            let webhook = self.store().record(id).await?.filter(|webhook| webhook.meta.deleted_at.is_none());
            return Ok(webhook.map(|webhook| ActingIdentity {
                record_type: RecordType::Webhook,
                id,
                name: webhook.meta.name,
            }));
        }
        let user = self.snapshot().user(id).map(|user| user.name.clone());
        Ok(user.map(|name| ActingIdentity { record_type: RecordType::User, id, name }))
    }
}
