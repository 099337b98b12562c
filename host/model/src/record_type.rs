//! The kinds of record.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The kinds of record that this host keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RecordType {
    /// A collection of records that travels between installations.
    Bundle,
    /// One run of a flow.
    Execution,
    /// A named blob.
    File,
    /// A flow, with its versions.
    Flow,
    /// A question of an execution to a person.
    Message,
    /// The owner of an installation.
    Organization,
    /// A group of records with a common purpose.
    Project,
    /// A set of permissions.
    Role,
    /// A named value that the host keeps encrypted.
    Secret,
    /// A named value.
    Setting,
    /// A person, or a program that acts as one.
    User,
    /// A webhook in the record form.
    Webhook,
    /// One installation of the host.
    Workspace,
}

impl RecordType {
    /// Every type that this host keeps.
    pub const ALL: [Self; 13] = [
        Self::Bundle,
        Self::Execution,
        Self::File,
        Self::Flow,
        Self::Message,
        Self::Organization,
        Self::Project,
        Self::Role,
        Self::Secret,
        Self::Setting,
        Self::User,
        Self::Webhook,
        Self::Workspace,
    ];

    /// The names of all types of the modelled system, whether or not this host keeps such records, and `SECRET`: what that
    /// system leaves to vaults elsewhere, this host keeps itself.
    pub const NAMES: &'static [&'static str] = &[
        "BUNDLE",
        "BUNDLE_REPOSITORY",
        "CONNECTOR",
        "CUSTOM_OBJECT",
        "DEVOLUTIONS_CONFIG",
        "EXECUTION",
        "FILE",
        "FLOW",
        "LDAP_CONFIG",
        "MESSAGE",
        "OAUTH",
        "OBJECT_TEMPLATE",
        "ORGANIZATION",
        "PLUGIN",
        "PROCESS",
        "PROJECT",
        "ROLE",
        "SCHEDULE",
        "SCHEDULER",
        "SCHEMA",
        "SECRET",
        "SETTING",
        "SYNC_CONFIG",
        "TAG",
        "USER",
        "VAULT_CONFIG",
        "WEBHOOK",
        "WORKSPACE",
        "WRAPPER",
    ];

    /// The name in records, `WEBHOOK`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bundle => "BUNDLE",
            Self::Execution => "EXECUTION",
            Self::File => "FILE",
            Self::Flow => "FLOW",
            Self::Message => "MESSAGE",
            Self::Organization => "ORGANIZATION",
            Self::Project => "PROJECT",
            Self::Role => "ROLE",
            Self::Secret => "SECRET",
            Self::Setting => "SETTING",
            Self::User => "USER",
            Self::Webhook => "WEBHOOK",
            Self::Workspace => "WORKSPACE",
        }
    }
}

impl fmt::Display for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text names no type of record.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a type of record")]
pub struct UnknownRecordType(String);

impl FromStr for RecordType {
    type Err = UnknownRecordType;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|known| known.as_str() == text).ok_or_else(|| UnknownRecordType(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_a_known_name() {
        for record_type in RecordType::ALL {
            assert!(RecordType::NAMES.contains(&record_type.as_str()));
            assert_eq!(record_type.as_str().parse::<RecordType>().unwrap(), record_type);
        }
    }
}
