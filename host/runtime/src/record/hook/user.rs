//! Users.

use flowhost_model::{Record, User};
use flowhost_store::StoredRecord;
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
        if let Some(password) = draft.secrets.remove("password") {
            if let Some(former) = former {
                self.refuse_impersonation(by, "password", former)?;
            }
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
        // Webhooks in the setting form name their user: whoever takes a name takes their executions along. A new user needs no
        // such check, since its roles are checked themselves.
        if let Some(former) = former.filter(|former| former.meta.name != draft.meta.name) {
            self.refuse_impersonation(by, "name", former)?;
        }
        if draft.body.get("email").and_then(Value::as_str).is_some_and(|email| !email.contains('@')) {
            return Err(refuse("email", "must be an address of mail"));
        }
        Ok(())
    }

    /// Whoever decides how a user is reached, by which password or name, must be allowed all that the user may do.
    pub(super) fn refuse_impersonation(&self, by: &Identity, place: &str, user: &StoredRecord) -> Result<(), Problem> {
        let held: Record<User> = user.clone().into_record()?;
        if by.access.covers(&self.snapshot().access_of(&held.body.roles, false)) {
            return Ok(());
        }
        let detail = format!("`{place}`: `{}` may do more than you may", user.meta.name);
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
