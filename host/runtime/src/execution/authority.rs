//! Who may set an execution going, and with whose permissions it runs: the one place that decides.
//!
//! The input of an execution may come from a stranger, so its permissions are its own: they never become those of the person who
//! starts it once more. In return, that person must be allowed, by the token in use, all that the execution may do.
//! `docs/records.md` shows [`Act::ALL`] as a table.

use flowhost_model::{Actor, ActorKind, Execution, RecordId, RecordType};
use flowhost_store::Origin;

use crate::access::Access;
use crate::host::Host;
use crate::identity::Identity;
use crate::problem::{Code, Problem};

/// What sets executions going, apart from the call of a webhook, which its key and its login decide about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// A person starts the same flow once more with the same input.
    Rerun,
    /// A person lets a paused execution go on.
    Resume,
    /// A person makes a paused execution productive, which then goes on.
    SetProductive,
    /// A flow starts itself once more.
    Clone,
    /// A flow starts another flow.
    StartChild,
    /// A person takes a flow, webhook, setting, user or role out of the trash, so that webhooks run again.
    Restore,
}

/// With whose permissions an execution runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RunsAs {
    /// Those that the execution in question has, or had.
    Itself,
    /// Those of the execution that starts it.
    ItsStarter,
    /// Those that its webhook gives: its roles, or those of its user.
    ItsWebhook,
}

impl Act {
    /// All of them.
    #[cfg(test)]
    pub(crate) const ALL: [Self; 6] =
        [Self::Rerun, Self::Resume, Self::SetProductive, Self::Clone, Self::StartChild, Self::Restore];

    /// With whose permissions the executions run that this act sets going.
    pub(crate) const fn runs_as(self) -> RunsAs {
        match self {
            Self::Rerun | Self::Resume | Self::SetProductive => RunsAs::Itself,
            Self::Clone | Self::StartChild => RunsAs::ItsStarter,
            Self::Restore => RunsAs::ItsWebhook,
        }
    }

    /// The act in a sentence about what it takes.
    const fn what(self) -> &'static str {
        match self {
            Self::Rerun => "run this execution again",
            Self::Resume => "resume this execution",
            Self::SetProductive => "make this execution productive",
            Self::Clone => "clone this execution",
            Self::StartChild => "start this child",
            Self::Restore => "restore this",
        }
    }
}

impl Host {
    /// The actor of an execution that `by` sets going; `own` is that of the execution in question, `starter` that of the
    /// execution that acts, if one does.
    ///
    /// Problem: `access.forbidden` if `by` may not do all that it may do.
    pub(crate) fn authorize(
        &self,
        by: &Identity,
        act: Act,
        own: Option<Actor>,
        starter: Option<Actor>,
    ) -> Result<Option<Actor>, Problem> {
        let actor = match act.runs_as() {
            RunsAs::Itself | RunsAs::ItsWebhook => own,
            RunsAs::ItsStarter => starter,
        };
        self.refuse_beyond(by, act, &self.access_of(actor))?;
        Ok(actor)
    }

    /// Refuses an act whose executions may do what `by` may not.
    pub(crate) fn refuse_beyond(&self, by: &Identity, act: Act, access: &Access) -> Result<(), Problem> {
        if by.access.covers(access) {
            return Ok(());
        }
        let (name, what) = (&by.user_name, act.what());
        let detail = format!(
            "`{name}` cannot {what} with this token: what runs then may do more than the token permits; ask a user who may do all of that"
        );
        Err(Problem::new(Code::Forbidden, detail))
    }

    /// With whose permissions an execution runs or ran, and the request behind it as far as it is kept.
    pub(crate) async fn origin(&self, execution: &Execution) -> Result<Origin, Problem> {
        if let Some(live) = self.registry().get(execution.id) {
            let request = live.start.request.as_ref().map(|request| request.to_record());
            return Ok(Origin { actor: live.start.actor, request });
        }
        let mut origin = self.store().execution_origin(execution.id).await?;
        if origin.actor.is_none() && execution.status.is_ended() {
            origin.actor = self.derived_actor(execution.clone()).await?;
        }
        Ok(origin)
    }

    /// The actor of an ended execution that was kept without: by an earlier version, or since it had no actor. It follows
    /// from what started the first of its ancestors.
    async fn derived_actor(&self, mut first: Execution) -> Result<Option<Actor>, Problem> {
        let unknown = || {
            let detail = "an earlier version kept this execution without its permissions, and what started it is deleted; call the webhook anew";
            Problem::new(Code::RecordConflict, detail)
        };
        while let Some(parent) = first.parent_id {
            first = self.store().execution(parent).await?.ok_or_else(unknown)?;
            let kept = self.store().execution_origin(parent).await?.actor;
            if kept.is_some() {
                return Ok(kept);
            }
        }
        let of_user = |kind| first.user_id.map(|id| Actor { kind, id });
        let webhook = first.webhook.as_ref().map(|webhook| webhook.id).filter(|id| first.created_by == Some(*id));
        match webhook {
            None => Ok(of_user(ActorKind::PropagatedUser)),
            Some(id) => match self.store().record(id).await?.ok_or_else(unknown)?.record_type {
                RecordType::Webhook => Ok(Some(Actor { kind: ActorKind::Webhook, id })),
                _ => Ok(of_user(ActorKind::User)),
            },
        }
    }

    /// Refuses to restore a flow that webhooks run again then, with permissions that `by` lacks.
    pub(crate) fn authorize_restored_flow(&self, by: &Identity, flow: RecordId) -> Result<(), Problem> {
        for route in self.snapshot().routes_to(flow) {
            self.authorize(by, Act::Restore, self.route_actor(route), None)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use flowhost_model::{Operation, Permission};

    use super::*;

    /// The table of `docs/records.md`, row by row.
    #[test]
    fn documented_table_is_the_one_in_force() {
        let documentation = include_str!("../../../../docs/records.md");
        for act in Act::ALL {
            let (name, runs_as) = match (act, act.runs_as()) {
                (Act::Rerun, RunsAs::Itself) => ("rerun", "the first execution"),
                (Act::Resume, RunsAs::Itself) => ("resume", "the execution itself"),
                (Act::SetProductive, RunsAs::Itself) => ("set-productive", "the execution itself"),
                (Act::Clone, RunsAs::ItsStarter) => ("clone", "the execution that clones itself"),
                (Act::StartChild, RunsAs::ItsStarter) => ("child", "the execution that starts it"),
                (Act::Restore, RunsAs::ItsWebhook) => ("restore", "the webhooks that run again"),
                (act, other) => panic!("{act:?} runs as {other:?}: what does the documentation say?"),
            };
            let row = format!("| {name} | {runs_as} |");
            assert!(documentation.contains(&row), "docs/records.md lacks `{row}`");
        }
    }

    #[tokio::test]
    async fn every_act_needs_the_permissions_of_what_it_sets_going() {
        let folder = tempfile::tempdir().unwrap();
        let host = Host::builder().data(folder.path()).build().await.unwrap();
        let admin = host.admin();
        let of_admin = Some(Actor { kind: ActorKind::PropagatedUser, id: admin.user_id });
        let reader = Permission { operation: Some(Operation::Read), ..Permission::default() };
        // The administrator by a token that is narrowed.
        let narrowed = Identity { access: Access::new(vec![reader]), ..admin.clone() };
        for act in Act::ALL {
            let (own, starter) = match act.runs_as() {
                RunsAs::Itself | RunsAs::ItsWebhook => (of_admin, None),
                RunsAs::ItsStarter => (None, of_admin),
            };
            assert_eq!(host.authorize(&admin, act, own, starter).unwrap(), of_admin, "{act:?}");
            let refused = host.authorize(&narrowed, act, own, starter).unwrap_err();
            assert_eq!(refused.code, Code::Forbidden, "{act:?}");
            // What may do nothing is set going by everyone who may do the act, and gains nothing by it.
            assert_eq!(host.authorize(&narrowed, act, None, None).unwrap(), None, "{act:?}");
        }
    }
}
