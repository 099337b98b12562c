//! Records as they are managed: read, created, changed, deleted.

use flowhost_model::{
    Answer, Body, Flow, Meta, Record, RecordId, RecordType, Setting, Timestamp, Webhook, WebhookOptions,
};
use flowhost_store::{Expected, RecordWrite, StoredRecord, Write};
use serde::{Deserialize, Deserializer, Serialize};

use crate::host::Host;
use crate::identity::Identity;
use crate::problem::{Code, Problem};
use crate::setting::{WEBHOOK_PREFIX, WebhookSetting, check_key};

/// A webhook to create.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewWebhook {
    /// The name; a part of the address.
    pub name: String,
    /// The name of the flow that a call starts.
    #[serde(default)]
    pub flow_name: Option<String>,
    /// Its id, in place of the name.
    #[serde(default)]
    pub flow_id: Option<RecordId>,
    /// The key that calls must carry.
    #[serde(default)]
    pub key: Option<String>,
    /// Productive mode, unless false.
    #[serde(default = "yes")]
    pub is_productive: bool,
    /// Whether it can be called at once.
    #[serde(default)]
    pub is_enabled: bool,
    /// What it is for.
    #[serde(default)]
    pub description: Option<String>,
    /// How calls are answered and limited.
    #[serde(default)]
    pub options: WebhookOptions,
}

fn yes() -> bool {
    true
}

/// A change of a webhook. What is absent stays as it is.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookChange {
    /// Whether it can be called.
    #[serde(default)]
    pub is_enabled: Option<bool>,
    /// Productive or development mode.
    #[serde(default)]
    pub is_productive: Option<bool>,
    /// Another key, or `null` for none.
    #[serde(default, deserialize_with = "present")]
    pub key: Option<Option<String>>,
    /// Another flow.
    #[serde(default)]
    pub flow_name: Option<String>,
    /// Another description, or `null` for none.
    #[serde(default, deserialize_with = "present")]
    pub description: Option<Option<String>>,
    /// Other options, all of them.
    #[serde(default)]
    pub options: Option<WebhookOptions>,
}

/// Tells `null` from absence.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// A webhook as it is read, in either form.
#[derive(Clone, Debug, Serialize)]
pub struct WebhookView {
    /// What every record has; of the setting, where it is one.
    #[serde(flatten)]
    pub meta: Meta,
    /// `record` or `setting`.
    pub form: &'static str,
    /// The flow that a call starts; none where it does not exist (any more).
    pub flow_id: Option<RecordId>,
    /// Its name.
    pub flow_name: Option<String>,
    /// With whose permissions the flow runs; the setting form only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_name: Option<String>,
    /// Whether it can be called.
    pub is_enabled: bool,
    /// Whether calls must carry a key.
    pub is_key_required: bool,
    /// Productive or development mode.
    pub is_productive: bool,
    /// How calls are answered and limited.
    pub options: WebhookOptions,
    /// The path of its address.
    pub url: String,
}

fn invalid(detail: impl Into<String>) -> Problem {
    Problem::new(Code::RecordInvalid, detail)
}

/// Whether this can be a segment of an address: clients resolve dots away before they call.
pub(crate) fn check_webhook_name(name: &str) -> Result<(), Problem> {
    if name.contains('/') || matches!(name.trim(), "call" | "." | "..") {
        return Err(invalid("`name`: it is a part of the address, so it has no `/` and is not `call`, `.` or `..`"));
    }
    Ok(())
}

fn check_options(options: &WebhookOptions) -> Result<(), Problem> {
    if options.answer == Answer::Flow {
        return Err(invalid("`options.answer`: `flow` needs the response interface, which this version does not have"));
    }
    if options.max_executions == Some(0) {
        return Err(invalid("`options.max_executions`: it is at least 1; to stop calls, disable the webhook"));
    }
    Ok(())
}

/// The path of a segment: what is not plain is percent-encoded.
fn encode_segment(segment: &str) -> String {
    segment.bytes().fold(String::with_capacity(segment.len()), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
        encoded
    })
}

impl Host {
    /// The record with this id, where it is of the type `B`.
    pub async fn record<B: Body>(&self, id: RecordId) -> Result<Record<B>, Problem> {
        let stored = self.store().record(id).await?.filter(|stored| stored.record_type == B::TYPE);
        Ok(stored.ok_or_else(|| missing::<B>(&id.to_string()))?.into_record()?)
    }

    /// All records of a type, by name.
    pub async fn records<B: Body>(&self) -> Result<Vec<Record<B>>, Problem> {
        let stored = self.store().records(B::TYPE).await?;
        stored.into_iter().map(|stored| Ok(stored.into_record()?)).collect()
    }

    /// The id of the record of this type and name.
    pub async fn id_by_name<B: Body>(&self, name: &str) -> Result<RecordId, Problem> {
        let stored = self.store().record_by_name(B::TYPE, name.trim()).await?;
        Ok(stored.ok_or_else(|| missing::<B>(name))?.meta.id)
    }

    pub(crate) async fn delete_record<B: Body>(&self, id: RecordId) -> Result<(), Problem> {
        let _writing = self.writing().await;
        self.record::<B>(id).await?;
        self.store().write(vec![Write::DeleteRecord(id)]).await?;
        self.forget(id);
        Ok(())
    }

    /// Creates a webhook. It is disabled unless asked for otherwise.
    pub async fn create_webhook(&self, by: &Identity, webhook: NewWebhook) -> Result<WebhookView, Problem> {
        check_webhook_name(&webhook.name)?;
        check_options(&webhook.options)?;
        let flow_id = match (webhook.flow_id, webhook.flow_name.as_deref()) {
            (Some(id), None) => self.record::<Flow>(id).await?.meta.id,
            (None, Some(name)) => self.flow_named(name)?,
            _ => return Err(invalid("name the flow, by either `flow_name` or `flow_id`")),
        };
        let body = Webhook {
            flow_id,
            is_enabled: webhook.is_enabled,
            is_productive: webhook.is_productive,
            key_digest: webhook.key.as_deref().map(check_key).transpose()?,
            options: webhook.options,
        };
        let mut record = Record::new(&webhook.name, Some(by.user_id), body)?;
        record.meta.description = webhook.description;
        let _writing = self.writing().await;
        self.write_webhook(record, Expected::Absent).await
    }

    /// Changes a webhook of the record form.
    pub async fn change_webhook(
        &self,
        by: &Identity,
        id: RecordId,
        change: WebhookChange,
    ) -> Result<WebhookView, Problem> {
        let _writing = self.writing().await;
        let stored = self.store().record(id).await?;
        if stored.as_ref().is_some_and(|stored| {
            stored.record_type == RecordType::Setting && stored.meta.name.starts_with(WEBHOOK_PREFIX)
        }) {
            return Err(invalid("this webhook is a setting; change it there, with `flowhost setting set`"));
        }
        let stored = stored.filter(|stored| stored.record_type == RecordType::Webhook);
        let stored = stored.ok_or_else(|| missing::<Webhook>(&id.to_string()))?;
        let expected = Expected::Revision(stored.revision);
        let mut record: Record<Webhook> = stored.into_record()?;
        let WebhookChange { is_enabled, is_productive, key, flow_name, description, options } = change;
        if let Some(name) = flow_name {
            record.body.flow_id = self.flow_named(&name)?;
        }
        if let Some(options) = options {
            check_options(&options)?;
            record.body.options = options;
        }
        if let Some(key) = key {
            record.body.key_digest = key.as_deref().map(check_key).transpose()?;
        }
        if let Some(description) = description {
            record.meta.description = description;
        }
        record.body.is_enabled = is_enabled.unwrap_or(record.body.is_enabled);
        record.body.is_productive = is_productive.unwrap_or(record.body.is_productive);
        record.meta.modified_at = Timestamp::now();
        record.meta.modified_by = Some(by.user_id);
        self.write_webhook(record, expected).await
    }

    /// Removes a webhook of the record form.
    pub async fn delete_webhook(&self, id: RecordId) -> Result<(), Problem> {
        self.delete_record::<Webhook>(id).await
    }

    /// The webhook with this id, in either form.
    pub async fn webhook(&self, id: RecordId) -> Result<WebhookView, Problem> {
        let webhooks = self.webhooks().await?;
        webhooks.into_iter().find(|webhook| webhook.meta.id == id).ok_or_else(|| missing::<Webhook>(&id.to_string()))
    }

    /// The webhook with this name; one of the record form wins.
    pub async fn webhook_by_name(&self, name: &str) -> Result<WebhookView, Problem> {
        let webhooks = self.webhooks().await?;
        webhooks.into_iter().find(|webhook| webhook.meta.name == name).ok_or_else(|| missing::<Webhook>(name))
    }

    /// All webhooks: those of the record form by name, then those of the setting form.
    pub async fn webhooks(&self) -> Result<Vec<WebhookView>, Problem> {
        let records: Vec<Record<Webhook>> = self.records().await?;
        let settings: Vec<Record<Setting>> = self.records().await?;
        let records = records.into_iter().map(|record| self.view_of_record(record));
        let settings = settings.into_iter().filter_map(|setting| self.view_of_setting(setting));
        Ok(records.chain(settings).collect())
    }

    async fn write_webhook(&self, webhook: Record<Webhook>, expected: Expected) -> Result<WebhookView, Problem> {
        let record = StoredRecord::from_record(&webhook)?;
        self.store().write(vec![Write::Record(RecordWrite { record: record.clone(), expected })]).await?;
        self.apply(record)?;
        Ok(self.view_of_record(webhook))
    }

    fn flow_named(&self, name: &str) -> Result<RecordId, Problem> {
        let hint = "deploy it first, with `flowhost deploy FILE --name NAME`";
        let missing = || invalid(format!("`flow_name`: there is no flow named `{name}`; {hint}"));
        self.snapshot().flow_id(name).ok_or_else(missing)
    }

    fn view_of_record(&self, webhook: Record<Webhook>) -> WebhookView {
        let body = webhook.body;
        WebhookView {
            form: "record",
            flow_id: Some(body.flow_id),
            flow_name: self.snapshot().flow_name(body.flow_id).map(str::to_owned),
            user_name: None,
            is_enabled: body.is_enabled,
            is_key_required: body.key_digest.is_some(),
            is_productive: body.is_productive,
            options: body.options,
            url: format!("/api/latest/webhook/{}/call", encode_segment(&webhook.meta.name)),
            meta: webhook.meta,
        }
    }

    fn view_of_setting(&self, setting: Record<Setting>) -> Option<WebhookView> {
        let name = setting.meta.name.strip_prefix(WEBHOOK_PREFIX)?.to_owned();
        let webhook = WebhookSetting::from_value(&setting.body.value).ok()?;
        let workspace = encode_segment(&self.info().workspace);
        let url = format!("/api/latest/webhook/{workspace}/{}", encode_segment(&name));
        Some(WebhookView {
            form: "setting",
            flow_id: self.snapshot().flow_id(&webhook.flow_name),
            flow_name: Some(webhook.flow_name),
            user_name: Some(webhook.user_name),
            is_enabled: true,
            is_key_required: setting.body.key_digest.is_some(),
            is_productive: webhook.mode.is_productive(),
            options: webhook.options,
            url,
            meta: Meta { name, ..setting.meta },
        })
    }
}

fn missing<B: Body>(name: &str) -> Problem {
    let kind = B::TYPE.as_str().to_lowercase();
    Problem::new(Code::RecordNotFound, format!("there is no {kind} `{name}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_encoded_unless_it_is_plain() {
        assert_eq!(encode_segment("sign-up_1.a~"), "sign-up_1.a~");
        assert_eq!(encode_segment("a b/é"), "a%20b%2F%C3%A9");
    }
}
