//! One installation of the host; its name is the client in the addresses of the setting form.

use serde::{Deserialize, Serialize};

use crate::{Body, Home, RecordType, TypeDefinition};

pub(super) static DEFINITION: TypeDefinition = TypeDefinition {
    record_type: RecordType::Workspace,
    path: "workspace",
    description: "One installation of the host; its name is the client in the addresses of the setting form.",
    home: Home::Workspace,
    can_be_readonly: false,
    is_managed: false,
    is_identity: true,
    properties: &[],
};

/// One installation of the host; its name is the client in the addresses of the setting form.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Workspace {}

impl Body for Workspace {
    const TYPE: RecordType = RecordType::Workspace;
}
