//! Executions that an execution starts.
//!
//! A child acts with the permissions of its parent, in the same mode, and has limits of its own. When the parent has ended,
//! in whatever way, its children that are not detached are cancelled.
//!
//! ```
//! use flowhost_guest::children::ReturnWhen;
//! use flowhost_guest::{Execution, FlowError, Input, Outputs, flow, json};
//! use serde::Deserialize;
//!
//! #[derive(Deserialize)]
//! struct Invoice {
//!     cents: u32,
//! }
//!
//! #[flow]
//! fn month(this: &Execution, customers: Input<Vec<String>>) -> Result<Outputs, FlowError> {
//!     let mut children = Vec::new();
//!     for customer in &customers.json {
//!         children.push(this.children().start("invoice", &json!({ "customer": customer }))?);
//!     }
//!     this.children().wait(&children, ReturnWhen::AllSucceeded, None)?;
//!     let mut cents = 0;
//!     for child in &children {
//!         cents += child.outputs::<Invoice>()?.cents;
//!     }
//!     Ok(Outputs::new().set("cents", cents))
//! }
//!
//! // In a test, closures stand in for the flows that are started.
//! let this = Execution::for_test().with_child("invoice", |input| match input["customer"].as_str() {
//!     Some("ada") => Ok(Outputs::new().set("cents", 1200)),
//!     Some("grace") => Ok(Outputs::new().set("cents", 300)),
//!     _ => Err(FlowError::new("no such customer")),
//! });
//! let outputs = month(&this, Input::new(vec!["ada".into(), "grace".into()])).unwrap();
//! assert_eq!(outputs.get("cents").unwrap(), 1500);
//!
//! // The failure of a child is that of its parent, unless the parent handles it.
//! let failed = month(&this, Input::new(vec!["charles".into()])).unwrap_err();
//! assert_eq!(failed.code(), Some("children.failed"));
//! ```

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::backend::Backend;
use crate::crossing::{from_json, microseconds, to_json};
use crate::{FlowError, HostError};

/// A flow, by its name or by its id. A text is a name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum FlowRef {
    /// Its name.
    Name(String),
    /// Its id, a UUID in its usual text form.
    Id(String),
}

impl From<&str> for FlowRef {
    fn from(name: &str) -> Self {
        Self::Name(name.into())
    }
}

impl From<String> for FlowRef {
    fn from(name: String) -> Self {
        Self::Name(name)
    }
}

/// The name or the id alone.
impl fmt::Display for FlowRef {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Name(text) | Self::Id(text)) = self;
        formatter.write_str(text)
    }
}

/// Where an execution stands; the statuses of its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// Accepted, not yet begun.
    Scheduled,
    /// An instance of its flow runs.
    Running,
    /// Waits for something outside of it.
    Waiting,
    /// Goes on when somebody resumes it.
    Paused,
    /// Ended well.
    EndedSuccess,
    /// Ended by an error of the flow, a limit or the host.
    EndedError,
    /// Ended by somebody's wish.
    EndedCancelled,
}

impl Status {
    /// Whether the execution is over. An ended execution never changes its status again.
    pub fn is_ended(self) -> bool {
        matches!(self, Self::EndedSuccess | Self::EndedError | Self::EndedCancelled)
    }

    /// The name in records and answers, `ENDED_SUCCESS`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "SCHEDULED",
            Self::Running => "RUNNING",
            Self::Waiting => "WAITING",
            Self::Paused => "PAUSED",
            Self::EndedSuccess => "ENDED_SUCCESS",
            Self::EndedError => "ENDED_ERROR",
            Self::EndedCancelled => "ENDED_CANCELLED",
        }
    }
}

/// The name in records and answers.
impl fmt::Display for Status {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The place of an execution among those that wait for a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// After all others.
    Low,
    /// Unless something else is asked for.
    Normal,
    /// Before all others.
    High,
}

/// Which end of several children ends a wait for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReturnWhen {
    /// The last, however they end.
    AllEnded,
    /// The last, if all end well. A child that does not refuses the wait with `children.failed`.
    AllSucceeded,
    /// The first, however it ends.
    FirstEnded,
}

/// The children of an execution, from [`Execution::children`](crate::Execution::children).
#[derive(Clone, Copy, Debug)]
pub struct Children<'a> {
    pub(crate) backend: &'a Backend,
}

impl<'a> Children<'a> {
    /// Starts the active version of a flow with this input, waits until it has ended well, and gives its outputs, a JSON
    /// object, as a `T`.
    ///
    /// Refused as [`start`](Self::start), [`Child::wait`] and [`Child::outputs`] are; a flow that fails refuses it with
    /// `children.failed`.
    ///
    /// ```
    /// # use flowhost_guest::{Execution, Outputs, json};
    /// # use serde_json::Value;
    /// # let this = Execution::for_test().with_child("greet", |_| Ok(Outputs::new().set("greeting", "Hello")));
    /// let outputs: Value = this.children().run("greet", &json!({ "name": "Ada" }))?;
    /// assert_eq!(outputs["greeting"], "Hello");
    /// # Ok::<(), flowhost_guest::HostError>(())
    /// ```
    pub fn run<T: DeserializeOwned>(
        &self,
        flow: impl Into<FlowRef>,
        input: &(impl Serialize + ?Sized),
    ) -> Result<T, HostError> {
        let child = self.start(flow, input)?;
        child.wait()?;
        child.outputs()
    }

    /// Starts the active version of a flow with this input, and goes on.
    ///
    /// Refused as [`new_child`](Self::new_child) and [`NewChild::start`] are.
    pub fn start(&self, flow: impl Into<FlowRef>, input: &(impl Serialize + ?Sized)) -> Result<Child<'a>, HostError> {
        self.new_child(flow, input)?.start()
    }

    /// A child that runs the active version of a flow with this input, to say more about it before it is started.
    ///
    /// Refused with `json.invalid` where the input cannot be written as JSON.
    ///
    /// ```
    /// use flowhost_guest::children::Priority;
    /// # use flowhost_guest::{Execution, Outputs, json};
    ///
    /// # let this = Execution::for_test().with_child("export", |_| Ok(Outputs::new()));
    /// let export = this.children().new_child("export", &json!({ "customer": 7 }))?;
    /// let child = export.detached().priority(Priority::Low).concurrency("customer-7", 1).start()?;
    /// this.info(format_args!("the export is {}", child.id()));
    /// # Ok::<(), flowhost_guest::HostError>(())
    /// ```
    pub fn new_child(
        &self,
        flow: impl Into<FlowRef>,
        input: &(impl Serialize + ?Sized),
    ) -> Result<NewChild<'a>, HostError> {
        let flow = flow.into();
        let input = to_json(format_args!("the input of `{flow}`"), input)?;
        Ok(NewChild { backend: self.backend, flow, input, is_detached: false, priority: None, concurrency: None })
    }

    /// Waits for children, for at most so long if that is given. Gives those that have ended, in the order in which they
    /// were named. The wait survives restarts of the host and counts against no limit.
    ///
    /// Refused with `children.nothing-to-wait-for`, `children.wait-timeout`, and `children.failed`, which names the child and
    /// says why it did not end well.
    ///
    /// Each result as it comes:
    ///
    /// ```
    /// use flowhost_guest::children::ReturnWhen;
    /// # use flowhost_guest::{Execution, Outputs, json};
    ///
    /// # let this = Execution::for_test().with_child("fetch", |_| Ok(Outputs::new()));
    /// let mut running = vec![this.children().start("fetch", "a")?, this.children().start("fetch", "b")?];
    /// while !running.is_empty() {
    ///     for ended in this.children().wait(&running, ReturnWhen::FirstEnded, None)? {
    ///         this.info(format_args!("{} is {}", ended.id(), ended.status()?));
    ///         running.retain(|child| *child != ended);
    ///     }
    /// }
    /// # Ok::<(), flowhost_guest::HostError>(())
    /// ```
    pub fn wait(
        &self,
        children: &[Child<'_>],
        when: ReturnWhen,
        timeout: Option<Duration>,
    ) -> Result<Vec<Child<'a>>, HostError> {
        let ids: Vec<String> = children.iter().map(|child| child.id.clone()).collect();
        let ended = self.backend.wait_for_children(&ids, when, timeout.map(microseconds))?;
        Ok(ended.into_iter().map(|id| Child { id, backend: self.backend }).collect())
    }
}

/// A child that has not been started yet.
#[derive(Clone, Debug)]
#[must_use = "a child does nothing until it is started"]
pub struct NewChild<'a> {
    pub(crate) backend: &'a Backend,
    pub(crate) flow: FlowRef,
    pub(crate) input: String,
    pub(crate) is_detached: bool,
    pub(crate) priority: Option<Priority>,
    pub(crate) concurrency: Option<(String, u32)>,
}

impl<'a> NewChild<'a> {
    /// Lets it go on when its parent has ended.
    pub fn detached(mut self) -> Self {
        self.is_detached = true;
        self
    }

    /// Sets its place among those that wait for a slot; that of its flow unless set.
    pub fn priority(mut self, priority: Priority) -> Self {
        self.priority = Some(priority);
        self
    }

    /// Lets at most `limit` executions run at once that were given this key, whoever started them. It waits for its turn.
    pub fn concurrency(mut self, key: impl Into<String>, limit: u32) -> Self {
        self.concurrency = Some((key.into(), limit));
        self
    }

    /// Starts it.
    ///
    /// Refused with `flow.not-found`; `children.too-many` and `children.too-deep` beyond the host's limits;
    /// `children.invalid-limit` for an empty key, one beyond 128 characters or a limit of 0; `access.forbidden` where the
    /// execution may not read the flow; `host.busy` where as many children wait for a slot as may, until some of them have begun.
    pub fn start(self) -> Result<Child<'a>, HostError> {
        let backend = self.backend;
        Ok(Child { id: backend.start_child(self)?, backend })
    }
}

/// A child that was started. Two are equal if they are the same execution.
#[derive(Clone, Debug)]
pub struct Child<'a> {
    pub(crate) id: String,
    pub(crate) backend: &'a Backend,
}

impl PartialEq for Child<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Child<'_> {}

impl Child<'_> {
    /// Its execution's id, a UUID in its usual text form.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Where it stands.
    pub fn status(&self) -> Result<Status, HostError> {
        self.backend.child_status(&self.id)
    }

    /// Its last progress message, or the reason of its end where that was not a success.
    pub fn message(&self) -> Result<Option<String>, HostError> {
        self.backend.child_message(&self.id)
    }

    /// Why it ended with an error; none where it did not. Where its flow gave no code, the code is that of the host's
    /// documentation, for example `flow.panic`.
    pub fn failure(&self) -> Result<Option<FlowError>, HostError> {
        self.backend.child_failure(&self.id)
    }

    /// Its outputs, a JSON object, as a `T`. They are complete when it has ended.
    ///
    /// Refused with `json.invalid` where they cannot be read as a `T`; `serde_json::Value` reads any.
    pub fn outputs<T: DeserializeOwned>(&self) -> Result<T, HostError> {
        let outputs = self.backend.child_outputs(&self.id)?;
        from_json(format_args!("the outputs of child {}", self.id), &outputs)
    }

    /// Waits until it has ended well.
    ///
    /// Refused with `children.failed` where it ends otherwise: the message says why. Whoever wants to go on then waits with
    /// [`Children::wait`] and [`ReturnWhen::AllEnded`].
    pub fn wait(&self) -> Result<(), HostError> {
        let this = std::slice::from_ref(&self.id);
        self.backend.wait_for_children(this, ReturnWhen::AllSucceeded, None).map(drop)
    }

    /// Cancels it, and its own children with it. One that has ended stays as it is.
    pub fn cancel(&self) -> Result<(), HostError> {
        self.backend.cancel_child(&self.id)
    }
}
