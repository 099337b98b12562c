//! A group of records with a common purpose.

use serde::{Deserialize, Serialize};

use crate::{Body, Home, RecordType, TypeDefinition};

pub(super) static DEFINITION: TypeDefinition = TypeDefinition {
    record_type: RecordType::Project,
    path: "project",
    description: "A group of records with a common purpose.",
    home: Home::Workspace,
    can_be_readonly: true,
    is_managed: true,
    is_identity: false,
    properties: &[],
};

/// A group of records with a common purpose.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Project {}

impl Body for Project {
    const TYPE: RecordType = RecordType::Project;
}
