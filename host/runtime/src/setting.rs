//! Settings: named values, and the webhooks that some of them are.

use flowhost_model::{Digest, Meta, Record, RecordId, RecordType, Setting, WebhookOptions};
use flowhost_store::{Expected, RecordWrite, StoredRecord, Write};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::host::Host;
use crate::identity::Identity;
use crate::problem::{Code, Problem};
use crate::record::check_webhook_name;
use crate::webhook;

/// A setting of this name and more is a webhook.
pub(crate) const WEBHOOK_PREFIX: &str = "client.webhook.";

/// What stands for a key when a setting is read back. Written back, it keeps the key.
const MASK: &str = "********";

/// The longest key, in characters.
pub(crate) const KEY_LIMIT: usize = 128;

/// The largest value of a setting, as text in bytes.
const VALUE_LIMIT: usize = 1 << 20;

/// The value of a setting that is a webhook, without its key.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WebhookSetting {
    pub(crate) flow_name: String,
    pub(crate) user_name: String,
    #[serde(default)]
    pub(crate) key: Option<String>,
    #[serde(default)]
    pub(crate) mode: Mode,
    #[serde(default)]
    pub(crate) options: WebhookOptions,
}

/// The mode of a webhook in the setting form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) enum Mode {
    /// Development mode.
    #[serde(rename = "dev", alias = "development")]
    Development,
    /// Productive mode.
    #[default]
    #[serde(rename = "productive", alias = "prod")]
    Productive,
}

impl Mode {
    pub(crate) fn is_productive(self) -> bool {
        self == Self::Productive
    }
}

impl WebhookSetting {
    pub(crate) fn from_value(value: &Value) -> Result<Self, serde_json::Error> {
        Self::deserialize(value)
    }
}

/// A setting as it is read: the key of a webhook is masked.
#[derive(Clone, Debug, Serialize)]
pub struct SettingView {
    /// What every record has.
    #[serde(flatten)]
    pub meta: Meta,
    /// The value.
    pub value: Value,
}

impl SettingView {
    fn of(setting: Record<Setting>) -> Self {
        let mut value = setting.body.value;
        if let (Some(_), Value::Object(members)) = (setting.body.key_digest, &mut value) {
            members.insert(webhook_key().into(), MASK.into());
        }
        Self { meta: setting.meta, value }
    }
}

/// The member that holds a webhook's key.
fn webhook_key() -> &'static str {
    "key"
}

fn invalid(detail: impl Into<String>) -> Problem {
    Problem::new(Code::RecordInvalid, detail)
}

/// A setting's value from its text: JSON, or else YAML, which every JSON text is as well but for its numbers.
fn parse_value(text: &str) -> Result<Value, Problem> {
    if text.len() > VALUE_LIMIT {
        return Err(Problem::new(Code::TooLarge, format!("a setting's value has at most {VALUE_LIMIT} bytes")));
    }
    if let Ok(value) = serde_json::from_str(text) {
        return Ok(value);
    }
    serde_saphyr::from_str(text).map_err(|error| invalid(format!("the value is neither JSON nor YAML: {error}")))
}

/// Checks a webhook's value and takes the key out of it.
fn take_key(value: &mut Value, former: Option<Digest>) -> Result<Option<Digest>, Problem> {
    let webhook = WebhookSetting::from_value(value).map_err(|error| {
        let fields = "`flow_name`, `user_name`, `key` (optional), `mode: dev` (optional) and `options` (optional)";
        invalid(format!("a webhook's setting has {fields}: {error}"))
    })?;
    if webhook.options.answer == flowhost_model::Answer::Flow {
        return Err(invalid("`options.answer: flow` needs the response interface, which this version does not have"));
    }
    let written = value.as_object_mut().and_then(|members| members.shift_remove(webhook_key()));
    match webhook.key.as_deref() {
        // A key that came out empty, of a template for example, must not open the webhook to everybody.
        None if written.is_some() => Err(invalid("`key`: it is empty; leave it out for a webhook without a key")),
        None => Ok(None),
        Some(MASK) if former.is_none() => {
            Err(invalid(format!("`key`: {MASK} stands for the key that a setting has, and this one has none")))
        }
        Some(MASK) => Ok(former),
        Some(key) => Ok(Some(check_key(key)?)),
    }
}

/// The digest of a key that may be set.
pub(crate) fn check_key(key: &str) -> Result<Digest, Problem> {
    if key.is_empty() {
        return Err(invalid("`key`: it must not be empty"));
    }
    if key.chars().count() > KEY_LIMIT {
        return Err(invalid(format!("`key`: it has at most {KEY_LIMIT} characters")));
    }
    Ok(webhook::key_digest(key.as_bytes()))
}

impl Host {
    /// Creates the setting of this name, or replaces its value, which is given as JSON or YAML text.
    ///
    /// A name that begins with `client.webhook.` makes a webhook: its value must have `flow_name` and `user_name`.
    pub async fn set_setting(&self, by: &Identity, name: &str, text: &str) -> Result<SettingView, Problem> {
        let name = flowhost_model::normalize_name(name)?;
        let mut value = parse_value(text)?;
        let _writing = self.writing().await;
        let store = self.store();
        let former = store.record_by_name(RecordType::Setting, name).await?;
        let (mut setting, expected) = match former {
            Some(stored) => {
                let expected = Expected::Revision(stored.revision);
                (stored.into_record::<Setting>()?, expected)
            }
            None => {
                let body = Setting { value: Value::Null, key_digest: None };
                (Record::new(name, Some(by.user_id), body)?, Expected::Absent)
            }
        };
        if let Some(webhook) = name.strip_prefix(WEBHOOK_PREFIX) {
            if webhook.is_empty() {
                return Err(invalid(format!("`{name}`: after the last dot the webhook's name is missing")));
            }
            check_webhook_name(webhook)?;
            setting.body.key_digest = take_key(&mut value, setting.body.key_digest)?;
            let user = value.get("user_name").and_then(Value::as_str).unwrap_or_default();
            if !self.snapshot().has_user(user) {
                let hint = "create it with `flowhost user create NAME`";
                return Err(invalid(format!("`user_name`: there is no user named `{user}`; {hint}")));
            }
        }
        setting.body.value = value;
        setting.meta.modified_at = flowhost_model::Timestamp::now();
        setting.meta.modified_by = Some(by.user_id);
        let record = StoredRecord::from_record(&setting)?;
        store.write(vec![Write::Record(RecordWrite { record: record.clone(), expected })]).await?;
        self.apply(record)?;
        Ok(SettingView::of(setting))
    }

    /// The setting with this id.
    pub async fn setting(&self, id: RecordId) -> Result<SettingView, Problem> {
        Ok(SettingView::of(self.record(id).await?))
    }

    /// All settings, by name.
    pub async fn settings(&self) -> Result<Vec<SettingView>, Problem> {
        Ok(self.records().await?.into_iter().map(SettingView::of).collect())
    }

    /// Removes a setting. Where it was a webhook, calls are answered as if there had never been one.
    pub async fn delete_setting(&self, id: RecordId) -> Result<(), Problem> {
        self.delete_record::<Setting>(id).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_briefs_setting_is_understood() {
        let mut value = parse_value("flow_name: signup\nuser_name: kevin\nkey: my-secret-api-key\n").unwrap();
        let key = take_key(&mut value, None).unwrap();
        assert_eq!(key, Some(webhook::key_digest(b"my-secret-api-key")));
        assert_eq!(value.to_string(), r#"{"flow_name":"signup","user_name":"kevin"}"#);
    }

    #[test]
    fn a_masked_key_keeps_the_former() {
        let mut value = parse_value(r#"{"flow_name":"f","user_name":"u","key":"********","mode":"dev"}"#).unwrap();
        let former = Some(Digest([1; 32]));
        assert_eq!(take_key(&mut value, former).unwrap(), former);
        assert!(!WebhookSetting::from_value(&value).unwrap().mode.is_productive());
    }

    #[test]
    fn neither_an_empty_key_nor_a_mask_of_none_opens_a_webhook() {
        for key in ["", "''", "null", "'********'"] {
            let mut value = parse_value(&format!("flow_name: f\nuser_name: u\nkey: {key}\n")).unwrap();
            let refused = take_key(&mut value, None).unwrap_err();
            assert!(refused.detail.contains("`key`"), "{}", refused.detail);
        }
    }

    #[test]
    fn a_wrong_value_is_refused_with_what_is_wrong() {
        let refused = |text: &str| parse_value(text).and_then(|mut value| take_key(&mut value, None)).unwrap_err();
        assert!(refused("flow_name: f\nuser_name: u\nmood: dev").detail.contains("mood"));
        assert!(refused("flow_name: f").detail.contains("user_name"));
        assert!(refused("- a").detail.contains("flow_name"));
        let unclosed = refused("flow_name: \"f\nuser_name: u\n");
        assert_eq!(unclosed.code, Code::RecordInvalid);
        assert!(unclosed.detail.contains("line"), "{}", unclosed.detail);
    }
}
