//! A flow, and the versions of it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Body, Class, Digest, Home, Kind, Priority, Property, RecordId, RecordType, Timestamp, TypeDefinition};

pub(super) static DEFINITION: TypeDefinition = TypeDefinition {
    record_type: RecordType::Flow,
    path: "flow",
    description: "A flow. What it does is in its versions, which never change.",
    home: Home::ProjectOrBundle,
    can_be_readonly: true,
    is_managed: true,
    is_identity: false,
    properties: &[
        Property::new("active_version", Kind::Count, "The version that new executions run.")
            .read_only()
            .class(Class::Export),
        Property::new("digest", Kind::Text(71), "The digest of that version's component.")
            .read_only()
            .class(Class::Export),
        Property::new("metadata", Kind::Object, "What that version says about itself: `title`, `description`, `input_schema`, `output_schema`, `hosts`, `secrets`.")
            .read_only()
            .class(Class::Export),
        Property::new(
            "options",
            Kind::Object,
            "How its executions are queued and limited, and where they may send requests: `priority`, `max_executions`, \
             `http_allow`, `validate_input`.",
        )
        .optional(),
        Property::new("has_syntax_error", Kind::Bool, "The active version cannot be run by this host.")
            .derived()
            .class(Class::Export),
        Property::new("has_deprecation", Kind::Bool, "The active version imports an interface that is deprecated.")
            .derived()
            .class(Class::Export),
    ],
};

/// A flow. What it does is in its versions, which never change.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Flow {
    /// The version that new executions run; none until the first is activated.
    #[serde(default)]
    pub active_version: Option<u32>,
    /// The digest of that version's component.
    #[serde(default)]
    pub digest: Option<Digest>,
    /// What that version says about itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<FlowMetadata>,
    /// How its executions are queued and limited.
    #[serde(default)]
    pub options: Option<FlowOptions>,
}

/// How a flow's executions are queued and limited. What is absent is not limited.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlowOptions {
    /// Their place among those that wait for a slot, unless the webhook or the starting flow says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    /// The most executions of this flow that run at once. More wait for their turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_executions: Option<u32>,
    /// Where its executions may send requests, as far as the host permits it: lines such as
    /// `GET,POST https://*.example.com:8443`. Nowhere unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_allow: Option<Vec<String>>,
    /// Whether it is run only on input that fits the `input_schema` of its metadata. Of a webhook call that is the payload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validate_input: Option<bool>,
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
    /// What it says about itself; none where it says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<FlowMetadata>,
}

/// What a flow says about itself, in its component.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowMetadata {
    /// What it is, in few words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What it does, for whoever wants to use it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The JSON Schema of the payload that it takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_schema: Option<Value>,
    /// The JSON Schema of its outputs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<Value>,
    /// Where it sends requests: lines as in `http_allow`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// The names of the secrets that it uses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
}
