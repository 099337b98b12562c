//! A collection of records that travels between installations.

use serde::{Deserialize, Serialize};

use crate::{Body, Home, RecordType, TypeDefinition};

pub(super) static DEFINITION: TypeDefinition = TypeDefinition {
    record_type: RecordType::Bundle,
    path: "bundle",
    description: "A collection of records that travels between installations.",
    home: Home::Workspace,
    can_be_readonly: true,
    is_managed: true,
    is_identity: false,
    properties: &[],
};

/// A collection of records that travels between installations.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Bundle {}

impl Body for Bundle {
    const TYPE: RecordType = RecordType::Bundle;
}
