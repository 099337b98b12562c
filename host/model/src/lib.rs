//! The records of flowhost: plain data, no I/O, no async.
//!
//! Everything that the other rooms hand to each other is defined here: identifiers and instants, the records that people
//! make, each with the one definition that validation, API and documentation come from ([`definition`]), and the one that
//! the host makes, the [`Execution`] with its log.

mod execution;
mod filter;
mod id;
mod journal;
mod permission;
mod priority;
mod record;
mod record_type;
mod schema;
mod status;
mod timestamp;
mod types;

pub use execution::{
    Actor, ActorKind, ConcurrencyLimit, Execution, Failure, FlowRef, LogLevel, LogLine, LogSource, RequestRecord,
    WebhookRef,
};
pub use filter::{Comparison, Filter, InvalidFilter, Order};
pub use id::{Digest, InvalidDigest, RecordId};
pub use journal::JournalEntry;
pub use permission::{Operation, Permission, RoleAssignment};
pub use priority::{Priority, UnknownPriority};
pub use record::{Body, InvalidName, Meta, NAME_LIMIT, Record, normalize_name};
pub use record_type::{RecordType, UnknownRecordType};
pub use schema::{
    Access, Class, Home, Kind, LONG_TEXT_BYTES, ORDERED_CHARACTERS, Property, SCHEMA_VERSION, TypeDefinition, is_shared,
};
pub use serde_json::value::RawValue;
pub use status::{Status, UnknownStatus};
pub use timestamp::Timestamp;
pub use types::{
    Answer, ApiToken, Bundle, ExecutionLocation, File, Flow, FlowMetadata, FlowOptions, FlowVersion, Message,
    MessageStatus, Organization, Project, Role, Secret, Setting, User, Webhook, WebhookOptions, Workspace, definition,
};
