//! Asking people: a message with a form, whose answer a person gives over the API.
//!
//! A message lives as long as its execution: when that ends, open messages are closed. Waiting for an answer survives restarts
//! of the host, costs no memory while it is long, and counts against no limit.
//!
//! ```
//! use std::time::Duration;
//! use flowhost_guest::{Execution, FlowError, Outputs, flow, json};
//! use serde::Deserialize;
//!
//! #[derive(Deserialize)]
//! struct Answer {
//!     approved: bool,
//! }
//!
//! #[flow]
//! fn deploy(this: &Execution) -> Result<Outputs, FlowError> {
//!     let form = json!({
//!         "type": "object",
//!         "required": ["approved"],
//!         "properties": { "approved": { "type": "boolean" } },
//!     });
//!     let question = this.messages().new_message("Deploy to production?").form(&form)?.send()?;
//!     let answer: Answer = question.wait(Some(Duration::from_secs(3600)))?;
//!     Ok(Outputs::new().set("deployed", answer.approved).set("by", question.responder()?))
//! }
//!
//! // In a test, the answers are given in advance, in the order of the messages.
//! let this = Execution::for_test().with_answer("ada", json!({ "approved": true }));
//! let outputs = deploy(&this).unwrap();
//! assert_eq!(outputs.get("deployed").unwrap(), true);
//! assert_eq!(outputs.get("by").unwrap(), "ada");
//! assert_eq!(this.messages_sent()[0].subject, "Deploy to production?");
//!
//! // Without one, nobody answers.
//! let this = Execution::for_test();
//! assert_eq!(deploy(&this).unwrap_err().code(), Some("messages.wait-timeout"));
//! ```

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::HostError;
use crate::backend::Backend;
use crate::crossing::{from_json, microseconds, to_json};

/// The messages that an execution sends, from [`Execution::messages`](crate::Execution::messages).
#[derive(Clone, Copy, Debug)]
pub struct Messages<'a> {
    pub(crate) backend: &'a Backend,
}

/// A message that has not been sent yet.
#[derive(Debug)]
pub struct NewMessage<'a> {
    pub(crate) backend: &'a Backend,
    pub(crate) subject: String,
    pub(crate) text: Option<String>,
    pub(crate) form: Option<String>,
    pub(crate) recipient: Option<String>,
}

/// A message of this execution.
#[derive(Clone, Debug)]
pub struct Message<'a> {
    backend: &'a Backend,
    id: String,
}

impl<'a> Messages<'a> {
    /// Begins a message with a subject: one line of at most 256 characters.
    pub fn new_message(&self, subject: impl Into<String>) -> NewMessage<'a> {
        NewMessage { backend: self.backend, subject: subject.into(), text: None, form: None, recipient: None }
    }

    /// The message of this execution with this id. Whether there is one shows when it is used.
    pub fn message(&self, id: impl Into<String>) -> Message<'a> {
        Message { backend: self.backend, id: id.into() }
    }
}

impl<'a> NewMessage<'a> {
    /// The same with a text of at most 64 KiB, which is shown as Markdown.
    #[must_use]
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.text = Some(text.into());
        self
    }

    /// The same with a form: a JSON Schema that the answer must fit. Without one, any JSON is an answer.
    ///
    /// Refused with `json.invalid` where the schema cannot be written as JSON.
    pub fn form(mut self, schema: &impl Serialize) -> Result<Self, HostError> {
        self.form = Some(to_json("the form", schema)?);
        Ok(self)
    }

    /// The same for the user of this name alone, who still needs the permission to respond.
    #[must_use]
    pub fn recipient(mut self, user: impl Into<String>) -> Self {
        self.recipient = Some(user.into());
        self
    }

    /// Sends it.
    ///
    /// Refused with `messages.invalid` for a subject or text beyond its length or an unknown recipient,
    /// `messages.invalid-form` for what is no JSON Schema, `messages.too-many` beyond 1,000 messages of one execution,
    /// `access.forbidden`.
    pub fn send(self) -> Result<Message<'a>, HostError> {
        let backend = self.backend;
        Ok(Message { id: backend.send_message(self)?, backend })
    }
}

impl Message<'_> {
    /// Its id, that of its record.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Waits for the answer, for at most `timeout` if that is given.
    ///
    /// Refused with `messages.not-found` for what is no message of this execution, `messages.wait-timeout` (the message stays
    /// open), `messages.closed`, and `json.invalid` where the answer cannot be read as a `T`.
    pub fn wait<T: DeserializeOwned>(&self, timeout: Option<Duration>) -> Result<T, HostError> {
        from_json("the response", &self.backend.wait_for_response(&self.id, timeout.map(microseconds))?)
    }

    /// The answer, or none as long as there is none.
    ///
    /// Refused with `messages.not-found`, as the functions below are, and with `json.invalid` as [`wait`](Self::wait) is.
    pub fn response<T: DeserializeOwned>(&self) -> Result<Option<T>, HostError> {
        self.backend.message_response(&self.id)?.map(|json| from_json("the response", &json)).transpose()
    }

    /// The name of the user that answered, or none as long as nobody did.
    pub fn responder(&self) -> Result<Option<String>, HostError> {
        self.backend.message_responder(&self.id)
    }

    /// Closes it: nobody can answer it any more. One that was answered stays as it is.
    pub fn close(&self) -> Result<(), HostError> {
        self.backend.close_message(&self.id)
    }
}
