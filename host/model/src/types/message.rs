//! A question to a person, with a form for the answer. Messages are made by flows; people answer them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Access, Body, Class, Home, Kind, Property, RecordId, RecordType, Timestamp, TypeDefinition};

const fn shown(name: &'static str, kind: Kind, description: &'static str) -> Property {
    Property::new(name, kind, description).access(Access::ReadOnly).optional().class(Class::Neither)
}

pub(super) static DEFINITION: TypeDefinition = TypeDefinition {
    record_type: RecordType::Message,
    path: "message",
    description: "A question of an execution to a person.",
    home: Home::ProjectOrBundle,
    can_be_readonly: false,
    is_managed: false,
    is_identity: false,
    properties: &[
        shown("subject", Kind::Text(256), "What it is about, in a line."),
        shown("text", Kind::LongText, "What it says, as Markdown."),
        shown("form", Kind::Json, "The JSON Schema that the response fits; none where any JSON does."),
        shown("recipient_id", Kind::Id(Some(RecordType::User)), "The user who alone may respond, if it is for one."),
        shown("recipient_name", Kind::Text(128), "The name of that user when it was sent."),
        shown("status", Kind::Enum(MessageStatus::NAMES), "Whether it can be responded to."),
        shown("response", Kind::Json, "The response."),
        shown("responded_by", Kind::Id(Some(RecordType::User)), "The user who responded."),
        shown("responder_name", Kind::Text(128), "The name of that user when it was answered."),
        shown("responded_at", Kind::Timestamp, "When that was."),
        shown("execution_id", Kind::Id(Some(RecordType::Execution)), "The execution that asks."),
    ],
};

/// Whether a message can be responded to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum MessageStatus {
    /// It can.
    Open,
    /// Somebody did.
    Answered,
    /// Its execution does not want it any more, or has ended.
    Closed,
}

impl MessageStatus {
    /// The names of all statuses.
    pub const NAMES: &'static [&'static str] = &["OPEN", "ANSWERED", "CLOSED"];
}

/// A question of an execution to a person.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Message {
    /// What it is about, in a line.
    pub subject: String,
    /// What it says, as Markdown.
    #[serde(default)]
    pub text: Option<String>,
    /// The JSON Schema that the response fits; none where any JSON does.
    #[serde(default)]
    pub form: Option<Value>,
    /// The user who alone may respond.
    #[serde(default)]
    pub recipient_id: Option<RecordId>,
    /// The name of that user when it was sent.
    #[serde(default)]
    pub recipient_name: Option<String>,
    /// Whether it can be responded to.
    pub status: MessageStatus,
    /// The response of an answered one. JSON's null is none here.
    #[serde(default)]
    pub response: Option<Value>,
    /// Who responded.
    #[serde(default)]
    pub responded_by: Option<RecordId>,
    /// The name of that user when it was answered.
    #[serde(default)]
    pub responder_name: Option<String>,
    /// When that was.
    #[serde(default)]
    pub responded_at: Option<Timestamp>,
    /// The execution that asks.
    pub execution_id: RecordId,
}

impl Body for Message {
    const TYPE: RecordType = RecordType::Message;
}
