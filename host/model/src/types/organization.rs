//! The owner of an installation.

use serde::{Deserialize, Serialize};

use crate::{Body, Home, RecordType, TypeDefinition};

pub(super) static DEFINITION: TypeDefinition = TypeDefinition {
    record_type: RecordType::Organization,
    path: "organization",
    description: "The owner of an installation.",
    home: Home::Workspace,
    can_be_readonly: false,
    is_managed: false,
    is_identity: false,
    properties: &[],
};

/// The owner of an installation.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Organization {}

impl Body for Organization {
    const TYPE: RecordType = RecordType::Organization;
}
