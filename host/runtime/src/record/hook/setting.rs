//! Settings, and the webhooks that some of them are.

use flowhost_model::{Digest, Operation, Record, RecordId, RecordType, Setting, User};
use flowhost_store::StoredRecord;
use serde_json::{Map, Value, json};

use super::webhook::check_webhook_name;
use super::{Draft, refuse};
use crate::host::Host;
use crate::identity::Identity;
use crate::problem::{Code, Problem};
use crate::record::binding::BOUND;
use crate::record::service::may_read;
use crate::setting::{MASK, WEBHOOK_PREFIX, take_key};

/// The value as it is read: the key of a webhook is masked.
pub(super) fn masked_value(body: &Map<String, Value>) -> Value {
    let mut value = body.get("value").cloned().unwrap_or(Value::Null);
    if let (true, Value::Object(members)) = (body.contains_key("key_digest"), &mut value) {
        members.insert("key".into(), MASK.into());
    }
    value
}

impl Host {
    /// Checks a webhook's value, takes the key out of it, and sees to it that it lends no more than the writer has.
    pub(super) async fn prepare_setting(
        &self,
        by: &Identity,
        draft: &mut Draft,
        former: Option<&StoredRecord>,
    ) -> Result<(), Problem> {
        let was_webhook = former.is_some_and(|former| former.meta.name.starts_with(WEBHOOK_PREFIX));
        let Some(name) = draft.meta.name.strip_prefix(WEBHOOK_PREFIX) else {
            if was_webhook {
                self.permit(by, Operation::Delete, RecordType::Webhook, draft.meta.project_id)?;
                draft.body.shift_remove(BOUND);
            }
            // The key stays with the value that it was written with: under a webhook's name again, it is not open to all.
            if draft.touched.contains(&"value") {
                draft.body.shift_remove("key_digest");
            }
            draft.body.entry("value").or_insert(Value::Null);
            return Ok(());
        };
        check_webhook_name("name", name)?;
        self.permit(by, Operation::Create, RecordType::Webhook, draft.meta.project_id)?;
        let former_key = former.and_then(|former| serde_json::from_str::<Map<String, Value>>(&former.body).ok());
        let former_key = former_key.and_then(|body| body.get("key_digest").cloned());
        let former_key: Option<Digest> = former_key.and_then(|digest| serde_json::from_value(digest).ok());
        let value = draft.body.entry("value").or_insert(Value::Null);
        // A value that is not written anew has no key in it; the digest beside it stays.
        let is_read_before = was_webhook || former_key.is_some();
        if draft.touched.contains(&"value") || !is_read_before {
            match take_key(value, former_key)? {
                Some(digest) => draft.body.insert("key_digest".into(), json!(digest)),
                None => draft.body.shift_remove("key_digest"),
            };
        }
        let text = |member: &str| draft.body.get("value").and_then(|value| value.get(member)).and_then(Value::as_str);
        let flow = self.named_flow(by, text("flow_name").unwrap_or_default()).await?;
        let user = text("user_name");
        self.refuse_lending(by, user.unwrap_or_default()).await?;
        draft.body.insert(BOUND.into(), json!(flow));
        Ok(())
    }

    /// Deleting a setting that is a webhook takes the webhook away.
    pub(super) fn refuse_deleted_setting(&self, by: &Identity, stored: &StoredRecord) -> Result<(), Problem> {
        match stored.meta.name.starts_with(WEBHOOK_PREFIX) {
            true => self.permit(by, Operation::Delete, RecordType::Webhook, stored.meta.project_id),
            false => Ok(()),
        }
    }

    /// Taking a setting that is a webhook out of the trash makes the webhook again.
    pub(super) async fn refuse_restored_setting(&self, by: &Identity, stored: &StoredRecord) -> Result<(), Problem> {
        if !stored.meta.name.starts_with(WEBHOOK_PREFIX) {
            return Ok(());
        }
        self.permit(by, Operation::Create, RecordType::Webhook, stored.meta.project_id)?;
        let setting: Record<Setting> = stored.clone().into_record()?;
        let text = |member: &str| setting.body.value.get(member).and_then(Value::as_str).unwrap_or_default();
        self.named_flow(by, text("flow_name")).await?;
        self.refuse_lending(by, text("user_name")).await
    }

    /// The flow of this name, if there is one already. The writer must be allowed to run it.
    async fn named_flow(&self, by: &Identity, flow_name: &str) -> Result<Option<RecordId>, Problem> {
        let flow = self.store().record_by_name(RecordType::Flow, flow_name).await?;
        match flow {
            Some(flow) if !may_read(by, &flow) => {
                let detail = format!("`flow_name`: you have no permission READ for the flow `{flow_name}`");
                Err(Problem::new(Code::Forbidden, detail))
            }
            flow => Ok(flow.map(|flow| flow.meta.id)),
        }
    }

    /// The flow runs with the permissions of that user, who must be the writer or hold no more than the writer.
    async fn refuse_lending(&self, by: &Identity, user_name: &str) -> Result<(), Problem> {
        let stored = self.store().record_by_name(RecordType::User, user_name).await?;
        let missing = || {
            let hint = "create it with `flowhost user create NAME`";
            refuse("user_name", format!("there is no user named `{user_name}`; {hint}"))
        };
        let stored = stored.ok_or_else(missing)?;
        let user = stored.into_record::<User>()?;
        if !user.body.is_enabled() {
            return Err(refuse("user_name", format!("the user `{user_name}` is disabled")));
        }
        // Also where it is the writer: a token may be narrowed to some of its user's roles.
        if !by.access.covers(&self.snapshot().access_of(&user.body.roles, false)) {
            let detail = format!("`user_name`: `{user_name}` may do more than you may; name yourself, or ask them");
            return Err(Problem::new(Code::Forbidden, detail));
        }
        Ok(())
    }
}
