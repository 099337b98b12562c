//! A webhook in the record form.

use serde::{Deserialize, Serialize};

use crate::{
    Access, Body, Class, Digest, Home, Kind, Priority, Property, RecordId, RecordType, RoleAssignment, TypeDefinition,
};

pub(super) static DEFINITION: TypeDefinition = TypeDefinition {
    record_type: RecordType::Webhook,
    path: "webhook",
    description: "An address that starts a flow when it is called.",
    home: Home::ProjectOrBundle,
    can_be_readonly: true,
    is_managed: true,
    is_identity: true,
    properties: &[
        Property::new("flow_id", Kind::Id(Some(RecordType::Flow)), "The flow that a call starts.").optional(),
        Property::new("flow_name", Kind::NameOf("flow_id"), "The name of that flow, which sets the id.")
            .optional()
            .class(Class::Import),
        Property::new("is_enabled", Kind::Bool, "Whether it can be called; false unless set.")
            .optional()
            .class(Class::Export),
        Property::new("key", Kind::Text(128), "The key that calls must carry; 16 characters at least. Never read back.")
            .optional()
            .access(Access::WriteOnly)
            .class(Class::Neither),
        Property::new("is_key_required", Kind::Bool, "A key is set.").derived().class(Class::Export),
        Property::new("require_login", Kind::Bool, "Whether calls must carry a login token; false unless set.")
            .optional()
            .class(Class::Export),
        Property::new("is_productive", Kind::Bool, "Productive (true, unless set) or development mode.").optional(),
        Property::new(
            "execution_location",
            Kind::Enum(&["flow_record", "webhook_record", "default_project"]),
            "Which project or bundle its executions belong to; the flow's unless set.",
        )
        .optional(),
        Property::new(
            "options",
            Kind::Object,
            "How calls are answered and limited: `answer`, `wait_ms`, `max_executions`, `max_body_bytes`, `methods`, `priority`, `allow_short_key`.",
        )
        .optional(),
        Property::new("form", Kind::Enum(&["record", "setting"]), "Whether it is a record or a setting.")
            .derived()
            .class(Class::Neither),
        Property::new("user_name", Kind::Text(128), "With whose permissions the flow runs, in the setting form.")
            .derived()
            .class(Class::Neither),
        Property::new(
            "warning",
            Kind::Text(1024),
            "Why calls do not do what the other properties say: the flow is gone, or the user is gone or disabled. Null \
             unless there is such a reason.",
        )
        .derived()
        .class(Class::Neither),
        Property::new("url", Kind::Text(1024), "The path of its address.").derived().class(Class::Export),
        Property::new("has_syntax_error", Kind::Bool, "The flow's active version cannot be run by this host.")
            .derived()
            .class(Class::Export),
        Property::new(
            "has_deprecation",
            Kind::Bool,
            "The flow's active version imports an interface that is deprecated.",
        )
        .derived()
        .class(Class::Export),
    ],
};

/// A webhook in the record form.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Webhook {
    /// The flow that a call starts.
    pub flow_id: RecordId,
    /// Off at creation. A disabled webhook answers like an unknown one.
    #[serde(default)]
    pub is_enabled: Option<bool>,
    /// Productive (true) or development mode (false).
    #[serde(default)]
    pub is_productive: Option<bool>,
    /// Whether calls must carry a login token.
    #[serde(default)]
    pub require_login: Option<bool>,
    /// The digest of the key that calls must carry; none where no key is needed. The key itself is not kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_digest: Option<Digest>,
    /// How calls are answered and limited.
    #[serde(default)]
    pub options: Option<WebhookOptions>,
    /// Which project or bundle its executions belong to.
    #[serde(default)]
    pub execution_location: Option<ExecutionLocation>,
    /// The webhook's roles.
    #[serde(default)]
    pub roles: Vec<RoleAssignment>,
    /// Where records that it makes go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location_inheritance: Option<String>,
}

impl Body for Webhook {
    const TYPE: RecordType = RecordType::Webhook;
}

/// Which project or bundle a webhook's executions belong to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExecutionLocation {
    /// The flow's.
    #[default]
    FlowRecord,
    /// The webhook's.
    WebhookRecord,
    /// The default project.
    DefaultProject,
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
    /// The methods that run the flow; all but HEAD where this is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub methods: Option<Vec<String>>,
    /// The place of its executions among those that wait for a slot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    /// Whether its key may have fewer characters than the host asks for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_short_key: bool,
}
