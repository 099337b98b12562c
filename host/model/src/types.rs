//! The record types, one file each: the definition, and the part of a record that programs work with.

mod bundle;
mod execution;
mod file;
mod flow;
mod message;
mod organization;
mod project;
mod role;
mod secret;
mod setting;
mod user;
mod webhook;
mod workspace;

pub use bundle::Bundle;
pub use file::File;
pub use flow::{Flow, FlowMetadata, FlowOptions, FlowVersion};
pub use message::{Message, MessageStatus};
pub use organization::Organization;
pub use project::Project;
pub use role::Role;
pub use secret::Secret;
pub use setting::Setting;
pub use user::{ApiToken, User};
pub use webhook::{Answer, ExecutionLocation, Webhook, WebhookOptions};
pub use workspace::Workspace;

use crate::{RecordType, TypeDefinition};

/// The definition of a record type.
pub fn definition(record_type: RecordType) -> &'static TypeDefinition {
    match record_type {
        RecordType::Bundle => &bundle::DEFINITION,
        RecordType::Execution => &execution::DEFINITION,
        RecordType::File => &file::DEFINITION,
        RecordType::Flow => &flow::DEFINITION,
        RecordType::Message => &message::DEFINITION,
        RecordType::Organization => &organization::DEFINITION,
        RecordType::Project => &project::DEFINITION,
        RecordType::Role => &role::DEFINITION,
        RecordType::Secret => &secret::DEFINITION,
        RecordType::Setting => &setting::DEFINITION,
        RecordType::User => &user::DEFINITION,
        RecordType::Webhook => &webhook::DEFINITION,
        RecordType::Workspace => &workspace::DEFINITION,
    }
}
