//! A set of permissions.

use serde::{Deserialize, Serialize};

use crate::{Body, Home, Kind, Permission, Property, RecordType, TypeDefinition};

pub(super) static DEFINITION: TypeDefinition = TypeDefinition {
    record_type: RecordType::Role,
    path: "role",
    description: "A set of permissions.",
    home: Home::Bundle,
    can_be_readonly: true,
    is_managed: true,
    is_identity: false,
    properties: &[Property::new(
        "permissions",
        Kind::Array,
        "A list of objects with `project_id`, `record_type` and `operation` (CREATE, READ, UPDATE, DELETE); what is unset does not restrict.",
    )],
};

/// A set of permissions.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Role {
    /// What the role permits.
    #[serde(default)]
    pub permissions: Vec<Permission>,
}

impl Body for Role {
    const TYPE: RecordType = RecordType::Role;
}
