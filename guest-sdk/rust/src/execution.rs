//! The execution that a flow is.

use std::fmt;
use std::time::{Duration, SystemTime};

use serde::Serialize;

use crate::backend::Backend;
use crate::children::Children;
use crate::crossing::to_json;
use crate::settings::Settings;
use crate::sleep::Sleep;
use crate::{HostError, Request};

/// The execution that runs the flow: who it is, and what it tells while it runs.
///
/// The host hands one to every flow. Tests make theirs with `Execution::for_test`.
#[derive(Debug)]
pub struct Execution {
    pub(crate) backend: Backend,
}

/// Whether an execution is a trial or the real thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A trial: `is_productive` is false in its record.
    Development,
    /// The real thing.
    Productive,
}

/// How much a log line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Steps that matter to whoever hunts a fault.
    Trace,
    /// What the flow's author wants to see while it is made.
    Debug,
    /// What happened.
    Info,
    /// What went wrong without ending the flow.
    Warn,
    /// What went wrong.
    Error,
}

impl Execution {
    /// The execution's id, a UUID in its usual text form.
    pub fn id(&self) -> String {
        self.backend.id()
    }

    /// The execution's name: that of its flow, unless it was started under another.
    pub fn name(&self) -> String {
        self.backend.name()
    }

    /// The mode it was started in.
    pub fn mode(&self) -> Mode {
        self.backend.mode()
    }

    /// What the host's clock shows: `SystemTime::now()` in a component, and natively the clock of the test, which moves when the
    /// flow waits.
    pub fn now(&self) -> SystemTime {
        self.backend.now()
    }

    /// When the host ends the execution if it is still running then.
    pub fn deadline(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_micros(self.backend.deadline())
    }

    /// The webhook request that the execution serves, or none where something else started it.
    pub fn request(&self) -> Option<Request> {
        self.backend.request().map(|backend| Request { backend })
    }

    /// Named JSON values that outlive the execution.
    pub fn settings(&self) -> Settings<'_> {
        Settings { backend: &self.backend }
    }

    /// Waiting for a time.
    pub fn sleep(&self) -> Sleep<'_> {
        Sleep { backend: &self.backend }
    }

    /// Executions that this execution starts.
    pub fn children(&self) -> Children<'_> {
        Children { backend: &self.backend }
    }

    /// Adds a line to the execution's log with fields of its own: a map or a struct.
    ///
    /// What does not serialise to a JSON object stands in the log as text, in a field named `value`.
    pub fn log(&self, level: Level, message: impl fmt::Display, fields: &impl Serialize) {
        // A line of the log is no reason to fail, so the reason why its fields are missing takes their place.
        let fields = serde_json::to_string(fields).unwrap_or_else(|error| error.to_string());
        self.backend.log(level, &message.to_string(), Some(&fields));
    }

    /// Adds a line to the log at the level [`Level::Trace`].
    pub fn trace(&self, message: impl fmt::Display) {
        self.line(Level::Trace, message);
    }

    /// Adds a line to the log at the level [`Level::Debug`].
    pub fn debug(&self, message: impl fmt::Display) {
        self.line(Level::Debug, message);
    }

    /// Adds a line to the log at the level [`Level::Info`].
    pub fn info(&self, message: impl fmt::Display) {
        self.line(Level::Info, message);
    }

    /// Adds a line to the log at the level [`Level::Warn`].
    pub fn warn(&self, message: impl fmt::Display) {
        self.line(Level::Warn, message);
    }

    /// Adds a line to the log at the level [`Level::Error`].
    pub fn error(&self, message: impl fmt::Display) {
        self.line(Level::Error, message);
    }

    /// Sets one output, replacing what it held. It is kept when the flow fails later; the returned
    /// [`Outputs`](crate::Outputs) are merged over it.
    ///
    /// Refused with the code `json.invalid` where the value cannot be written as JSON.
    pub fn set_output(&self, name: &str, value: &impl Serialize) -> Result<(), HostError> {
        self.backend.set_output(name, &to_json(format_args!("output `{name}`"), value)?)
    }

    /// Says in a few words how far the execution has come. The last message stands in its `status_message` while it runs.
    pub fn progress(&self, message: impl fmt::Display) {
        self.backend.progress(&message.to_string());
    }

    fn line(&self, level: Level, message: impl fmt::Display) {
        self.backend.log(level, &message.to_string(), None);
    }
}
