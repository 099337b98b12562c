//! The records of flowhost: plain data, no I/O, no async.
//!
//! Everything that the other rooms hand to each other is defined here: identifiers and instants, the records that people
//! make ([`Flow`], [`Webhook`], [`Setting`], [`User`], [`Workspace`]), and the one that the host makes, the
//! [`Execution`] with its log.

mod execution;
mod id;
mod record;
mod status;
mod timestamp;

pub use execution::{Execution, Failure, FlowRef, LogLevel, LogLine, LogSource, RequestRecord, WebhookRef};
pub use id::{Digest, InvalidDigest, RecordId};
pub use record::{
    Answer, Body, Flow, FlowVersion, InvalidName, Meta, NAME_LIMIT, Record, RecordType, Setting, User, Webhook,
    WebhookOptions, Workspace, normalize_name,
};
pub use serde_json::value::RawValue;
pub use status::{Status, UnknownStatus};
pub use timestamp::Timestamp;
