//! What callers and operators are told when something did not work.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use flowhost_model::Execution;

use crate::json_schema::Violation;

/// Whose fault a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The request was wrong.
    Caller,
    /// The flow failed.
    Flow,
    /// The host could not do its part.
    Host,
}

impl Fault {
    /// The name in answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Flow => "flow",
            Self::Host => "host",
        }
    }
}

/// One line of the table of public codes.
#[derive(Debug)]
pub struct CodeInfo {
    /// The stable name.
    pub name: &'static str,
    /// The HTTP status of an answer with this code.
    pub status: u16,
    /// What it is, in few words.
    pub title: &'static str,
    /// Whose fault it is.
    pub fault: Fault,
    /// Whether the same request may succeed at another time.
    pub retryable: bool,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $status:literal, $fault:ident, $retryable:literal, $title:literal;)*) => {
        /// The public codes. Each stands in `docs/errors.md` with what to do about it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Code {
            $($(#[$doc])* $variant,)*
        }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The code's line in the table.
            pub fn info(self) -> &'static CodeInfo {
                match self {
                    $(Self::$variant => &CodeInfo {
                        name: $name, status: $status, title: $title, fault: Fault::$fault, retryable: $retryable,
                    },)*
                }
            }
        }
    };
}

codes! {
    /// No such webhook, or one that cannot be called now; a caller cannot tell which.
    WebhookNotFound = "webhook.not-found", 404, Caller, false, "No such webhook";
    /// The key is missing or wrong.
    WebhookUnauthorized = "webhook.unauthorized", 401, Caller, false, "Not authorised to call the webhook";
    /// A key was presented, and it is wrong.
    WebhookKeyWrong = "webhook.unauthorized", 401, Caller, false, "Not authorised to call the webhook";
    /// Too many wrong keys came from the caller's network.
    WebhookLockedOut = "webhook.locked-out", 429, Caller, true, "Too many wrong keys";
    /// The login that the webhook wants is missing or wrong.
    WebhookLoginWanted = "webhook.unauthorized", 401, Caller, false, "Not authorised to call the webhook";
    /// The webhook has as many executions as it may have.
    WebhookBusy = "webhook.busy", 429, Caller, true, "The webhook is busy";
    /// The execution did not end in the time that the webhook waits. It goes on.
    WebhookWaitLimit = "webhook.wait-limit", 504, Flow, true, "The execution goes on; the webhook waits no longer";
    /// A method that the address does not take.
    MethodNotAllowed = "request.method-not-allowed", 405, Caller, false, "Method not allowed";
    /// The body is larger than allowed.
    TooLarge = "request.too-large", 413, Caller, false, "The request is too large";
    /// The header fields are larger than allowed.
    HeadersTooLarge = "request.too-large", 431, Caller, false, "The header fields are too large";
    /// The body says it is JSON, or begins like it, and is not.
    MalformedJson = "request.malformed-json", 400, Caller, false, "Malformed JSON";
    /// Something else about the request is malformed.
    Malformed = "request.malformed", 400, Caller, false, "Malformed request";
    /// The body is sent in a transfer coding that the host does not know.
    UnknownCoding = "request.malformed", 501, Caller, false, "Unknown transfer coding";
    /// The request did not arrive in time.
    RequestTimeout = "request.timeout", 408, Caller, true, "The request did not arrive in time";
    /// What the request asks for takes the host too long.
    TooCostly = "request.too-costly", 422, Caller, false, "The request takes too long";
    /// No such address.
    NoSuchAddress = "request.not-found", 404, Caller, false, "No such address";
    /// The request carries no valid token.
    Unauthorized = "access.unauthorized", 401, Caller, false, "A token is needed";
    /// The identity may not do this.
    Forbidden = "access.forbidden", 403, Caller, false, "Not permitted";
    /// The name or the password is wrong, or the user cannot log in.
    LoginFailed = "access.login-failed", 401, Caller, false, "The login failed";
    /// Too many logins failed.
    LockedOut = "access.locked-out", 429, Caller, true, "Too many logins failed";
    /// The record is guarded against changes.
    RecordReadonly = "record.readonly", 409, Caller, false, "The record cannot be changed";
    /// The record is not the one that the writer has read.
    PreconditionFailed = "record.precondition-failed", 412, Caller, true, "The record was changed meanwhile";
    /// No such record.
    RecordNotFound = "record.not-found", 404, Caller, false, "No such record";
    /// The name belongs to another record.
    NameTaken = "record.name-taken", 409, Caller, false, "The name is taken";
    /// Another writer changed the record meanwhile.
    RecordConflict = "record.conflict", 409, Caller, true, "The record was changed meanwhile";
    /// The record's content is not valid.
    RecordInvalid = "record.invalid", 422, Caller, false, "The record is not valid";
    /// A file would be larger than the host allows.
    FileTooLarge = "files.too-large", 413, Caller, false, "The file is too large";
    /// The host has no key for secrets, or not the one that sealed this one.
    SecretsUnavailable = "secrets.unavailable", 409, Host, false, "The secret is not available";
    /// The file that a flow answered with is not there.
    FileNotFound = "files.not-found", 404, Flow, false, "No such file";
    /// The response does not fit the message's form.
    MessageInvalidResponse = "message.invalid-response", 422, Caller, false, "The response does not fit the form";
    /// The message was responded to, or closed.
    MessageClosed = "message.closed", 409, Caller, false, "The message is not open any more";
    /// The uploaded bytes are no flow.
    ComponentInvalid = "component.invalid", 422, Caller, false, "Not a valid flow component";
    /// No such flow, or one without a version.
    FlowNotFound = "flow.not-found", 404, Caller, false, "No such flow";
    /// The input does not fit what the flow takes.
    FlowInvalidInput = "flow.invalid-input", 422, Caller, false, "The input does not fit the flow";
    /// The flow's input cannot be checked, and the flow runs on checked input only.
    FlowInvalidSchema = "flow.invalid-schema", 500, Flow, false, "The flow's input schema cannot be used";
    /// The flow returned an error.
    FlowError = "flow.error", 500, Flow, false, "The flow ended with an error";
    /// The flow panicked.
    FlowPanic = "flow.panic", 500, Flow, false, "The flow panicked";
    /// The flow trapped.
    FlowTrap = "flow.trap", 500, Flow, false, "The flow trapped";
    /// The flow used up its CPU time.
    FlowCpuLimit = "flow.cpu-limit", 500, Flow, false, "The flow used up its CPU time";
    /// The flow wanted too much memory.
    FlowMemoryLimit = "flow.memory-limit", 500, Flow, false, "The flow wanted too much memory";
    /// The flow gave the host too much.
    FlowOutputLimit = "flow.output-limit", 500, Flow, false, "The flow gave too much output";
    /// The flow did not end in its time.
    FlowTimeLimit = "flow.time-limit", 504, Flow, true, "The flow did not end in its time";
    /// The execution was cancelled.
    ExecutionCancelled = "execution.cancelled", 409, Caller, false, "The execution was cancelled";
    /// The flow called the host more often than a journal holds.
    FlowJournalLimit = "flow.journal-limit", 500, Flow, false, "The flow made too many calls to the host";
    /// The flow has as many executions as it may have.
    FlowBusy = "flow.busy", 429, Caller, true, "The flow is busy";
    /// The flow was run again and did not do what it did before.
    ExecutionDiverged = "execution.diverged", 500, Flow, false, "The flow differs from its journal";
    /// The journal of the execution cannot be read.
    JournalDamaged = "execution.journal-damaged", 500, Host, false, "The journal of the execution is damaged";
    /// A crash of the host cut the execution off, and it was not durable.
    ExecutionInterrupted = "execution.interrupted", 500, Host, true, "The execution was cut off";
    /// The host died with the execution, again and again.
    ExecutionHostDied = "execution.host-died", 500, Host, false, "The host died with the execution, again and again";
    /// The host has as many executions as it may have.
    HostBusy = "host.busy", 503, Host, true, "The host is busy";
    /// The host is about to stop.
    HostDraining = "host.draining", 503, Host, true, "The host is about to stop";
    /// The host's disk is full.
    HostStorageFull = "host.storage-full", 503, Host, true, "The host's disk is full";
    /// The host cannot write to its storage.
    HostStorageUnavailable = "host.storage-unavailable", 503, Host, true, "The host's storage fails";
    /// The host failed. What happened stands in its log.
    HostError = "host.error", 500, Host, true, "The host failed";
    /// The host's storage failed, though it is not full. For callers as any other fault of the host.
    HostStorageFailed = "host.error", 500, Host, true, "The host failed";
}

impl Code {
    /// The stable name, `webhook.not-found`.
    pub fn as_str(self) -> &'static str {
        self.info().name
    }

    /// Whether a flow failed and did not choose the words itself.
    pub(crate) fn is_flow_failure(self) -> bool {
        matches!(
            self,
            Self::FlowPanic
                | Self::FlowTrap
                | Self::FlowCpuLimit
                | Self::FlowMemoryLimit
                | Self::FlowOutputLimit
                | Self::FlowJournalLimit
                | Self::FlowTimeLimit
                | Self::ExecutionDiverged
                | Self::JournalDamaged
        )
    }

    /// The code with this name; the first where two have it.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str() == name)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a request was not served, in words that may be shown to who made it.
#[derive(Debug, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct Problem {
    /// The public code.
    pub code: Code,
    /// What was wrong, where, and what to do.
    pub detail: String,
    /// When it is worth trying again.
    pub retry_after: Option<Duration>,
    /// The execution that it happened to, where there is one.
    pub execution: Option<Box<Execution>>,
    /// What does not fit its schema, where that is the problem.
    pub violations: Vec<Violation>,
    /// Whether the execution is shown without what is the business of those who may read it: its input, its outputs and
    /// the flow's version.
    pub is_discreet: bool,
    /// What the host's log says and callers are not told.
    reason: Option<String>,
}

/// What is said of a storage that fails, whatever it says itself: that is for the log.
pub(crate) const STORAGE_FAILED: &str = "the host's storage failed; the host's log says more";

/// What is said of a storage without room.
pub(crate) const STORAGE_FULL: &str = "the host's disk is full; nothing was kept";

/// What a full host asks its callers to wait: long enough to drain thousands of ordinary calls.
const RETRY_AFTER: Duration = Duration::from_secs(1);

impl Problem {
    /// A problem with a code and words for who made the request.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        let info = code.info();
        let retry_after = matches!(info.status, 429 | 503).then_some(RETRY_AFTER);
        let detail = detail.into();
        Self { code, detail, retry_after, execution: None, violations: Vec::new(), is_discreet: false, reason: None }
    }

    /// A problem of what does not fit its schema. The first violation is told in words, too.
    pub(crate) fn invalid(code: Code, what: &str, violations: Vec<Violation>) -> Self {
        let detail = match violations.first() {
            Some(Violation { place, reason }) if place.is_empty() => format!("{what}: {reason}"),
            Some(Violation { place, reason }) => format!("{what}: `{place}`: {reason}"),
            None => what.to_owned(),
        };
        Self { violations, ..Self::new(code, detail) }
    }

    /// The same problem, about this execution.
    pub fn with_execution(mut self, execution: Execution) -> Self {
        self.execution = Some(Box::new(execution));
        self
    }

    /// Returns the problem as its caller may see it. If the flow failed without choosing the words itself, a caller who may not
    /// read the execution learns that it failed, by which limit if it was one, and the execution's id.
    pub(crate) fn for_caller(mut self, may_read: impl FnOnce(&Execution) -> bool) -> Self {
        let Some(execution) = self.execution.as_deref() else { return self };
        if !self.code.is_flow_failure() && !matches!(self.code, Code::HostError | Code::HostStorageFailed)
            || may_read(execution)
        {
            return self;
        }
        if matches!(self.code, Code::FlowPanic | Code::FlowTrap | Code::ExecutionDiverged | Code::JournalDamaged) {
            self.detail =
                format!("the flow failed; execution {} has the reason, for those who may read it", execution.id);
        }
        self.is_discreet = true;
        self
    }

    /// Whether the host's storage failed, so that the same may succeed later.
    pub(crate) fn is_of_storage(&self) -> bool {
        matches!(self.code, Code::HostStorageFull | Code::HostStorageFailed)
    }

    /// A fault of the host: `reason` goes to the log, the caller learns that there is one.
    pub(crate) fn host(reason: impl fmt::Display) -> Self {
        tracing::error!(%reason, "the host failed");
        let problem = Self::new(Code::HostError, "the host failed; its log says more");
        Self { reason: Some(reason.to_string()), ..problem }
    }

    /// What callers are not told of a fault of the host.
    pub(crate) fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }
}

/// Says why the storage failed: once a minute, and not for each of the thousands that it refuses.
fn note_storage_failure(reason: &str) {
    const EVERY: Duration = Duration::from_secs(60);
    static SAID: Mutex<Option<Instant>> = Mutex::new(None);
    let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
    if said.is_some_and(|said| said.elapsed() < EVERY) {
        tracing::debug!(%reason, "the storage failed");
    } else {
        *said = Some(Instant::now());
        tracing::error!(%reason, "the storage failed");
    }
}

impl From<flowhost_store::Error> for Problem {
    fn from(error: flowhost_store::Error) -> Self {
        use flowhost_store::Error;
        match error {
            Error::NameTaken { .. } => Self::new(Code::NameTaken, error.to_string()),
            Error::NotFound => Self::new(Code::RecordNotFound, error.to_string()),
            Error::Conflict => Self::new(Code::RecordConflict, error.to_string()),
            Error::Full => Self::new(Code::HostStorageFull, STORAGE_FULL),
            Error::InvalidCursor => Self::new(Code::Malformed, "`after`: it is not where a page of this list ended"),
            Error::TooCostly => {
                let detail = "the list takes longer than the host may work on it; filter by properties with an index \
                              (`id`, `name`, `created_at`, `status`, `flow_id`) first, and use fewer and shorter patterns";
                Self::new(Code::TooCostly, detail)
            }
            Error::Busy => Self::new(Code::HostBusy, "the host reads as many lists as it may; try again"),
            Error::Closed => Self::new(Code::HostDraining, "the host is about to stop"),
            Error::Storage(reason) => {
                note_storage_failure(&reason);
                Self { reason: Some(reason), ..Self::new(Code::HostStorageFailed, STORAGE_FAILED) }
            }
            other => Self::host(other),
        }
    }
}

impl From<flowhost_engine::CompileError> for Problem {
    fn from(error: flowhost_engine::CompileError) -> Self {
        match error {
            flowhost_engine::CompileError::Invalid(invalid) => Self::new(Code::ComponentInvalid, invalid.to_string()),
            flowhost_engine::CompileError::Exhausted(reason) => {
                tracing::warn!(%reason, "the host has no memory for a flow's program");
                Self::new(Code::HostBusy, "the host has no memory for the flow's program; try again later")
            }
            other => Self::host(other),
        }
    }
}

impl From<flowhost_model::InvalidName> for Problem {
    fn from(error: flowhost_model::InvalidName) -> Self {
        Self::new(Code::RecordInvalid, format!("`name`: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use flowhost_model::{RecordId, Timestamp};
    use serde_json::json;

    use super::*;

    #[test]
    fn codes_are_unique_and_stand_in_the_documentation() {
        let documentation = include_str!("../../../docs/errors.md");
        let mut names: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
        for code in Code::ALL {
            let (name, status) = (code.as_str(), code.info().status);
            assert!(documentation.contains(&format!("`{name}` | {status} |")), "docs/errors.md lacks {name} {status}");
            assert_eq!(Code::from_name(name).map(Code::as_str), Some(name));
        }
        names.sort_unstable();
        names.dedup();
        // `request.too-large` is 413 for a body and 431 for header fields; `request.malformed` is 501 for a transfer coding;
        // `webhook.unauthorized` says of a key that it is missing or wrong, and of a login;
        // the host alone tells a storage that fails from other errors of its own.
        assert_eq!(names.len(), Code::ALL.len() - 5);
    }

    #[test]
    fn inside_of_a_failed_flow_is_for_those_who_may_read_it() {
        let secret = "panicked at src/main.rs:7: the password is x";
        let digest = format!("sha256:{}", "0".repeat(64));
        let flow = json!({ "id": RecordId::new(), "name": "f", "version": 1, "digest": digest });
        let execution = json!({
            "id": RecordId::new(), "flow": flow, "webhook": null, "status": "ENDED_ERROR", "status_message": secret,
            "failure": { "code": "flow.panic", "message": secret, "retryable": false }, "is_productive": true, "attempt": 1,
            "is_durable": false, "input_value": "the input", "output_value": {}, "created_at": Timestamp(0),
            "started_at": null, "ended_at": null,
        });
        let execution: Execution = serde_json::from_str(&execution.to_string()).unwrap();
        let shown = |code, may_read| {
            let problem = Problem::new(code, secret).with_execution(execution.clone()).for_caller(|_| may_read);
            let view = serde_json::to_string(&crate::ExecutionView::of_problem(&problem)).unwrap();
            (problem.detail, view)
        };
        let (detail, view) = shown(Code::FlowPanic, false);
        assert!(!detail.contains("main.rs") && detail.contains(&execution.id.to_string()), "{detail}");
        assert!(!view.contains("main.rs") && !view.contains("the input") && !view.contains("digest"), "{view}");
        assert!(view.contains(&execution.id.to_string()) && view.contains("ENDED_ERROR"), "{view}");
        let (detail, view) = shown(Code::FlowPanic, true);
        assert!(detail == secret && view.contains("main.rs") && view.contains("the input"), "{view}");
        // A limit's text shows nothing of the flow; its own error is its answer.
        let (detail, view) = shown(Code::FlowCpuLimit, false);
        assert!(detail == secret && !view.contains("the input"), "{view}");
        let (detail, view) = shown(Code::FlowError, false);
        assert!(detail == secret && view.contains("the input"), "{view}");
    }
}
