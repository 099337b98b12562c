//! A named value.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Body, Digest, Home, Kind, Property, RecordId, RecordType, TypeDefinition};

pub(super) static DEFINITION: TypeDefinition = TypeDefinition {
    record_type: RecordType::Setting,
    path: "setting",
    description: "A named value. One named `client.webhook.<name>` is a webhook in the setting form.",
    home: Home::ProjectOrBundle,
    can_be_readonly: true,
    is_managed: true,
    is_identity: false,
    properties: &[Property::new("value", Kind::Json, "The value; a webhook's `key` is masked.").optional()],
};

/// A named value. One named `client.webhook.<name>` is a webhook in the setting form.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Setting {
    /// The value; a webhook's `key` is not in it.
    #[serde(default)]
    pub value: Value,
    /// The digest of a webhook's key; none where the setting is no webhook or has no key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_digest: Option<Digest>,
    /// The flow that a webhook runs, if it has the name in `value` at the time of the call. The host writes it when a
    /// user who may lend the webhook's user to the flow gives a flow this name, or the setting this value; `None` before that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow_id: Option<RecordId>,
}

impl Body for Setting {
    const TYPE: RecordType = RecordType::Setting;
}
