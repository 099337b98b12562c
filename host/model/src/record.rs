//! The records that people make, and what all of them share.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Digest, RecordId, Timestamp};

/// The longest name of a record, in characters.
pub const NAME_LIMIT: usize = 128;

/// The kinds of record that this host keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RecordType {
    /// One installation of the host.
    Workspace,
    /// A flow, with its versions.
    Flow,
    /// A webhook in the record form.
    Webhook,
    /// A named value.
    Setting,
    /// A person.
    User,
}

impl RecordType {
    /// The name in records, `WEBHOOK`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Workspace => "WORKSPACE",
            Self::Flow => "FLOW",
            Self::Webhook => "WEBHOOK",
            Self::Setting => "SETTING",
            Self::User => "USER",
        }
    }
}

/// What every record has, whatever its type.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Meta {
    /// Made by the host.
    pub id: RecordId,
    /// Unique among the records of its type.
    pub name: String,
    /// What this record is for; may have several lines.
    pub description: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// The identity that made it; none for what the host made by itself.
    pub created_by: Option<RecordId>,
    /// When it was last changed.
    pub modified_at: Timestamp,
    /// The identity that last changed it.
    pub modified_by: Option<RecordId>,
}

/// The part of a record that its type defines.
pub trait Body: Serialize + DeserializeOwned + Clone + Send + Sync + 'static {
    /// The type that this body belongs to.
    const TYPE: RecordType;
}

/// A record: the shared part and the part of its type. Its JSON form has both in one object.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(bound = "B: Body")]
pub struct Record<B> {
    /// What every record has.
    #[serde(flatten)]
    pub meta: Meta,
    /// What records of this type have.
    #[serde(flatten)]
    pub body: B,
}

/// One installation of the host. Its name is the client in the addresses of the setting form.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Workspace {}

impl Body for Workspace {
    const TYPE: RecordType = RecordType::Workspace;
}

/// A flow. What it does is in its versions, which never change.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Flow {
    /// The version that new executions run; none until the first is activated.
    pub active_version: Option<u32>,
    /// The digest of that version's component.
    pub digest: Option<Digest>,
}

impl Body for Flow {
    const TYPE: RecordType = RecordType::Flow;
}

/// One version of a flow. Immutable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowVersion {
    /// The flow.
    pub flow_id: RecordId,
    /// Counted from 1 within the flow.
    pub version: u32,
    /// Names the component's bytes.
    pub digest: Digest,
    /// The component's size in bytes.
    pub size: u64,
    /// When it was uploaded.
    pub created_at: Timestamp,
    /// Who uploaded it.
    pub created_by: Option<RecordId>,
}

/// A webhook in the record form.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Webhook {
    /// The flow that a call starts.
    pub flow_id: RecordId,
    /// Off at creation. A disabled webhook answers like an unknown one.
    pub is_enabled: bool,
    /// Productive (true) or development mode (false).
    pub is_productive: bool,
    /// The digest of the key that calls must carry; none where no key is needed. The key itself is not kept.
    pub key_digest: Option<Digest>,
    /// How calls are answered and limited.
    #[serde(default)]
    pub options: WebhookOptions,
}

impl Body for Webhook {
    const TYPE: RecordType = RecordType::Webhook;
}

/// What an answer to a successful synchronous call holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// The whole execution.
    #[default]
    Execution,
    /// The output object alone.
    Outputs,
    /// What the flow put through the response interface.
    Flow,
}

/// How calls of a webhook are answered and limited. What is absent takes the host's default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookOptions {
    /// What the answer to a successful synchronous call holds.
    #[serde(default)]
    pub answer: Answer,
    /// How long a synchronous call waits for the end of its execution, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_ms: Option<u64>,
    /// The most executions of this webhook at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_executions: Option<u32>,
    /// The largest body, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_body_bytes: Option<u64>,
}

/// A named value. One named `client.webhook.<name>` is a webhook in the setting form.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Setting {
    /// The value; a webhook's `key` is not in it.
    pub value: Value,
    /// The digest of a webhook's key; none where the setting is no webhook or has no key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_digest: Option<Digest>,
}

impl Body for Setting {
    const TYPE: RecordType = RecordType::Setting;
}

/// A person, or a program that acts as one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct User {
    /// A disabled user can neither log in nor lend permissions.
    pub is_enabled: bool,
    /// The digests of the tokens that authorise as this user. The tokens themselves are not kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub token_digests: Vec<Digest>,
}

impl Body for User {
    const TYPE: RecordType = RecordType::User;
}

/// Why a text cannot be a record's name.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// Nothing is left of it without its blanks.
    #[error("a name must not be empty")]
    Empty,
    /// It has more than [`NAME_LIMIT`] characters.
    #[error("a name has at most {NAME_LIMIT} characters")]
    TooLong,
    /// It holds a control character.
    #[error("a name must not hold control characters")]
    Control,
}

/// The name as it is kept: without blanks at its ends.
pub fn normalize_name(name: &str) -> Result<&str, InvalidName> {
    let name = name.trim();
    if name.is_empty() {
        Err(InvalidName::Empty)
    } else if name.chars().count() > NAME_LIMIT {
        Err(InvalidName::TooLong)
    } else if name.chars().any(char::is_control) {
        Err(InvalidName::Control)
    } else {
        Ok(name)
    }
}

impl<B: Body> Record<B> {
    /// A new record, made now by `by`.
    pub fn new(name: &str, by: Option<RecordId>, body: B) -> Result<Self, InvalidName> {
        let now = Timestamp::now();
        let name = normalize_name(name)?.to_owned();
        let meta = Meta {
            id: RecordId::new(),
            name,
            description: None,
            created_at: now,
            created_by: by,
            modified_at: now,
            modified_by: by,
        };
        Ok(Self { meta, body })
    }

    /// The JSON object of the type's own part.
    pub fn body_object(&self) -> Result<Map<String, Value>, serde_json::Error> {
        match serde_json::to_value(&self.body)? {
            Value::Object(object) => Ok(object),
            _ => Err(serde::ser::Error::custom("a record's body is a JSON object")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_their_outer_blanks_and_have_a_limit() {
        assert_eq!(normalize_name("  signup "), Ok("signup"));
        assert_eq!(normalize_name(" \t"), Err(InvalidName::Empty));
        assert_eq!(normalize_name(&"é".repeat(128)).map(str::len), Ok(256));
        assert_eq!(normalize_name(&"é".repeat(129)), Err(InvalidName::TooLong));
        assert_eq!(normalize_name("a\nb"), Err(InvalidName::Control));
    }
}
