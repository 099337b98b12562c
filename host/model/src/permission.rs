//! Who may do what.

use serde::{Deserialize, Serialize};

use crate::{RecordId, RecordType};

/// What can be done with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Operation {
    /// Make one.
    Create,
    /// See it, and use it: call a webhook that wants a login, run a flow.
    Read,
    /// Change it.
    Update,
    /// Put it into the trash, restore it, delete it for good.
    Delete,
}

impl Operation {
    /// The name in roles, `CREATE`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Read => "READ",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
        }
    }
}

/// Leave to do something. A part that is unset does not restrict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Permission {
    /// With records of this project only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_id: Option<RecordId>,
    /// With records of this type only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record_type: Option<RecordType>,
    /// This operation only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Operation>,
}

impl Permission {
    /// Whether this permits an operation with a record of a type in a project.
    pub fn allows(&self, operation: Operation, record_type: RecordType, project_id: Option<RecordId>) -> bool {
        self.operation.is_none_or(|own| own == operation)
            && self.record_type.is_none_or(|own| own == record_type)
            && self.project_id.is_none_or(|own| Some(own) == project_id)
    }

    /// Whether this permits all that another permission permits.
    pub fn covers(&self, other: &Self) -> bool {
        fn covers<T: PartialEq>(own: &Option<T>, other: &Option<T>) -> bool {
            own.is_none() || own == other
        }
        covers(&self.operation, &other.operation)
            && covers(&self.record_type, &other.record_type)
            && covers(&self.project_id, &other.project_id)
    }
}

/// A role that an identity has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleAssignment {
    /// The role.
    pub role_id: RecordId,
    /// Whether executions that the identity starts get the role too; otherwise only the identity has it.
    #[serde(default = "yes")]
    pub propagate: bool,
}

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unset_part_does_not_restrict() {
        let project = RecordId::new();
        let read_flows = Permission {
            project_id: Some(project),
            record_type: Some(RecordType::Flow),
            operation: Some(Operation::Read),
        };
        assert!(read_flows.allows(Operation::Read, RecordType::Flow, Some(project)));
        assert!(!read_flows.allows(Operation::Update, RecordType::Flow, Some(project)));
        assert!(!read_flows.allows(Operation::Read, RecordType::Webhook, Some(project)));
        assert!(!read_flows.allows(Operation::Read, RecordType::Flow, Some(RecordId::new())));
        assert!(!read_flows.allows(Operation::Read, RecordType::Flow, None));
        assert!(Permission::default().allows(Operation::Delete, RecordType::User, None));
        assert!(Permission::default().covers(&read_flows));
        assert!(!read_flows.covers(&Permission::default()));
    }
}
