//! Users.

use flowhost_model::{Operation, Record, RecordType, Role, RoleAssignment, User};
use flowhost_store::StoredRecord;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Draft, refuse};
use crate::activity::Deed;
use crate::host::Host;
use crate::identity::Identity;
use crate::problem::{Code, Problem};

impl Host {
    /// Turns a password into its hash. A new one ends the sessions that there are.
    pub(super) async fn prepare_user(
        &self,
        by: &Identity,
        draft: &mut Draft,
        former: Option<&StoredRecord>,
    ) -> Result<(), Problem> {
        if draft.body.get("is_enabled").is_none_or(Value::is_null) {
            draft.body.insert("is_enabled".into(), Value::Bool(true));
        }
        if let Some(former) = former {
            self.refuse_foreign_change(by, draft, former).await?;
        }
        if let Some(password) = draft.secrets.remove("password") {
            match password {
                Value::String(password) => {
                    let hash = self.passwords().hash(password).await?;
                    draft.body.insert("password_hash".into(), Value::String(hash));
                }
                _ => {
                    draft.body.shift_remove("password_hash");
                }
            }
            draft.body.insert("sessions_valid_from".into(), json!(self.now()));
        }
        if draft.body.get("email").and_then(Value::as_str).is_some_and(|email| !email.contains('@')) {
            return Err(refuse("email", "must be an address of mail"));
        }
        Ok(())
    }

    /// Refuses a change of what a user may do or how it is reached, by whom that is not for. Notes which roles it loses.
    async fn refuse_foreign_change(
        &self,
        by: &Identity,
        draft: &mut Draft,
        former: &StoredRecord,
    ) -> Result<(), Problem> {
        let held: Record<User> = former.clone().into_record()?;
        let roles = draft.body.get("roles").map(Vec::<RoleAssignment>::deserialize).transpose();
        let roles = roles.map_err(|error| refuse("roles", error))?.unwrap_or_default();
        let lost: Vec<RoleAssignment> = held.body.roles.iter().filter(|role| !roles.contains(role)).copied().collect();
        let is_enabled = draft.body.get("is_enabled").and_then(Value::as_bool).unwrap_or(true);
        let email = draft.body.get("email").and_then(Value::as_str);
        let may_update = by.access.may(Operation::Update, RecordType::User, None);
        let is_own = by.user_id == former.meta.id && !may_update;
        let guarded = [
            ("password", draft.secrets.contains_key("password")),
            // Webhooks in the setting form name their user: the user who takes a name takes their executions along.
            ("name", former.meta.name != draft.meta.name),
            ("email", held.body.email.as_deref() != email),
            ("is_enabled", held.body.is_enabled() != is_enabled),
            ("roles", !lost.is_empty()),
            // All else that an identity changes of its own, it changes with all that it may do.
            ("description", is_own),
        ];
        if let Some((place, _)) = guarded.into_iter().find(|(_, is_changed)| *is_changed) {
            self.refuse_foreign_account(by, place, former).await?;
        }
        let mut former_roles = held.body.former_roles;
        for role in lost.iter().map(|lost| lost.role_id).filter(|lost| roles.iter().all(|role| role.role_id != *lost)) {
            if !former_roles.contains(&role) {
                former_roles.push(role);
            }
        }
        if !former_roles.is_empty() {
            draft.body.insert("former_roles".into(), json!(former_roles));
        }
        Ok(())
    }

    /// A person who decides whether and how a user is reached, by which password, name or token, must be allowed all that the user
    /// may do, and could do before a role was taken away: it may be given back. Users themselves need all that they may do,
    /// which a narrowed token does not permit.
    pub(crate) async fn refuse_foreign_account(
        &self,
        by: &Identity,
        place: &str,
        user: &StoredRecord,
    ) -> Result<(), Problem> {
        let held: Record<User> = user.clone().into_record()?;
        let former = if by.user_id == user.meta.id { &[][..] } else { &held.body.former_roles[..] };
        let roles = held.body.roles.iter().map(|role| &role.role_id).chain(former);
        let mut permissions = Vec::new();
        for role in roles {
            // Also from the trash, where it waits to be restored.
            if let Some(role) = self.store().record(*role).await? {
                permissions.extend(role.into_record::<Role>()?.body.permissions);
            }
        }
        if by.access.covers(&permissions.into_iter().collect()) {
            return Ok(());
        }
        let name = &user.meta.name;
        let detail = if by.user_id == user.meta.id {
            format!("`{place}`: the token permits less than you may; log in, or use a token that is not narrowed")
        } else {
            format!("`{place}`: `{name}` may do more than you may, or could before; ask a user who may do all of that")
        };
        Err(Problem::new(Code::Forbidden, detail))
    }

    pub(super) fn user_property(&self, name: &str, stored: &StoredRecord, body: &Map<String, Value>) -> Option<Value> {
        Some(match name {
            "is_enabled" => json!(body.get(name).and_then(Value::as_bool).unwrap_or(true)),
            "has_password" => json!(body.contains_key("password_hash")),
            "is_locked_out" => json!(self.is_locked_out(&stored.meta.name)),
            "last_login" => json!(self.activities().last(Deed::Login, stored.meta.id)),
            _ => return None,
        })
    }
}
