//! The records of flowhost: plain data, no I/O, no async.
//!
//! Everything that the other rooms hand to each other is defined here: identifiers and instants, the records that people
//! make, each with the one definition that validation, API and documentation come from ([`definition`]), and the one that
//! the host makes, the [`Execution`] with its log.

mod bounded_text;
mod execution;
mod filter;
mod id;
mod journal;
mod json_memory;
mod name;
mod permission;
mod priority;
mod record;
mod record_type;
mod schema;
mod share;
mod status;
mod timestamp;
mod types;
mod visible;

pub use bounded_text::{bounded_line, bounded_text};
pub use execution::{
    Actor, ActorKind, ConcurrencyLimit, Execution, Failure, FlowRef, LogLevel, LogLine, LogSource, RequestRecord,
    WebhookRef,
};
pub use filter::{Comparison, Filter, InvalidFilter, Order};
pub use id::{Digest, InvalidDigest, RecordId};
pub use journal::JournalEntry;
pub use json_memory::{json_memory, yaml_memory};
pub use name::{InvalidName, NAME_LIMIT, composed, normalize_name, refuse_look_alikes};
pub use permission::{Operation, Permission, RoleAssignment};
pub use priority::{Priority, UnknownPriority};
pub use record::{Body, Meta, Record};
pub use record_type::{RecordType, UnknownRecordType};
pub use schema::{
    Access, Class, Home, Kind, LONG_TEXT_BYTES, ORDERED_CHARACTERS, Property, SCHEMA_VERSION, TypeDefinition, is_shared,
};
pub use serde_json::value::RawValue;
pub use share::is_fair_share;
pub use status::{Status, UnknownStatus};
pub use timestamp::Timestamp;
pub use types::{
    Answer, ApiToken, Bundle, ExecutionLocation, File, Flow, FlowMetadata, FlowOptions, FlowVersion, Message,
    MessageStatus, Organization, Project, Role, Secret, Setting, User, Webhook, WebhookOptions, Workspace, definition,
};
pub use visible::{is_invisible, visible};
