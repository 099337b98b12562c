//! The execution that a flow is.

use std::fmt;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::backend::Backend;
use crate::children::{Child, Children};
use crate::crossing::{from_json, to_json};
use crate::files::Files;
use crate::http::Http;
use crate::locks::Locks;
use crate::messages::Messages;
use crate::records::Records;
use crate::response::Response;
use crate::secrets::Secrets;
use crate::settings::Settings;
use crate::sleep::Sleep;
use crate::{FlowError, HostError, Request};

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

/// Who an execution acts as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The type of the record that acts: `USER` or `WEBHOOK`.
    pub identity_type: String,
    /// The record's id.
    pub id: String,
    /// The record's name.
    pub name: String,
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

    /// The execution's name: that of its flow.
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

    /// What the execution was started with, all of it, as a `T`: of a webhook call the object with `method`, `path`, `query`,
    /// `headers` and `json`.
    ///
    /// Refused with `json.invalid` where it is none.
    ///
    /// ```
    /// # use flowhost_guest::{Execution, HostError, json};
    /// # use serde_json::Value;
    /// let this = Execution::for_test().with_input(json!({ "path": "/orders" }));
    /// let input: Value = this.input()?;
    /// assert_eq!(input["path"], "/orders");
    /// # Ok::<(), HostError>(())
    /// ```
    pub fn input<T: DeserializeOwned>(&self) -> Result<T, HostError> {
        from_json("the input", &self.backend.input())
    }

    /// With whose permissions the execution acts; none where it has none, since who gave them is gone.
    pub fn acting_identity(&self) -> Option<Identity> {
        self.backend.acting_identity()
    }

    /// How often the execution was begun, this time included: 1 unless it was cut off. It is told once, so that it says in
    /// which attempt the flow came to this call first.
    pub fn attempt(&self) -> u32 {
        self.backend.attempt()
    }

    /// The webhook request that the execution serves, or none where something else started it.
    pub fn request(&self) -> Option<Request> {
        self.backend.request().map(|backend| Request { backend })
    }

    /// The answer to that request.
    pub fn response(&self) -> Response<'_> {
        Response { backend: &self.backend }
    }

    /// Named JSON values that outlive the execution.
    pub fn settings(&self) -> Settings<'_> {
        Settings { backend: &self.backend }
    }

    /// Named blobs that outlive the execution.
    pub fn files(&self) -> Files<'_> {
        Files { backend: &self.backend }
    }

    /// Named values that the host keeps encrypted.
    pub fn secrets(&self) -> Secrets<'_> {
        Secrets { backend: &self.backend }
    }

    /// Records of the host of a type, given by its name in the API's addresses: `webhook`.
    pub fn records(&self, record_type: impl Into<String>) -> Records<'_> {
        Records { backend: &self.backend, record_type: record_type.into(), filter: None, order: None }
    }

    /// Waiting for a time.
    pub fn sleep(&self) -> Sleep<'_> {
        Sleep { backend: &self.backend }
    }

    /// Executions that this execution starts.
    pub fn children(&self) -> Children<'_> {
        Children { backend: &self.backend }
    }

    /// Requests to the outside.
    pub fn http(&self) -> Http<'_> {
        Http { backend: &self.backend }
    }

    /// Asking people.
    pub fn messages(&self) -> Messages<'_> {
        Messages { backend: &self.backend }
    }

    /// Locks on names: of several executions one at a time holds a lock.
    pub fn locks(&self) -> Locks<'_> {
        Locks { backend: &self.backend }
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

    /// Sets several outputs, the members of a map or a struct, each of which replaces what its name held.
    ///
    /// Refused with `json.invalid` where the values are no JSON object.
    pub fn merge_outputs(&self, values: &impl Serialize) -> Result<(), HostError> {
        self.backend.merge_outputs(&to_json("the outputs", values)?)
    }

    /// Puts the members of a map or a struct in place of all outputs that were set.
    ///
    /// Refused with `json.invalid` where the values are no JSON object.
    pub fn replace_outputs(&self, values: &impl Serialize) -> Result<(), HostError> {
        self.backend.replace_outputs(&to_json("the outputs", values)?)
    }

    /// Adds a value to the end of the list that is the output of this name; the list is made where there is none.
    ///
    /// ```
    /// # use flowhost_guest::{Execution, HostError, json};
    /// let this = Execution::for_test();
    /// for line in ["rye", "spelt"] {
    ///     this.append_output("sold", &line)?;
    /// }
    /// assert_eq!(this.outputs_set()["sold"], json!(["rye", "spelt"]));
    /// # Ok::<(), HostError>(())
    /// ```
    ///
    /// Refused with `execution.not-a-list` where the output is something else.
    pub fn append_output(&self, name: &str, value: &impl Serialize) -> Result<(), HostError> {
        self.backend.append_output(name, &to_json(format_args!("output `{name}`"), value)?)
    }

    /// Ends the execution with the status `ENDED_SUCCESS` and the outputs that were set: nothing of the flow runs after it, no
    /// destructor either. The message becomes its `status_message`, up to 1,000 bytes of it, unless it is empty.
    ///
    /// ```
    /// # use flowhost_guest::{Execution, FlowError, Outputs};
    /// use flowhost_guest::Ending;
    ///
    /// fn flow(this: &Execution) -> Result<Outputs, FlowError> {
    ///     this.set_output("orders", &0)?;
    ///     this.end_success("nothing to do")
    /// }
    ///
    /// // In a test, `ending` shows how the flow ended.
    /// let this = Execution::for_test();
    /// assert_eq!(this.ending(|| flow(&this)), Ending::Success("nothing to do".into()));
    /// assert_eq!(this.outputs_set()["orders"], 0);
    /// ```
    pub fn end_success(&self, message: impl fmt::Display) -> ! {
        self.backend.end_success(message.to_string())
    }

    /// Ends the execution with the status `ENDED_ERROR`, as if the flow had returned the error: from wherever it is.
    pub fn end_error(&self, error: impl Into<FlowError>) -> ! {
        self.backend.end_error(error.into())
    }

    /// Ends the execution with the status `ENDED_CANCELLED`. The message becomes its `status_message`, up to 1,000 bytes of it,
    /// unless it is empty. A caller who waits is answered `execution.cancelled`.
    pub fn end_cancelled(&self, message: impl fmt::Display) -> ! {
        self.backend.end_cancelled(message.to_string())
    }

    /// Starts the active version of this flow once more with the same input, and goes on. The clone is a child that goes on
    /// when this execution has ended; it serves no request.
    ///
    /// Refused as [`NewChild::start`](crate::children::NewChild::start) is.
    pub fn clone_execution(&self) -> Result<Child<'_>, HostError> {
        self.cloned(None)
    }

    /// [`Execution::clone_execution`] with another input.
    ///
    /// Refused with `json.invalid` where the input cannot be written as JSON, too.
    pub fn clone_execution_with(&self, input: &(impl Serialize + ?Sized)) -> Result<Child<'_>, HostError> {
        self.cloned(Some(to_json("the input of the clone", input)?))
    }

    fn cloned(&self, input: Option<String>) -> Result<Child<'_>, HostError> {
        Ok(Child { id: self.backend.clone_execution(input.as_deref())?, backend: &self.backend })
    }

    /// Says in a few words how far the execution has come. The last message stands in its `status_message` while it runs;
    /// what is longer than 1,000 bytes loses its end.
    pub fn progress(&self, message: impl fmt::Display) {
        self.backend.progress(&message.to_string());
    }

    fn line(&self, level: Level, message: impl fmt::Display) {
        self.backend.log(level, &message.to_string(), None);
    }
}
