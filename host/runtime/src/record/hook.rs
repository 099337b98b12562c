//! What is special to a type: checked when it is written, worked out when it is read.

mod file;
mod flow;
mod role;
mod secret;
mod setting;
mod user;
mod webhook;

use flowhost_model::{RecordType, Role, RoleAssignment};
use flowhost_store::StoredRecord;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::draft::{Draft, refuse};
use crate::access::Access;
use crate::bootstrap::DEFAULT_PROJECT;
use crate::host::Host;
use crate::identity::{ADMIN, ADMIN_ROLE, Identity};
use crate::problem::{Code, Problem};

pub(crate) use file::{JSON_LIMIT, told};
use flow::flow_problem;
pub(crate) use webhook::check_options;

/// A role as a request assigns it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Assigned {
    #[serde(default)]
    role_id: Option<flowhost_model::RecordId>,
    #[serde(default)]
    role_name: Option<String>,
    #[serde(default = "yes")]
    propagate: bool,
}

fn yes() -> bool {
    true
}

impl Host {
    /// Lets the type check the draft and turn what is never read back into what is kept.
    pub(crate) async fn prepare_draft(
        &self,
        by: &Identity,
        draft: &mut Draft,
        former: Option<&StoredRecord>,
    ) -> Result<(), Problem> {
        if let Some(former) = former {
            self.refuse_fixed_change(former, draft)?;
        }
        if draft.definition.is_identity && draft.touches("roles") {
            self.prepare_roles(by, draft).await?;
        }
        match draft.definition.record_type {
            RecordType::File => file::prepare(draft, former, self.limits().file_bytes),
            RecordType::Flow => flow::prepare(draft),
            RecordType::Role => self.prepare_role(by, draft, former).await,
            RecordType::Secret => self.prepare_secret(draft),
            RecordType::Setting => self.prepare_setting(by, draft, former).await,
            RecordType::User => self.prepare_user(by, draft, former).await,
            RecordType::Webhook => self.prepare_webhook(by, draft, former),
            _ => Ok(()),
        }
    }

    /// Lets the type refuse a deletion.
    pub(crate) async fn check_deletion(&self, by: &Identity, stored: &StoredRecord) -> Result<(), Problem> {
        match stored.record_type {
            // Each user who has the role loses what it permits.
            RecordType::Role => self.refuse_foreign_role(by, stored),
            RecordType::Setting => self.refuse_deleted_setting(by, stored),
            RecordType::User => self.refuse_foreign_account(by, "user", stored).await,
            _ => Ok(()),
        }
    }

    /// Lets the type refuse a restoration: what comes back may lend what its restorer does not have.
    pub(crate) async fn check_restoration(&self, by: &Identity, stored: &StoredRecord) -> Result<(), Problem> {
        match stored.record_type {
            // Webhooks run it again.
            RecordType::Flow => self.authorize_restored_flow(by, stored.meta.id),
            RecordType::Role => self.refuse_foreign_role(by, stored),
            RecordType::Setting => self.refuse_restored_setting(by, stored).await,
            // A webhook in the setting form may name this user by now.
            RecordType::User => self.refuse_foreign_account(by, "user", stored).await,
            RecordType::Webhook => self.refuse_restored_webhook(by, stored),
            _ => Ok(()),
        }
    }

    /// The value of a property that the type works out.
    pub(crate) fn derived_property(
        &self,
        name: &str,
        stored: &StoredRecord,
        body: &Map<String, Value>,
    ) -> Option<Value> {
        match (stored.record_type, name) {
            (RecordType::Flow, _) => self.flow_property(name, stored.meta.id),
            (RecordType::Secret, _) => self.secret_property(name, stored.meta.id, body),
            (RecordType::Setting, "value") => Some(setting::masked_value(body)),
            (RecordType::User, _) => self.user_property(name, stored, body),
            (RecordType::Webhook, _) => self.webhook_property(name, stored, body),
            _ => None,
        }
    }

    /// Refuses to remove what the host cannot do without.
    pub(crate) fn refuse_fixed(&self, stored: &StoredRecord) -> Result<(), Problem> {
        let is_fixed = match stored.record_type {
            RecordType::Project => stored.meta.name == DEFAULT_PROJECT,
            RecordType::Role => stored.meta.name == ADMIN_ROLE,
            RecordType::User => stored.meta.name == ADMIN,
            _ => false,
        };
        if is_fixed {
            return Err(Problem::new(Code::RecordReadonly, format!("`{}` cannot be removed", stored.meta.name)));
        }
        Ok(())
    }

    /// Refuses to rename what the host finds by its name, and to change what keeps the administrator one.
    fn refuse_fixed_change(&self, former: &StoredRecord, draft: &Draft) -> Result<(), Problem> {
        let is_renamed = former.meta.name != draft.meta.name;
        let refused = match former.record_type {
            RecordType::Workspace if is_renamed => Some("the workspace's name is set by `flowhost serve --workspace`"),
            RecordType::Role if former.meta.name == ADMIN_ROLE => Some("the role of the administrator is fixed"),
            RecordType::User
                if former.meta.name == ADMIN
                    && (is_renamed || draft.touches("roles") || draft.touches("is_enabled")) =>
            {
                Some("the administrator stays one")
            }
            RecordType::Project if former.meta.name == DEFAULT_PROJECT && is_renamed => {
                Some("the default project keeps its name")
            }
            _ => None,
        };
        match refused {
            Some(reason) => Err(Problem::new(Code::RecordReadonly, reason)),
            None => Ok(()),
        }
    }

    /// Turns the roles of a request into assignments. Nobody lends more than they have.
    async fn prepare_roles(&self, by: &Identity, draft: &mut Draft) -> Result<(), Problem> {
        let assigned = draft.body.get("roles").cloned().unwrap_or(Value::Null);
        let assigned: Option<Vec<Assigned>> =
            serde_json::from_value(assigned).map_err(|error| refuse("roles", error))?;
        let mut assignments = Vec::new();
        for (index, assigned) in assigned.unwrap_or_default().into_iter().enumerate() {
            let place = format!("roles[{index}]");
            let stored = match (assigned.role_id, &assigned.role_name) {
                (Some(id), None) => self.store().record(id).await?,
                (None, Some(name)) => self.store().record_by_name(RecordType::Role, name.trim()).await?,
                _ => return Err(refuse(&place, "name the role, by either `role_id` or `role_name`")),
            };
            let stored =
                stored.filter(|stored| stored.record_type == RecordType::Role && stored.meta.deleted_at.is_none());
            let stored = stored.ok_or_else(|| refuse(&place, "there is no such role"))?;
            let (role_id, name) = (stored.meta.id, stored.meta.name.clone());
            let role = stored.into_record::<Role>()?;
            if !by.access.covers(&role.body.permissions.into_iter().collect::<Access>()) {
                let detail = format!("`{place}`: the role `{name}` permits more than you may yourself");
                return Err(Problem::new(Code::Forbidden, detail));
            }
            assignments.push(RoleAssignment { role_id, propagate: assigned.propagate });
        }
        draft.body.insert("roles".into(), json!(assignments));
        Ok(())
    }
}
