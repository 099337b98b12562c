//! The execution: what a call leaves behind.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{Digest, Priority, RecordId, Status, Timestamp};

/// One run of a flow, as callers and operators see it.
///
/// Its JSON form is the answer of a synchronous call and of `GET /api/latest/execution/<id>`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Execution {
    /// Made by the host when the execution is admitted.
    pub id: RecordId,
    /// The flow version that runs.
    pub flow: FlowRef,
    /// The webhook that was called; none where something else started the execution.
    pub webhook: Option<WebhookRef>,
    /// The project that it belongs to.
    #[serde(default)]
    pub project_id: Option<RecordId>,
    /// The bundle that it belongs to.
    #[serde(default)]
    pub bundle_id: Option<RecordId>,
    /// The identity that started it: a webhook or a user.
    #[serde(default)]
    pub created_by: Option<RecordId>,
    /// The user that answers for it.
    #[serde(default)]
    pub user_id: Option<RecordId>,
    /// The execution whose flow started it; none where something else did.
    #[serde(default)]
    pub parent_id: Option<RecordId>,
    /// Its place among those that wait for a slot.
    #[serde(default)]
    pub priority: Priority,
    /// Where it stands.
    pub status: Status,
    /// The last progress message while it runs; the reason of its end where that was not a success.
    pub status_message: Option<String>,
    /// Why it ended with an error. None for every other status.
    pub failure: Option<Failure>,
    /// Productive (true) or development mode (false).
    pub is_productive: bool,
    /// How often it was begun. More than 1 after a restart of the host cut it off.
    pub attempt: u32,
    /// Whether it is run again when it was cut off: true once accepted asynchronously.
    pub is_durable: bool,
    /// The JSON that the flow was given.
    pub input_value: Box<RawValue>,
    /// The outputs: a JSON object. Kept when the execution ends with an error.
    pub output_value: Box<RawValue>,
    /// When it was admitted.
    pub created_at: Timestamp,
    /// When its flow began to run, for the first time.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// When it goes on by itself, at the latest. None unless it waits with a limit of time, outside of memory.
    #[serde(default)]
    pub wake_at: Option<Timestamp>,
    /// Time it was ready and waited for a slot, in microseconds.
    #[serde(default)]
    pub queue_wait_us: u64,
    /// Time its flow ran, in microseconds: all attempts together, without the time that it waited for something.
    #[serde(default)]
    pub run_time_us: u64,
}

/// Which version of which flow an execution runs. The names are those at the time of the call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowRef {
    /// The flow's id.
    pub id: RecordId,
    /// The flow's name.
    pub name: String,
    /// The version's number, counted from 1.
    pub version: u32,
    /// The digest of the version's component.
    pub digest: Digest,
}

/// Which webhook started an execution.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookRef {
    /// The id of the webhook record, or of the setting that is the webhook.
    pub id: RecordId,
    /// The webhook's name.
    pub name: String,
}

/// With whose permissions an execution acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// How the permissions are found.
    pub kind: ActorKind,
    /// The webhook or the user.
    pub id: RecordId,
}

/// Which permissions of an identity an execution has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ActorKind {
    /// Those of the roles of a webhook record that propagate.
    Webhook,
    /// All of a user's: the setting form.
    User,
    /// Those of a user's roles that propagate: the user started it.
    PropagatedUser,
}

/// At most so many executions at once that were started with the same key by executions of one project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConcurrencyLimit {
    /// The project of the execution that chose the key; none for executions of no project.
    pub project_id: Option<RecordId>,
    /// Chosen by a flow.
    pub key: String,
    /// At least 1. Where executions of one key differ, each is held to its own.
    pub limit: u32,
}

/// Why an execution ended with an error.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Failure {
    /// A stable public code, listed in `docs/errors.md`: `flow.error`, `flow.cpu-limit`, …
    pub code: String,
    /// What happened, for the person who reads the record.
    pub message: String,
    /// The code that the flow itself gave, where it returned an error with one.
    pub flow_code: Option<String>,
    /// What else the flow said, where it returned an error with details.
    pub details: Option<Box<RawValue>>,
    /// Whether the same call may succeed at another time.
    pub retryable: bool,
    /// The trace of wasm frames, for those who may see it. Callers never do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
}

/// The request behind an execution, kept as long as the execution may run again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestRecord {
    /// The method, in upper case.
    pub method: String,
    /// What followed the webhook's address.
    pub path: String,
    /// The query without its question mark.
    pub query: Option<String>,
    /// Headers in order, names in lower case, values as bytes.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body's bytes.
    pub body: Bytes,
    /// False where a key in the body was blanked.
    pub body_is_exact: bool,
}

/// Who wrote a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogSource {
    /// The flow, through the log function.
    Flow,
    /// The flow's standard output.
    Stdout,
    /// The flow's standard error.
    Stderr,
    /// The host.
    Host,
}

/// How much a log line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Of use only when following a single run step by step.
    Trace,
    /// Of use when looking for a fault.
    Debug,
    /// What happened.
    Info,
    /// Something that may turn out badly.
    Warn,
    /// Something that did.
    Error,
}

/// One line of an execution's log.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LogLine {
    /// When it was written, by the host's clock.
    pub at: Timestamp,
    /// How much it matters.
    pub level: LogLevel,
    /// Who wrote it.
    pub source: LogSource,
    /// The text.
    pub message: String,
    /// What belongs to it: a JSON object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fields: Option<Box<RawValue>>,
}
