//! With whose permissions an execution acts.

use flowhost_model::{Actor, ActorKind};

use crate::access::Access;
use crate::execution::Live;
use crate::host::Host;
use crate::identity::Identity;

impl Host {
    /// The identity that an execution acts as, with the permissions that it has at this moment.
    pub(crate) fn acting(&self, live: &Live) -> Identity {
        let snapshot = self.snapshot();
        let access = match live.start.actor {
            None => Access::none(),
            Some(Actor { kind: ActorKind::Webhook, id }) => snapshot.access_of(snapshot.webhook_roles(id), true),
            Some(Actor { kind, id }) => match snapshot.user(id) {
                Some(user) => snapshot.access_of(&user.roles, kind == ActorKind::PropagatedUser),
                // It was disabled or deleted.
                None => Access::none(),
            },
        };
        let user_id = live.start.actor.map_or_else(|| live.id, |actor| actor.id);
        Identity { user_id, user_name: format!("an execution of {}", live.start.flow.name), access }
    }
}
