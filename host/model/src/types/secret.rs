//! A named value that the host keeps encrypted.

use serde::{Deserialize, Serialize};

use crate::{Access, Body, Class, Home, Kind, Property, RecordType, TypeDefinition};

pub(super) static DEFINITION: TypeDefinition = TypeDefinition {
    record_type: RecordType::Secret,
    path: "secret",
    description: "A named value that the host keeps encrypted. It is never read back.",
    home: Home::ProjectOrBundle,
    can_be_readonly: true,
    is_managed: true,
    is_identity: false,
    properties: &[
        Property::new("value", Kind::LongText, "The value, a text of 8 bytes to 64 KiB; `null` takes it away.")
            .optional()
            .access(Access::WriteOnly)
            .class(Class::Neither),
        Property::new(
            "hosts",
            Kind::Array,
            "The hosts that outgoing requests may carry the value to: `api.example.com`, or `*.example.com` for all below it. None unless set.",
        )
        .optional(),
        Property::new("is_readable", Kind::Bool, "Whether flows may read the value itself; false unless set.").optional(),
        Property::new("is_set", Kind::Bool, "It has a value.").derived().class(Class::Export),
        Property::new("is_available", Kind::Bool, "The host has the key that the value is sealed with.")
            .derived()
            .class(Class::Neither),
        Property::new("key_id", Kind::Text(16), "Which key the value is sealed with.").read_only().class(Class::Neither),
    ],
};

/// A named value that the host keeps encrypted.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Secret {
    /// The hosts that outgoing requests may carry the value to.
    #[serde(default)]
    pub hosts: Option<Vec<String>>,
    /// Whether flows may read the value itself.
    #[serde(default)]
    pub is_readable: Option<bool>,
    /// Names the key that the value is sealed with; none where there is no value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_id: Option<String>,
    /// The encrypted value, in base64; none where there is no value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed: Option<String>,
}

impl Body for Secret {
    const TYPE: RecordType = RecordType::Secret;
}
