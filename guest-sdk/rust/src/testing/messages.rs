//! Messages in memory, whose answers are given in advance.

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::Value;

use super::Backend;
use crate::crossing::from_json;
use crate::messages::NewMessage;
use crate::{Execution, HostError};

/// The longest subject, in characters.
const LONGEST_SUBJECT: usize = 256;

/// The longest text, in bytes.
const LONGEST_TEXT: usize = 64 * 1024;

/// The most messages of one execution.
const MOST: usize = 1000;

/// A message that a flow under test sent. Native only.
#[derive(Clone, Debug, PartialEq)]
pub struct SentMessage {
    /// Its id.
    pub id: String,
    /// What it is about.
    pub subject: String,
    /// What it says.
    pub text: Option<String>,
    /// The JSON Schema of its answer. A test's host does not hold the answer against it.
    pub form: Option<Value>,
    /// Who alone may answer.
    pub recipient: Option<String>,
    /// Whether the flow closed it.
    pub is_closed: bool,
}

/// An answer, with the user that gives it.
type Answer = (String, Value);

/// A message, with its answer.
type Answered = (SentMessage, Option<Answer>);

/// What was sent, and what is to be answered.
#[derive(Debug, Default)]
pub(super) struct Messages {
    prepared: VecDeque<Answer>,
    sent: Vec<Answered>,
}

impl Messages {
    fn find(&mut self, id: &str) -> Result<&mut Answered, HostError> {
        let missing = || HostError::new("messages.not-found", format_args!("`{id}` is no message of this execution"));
        self.sent.iter_mut().find(|(message, _)| message.id == id).ok_or_else(missing)
    }
}

/// Tests: native only.
impl Execution {
    /// The same execution, where this user gives this answer: the first such to the first message, at once.
    #[must_use]
    pub fn with_answer(self, user: &str, response: impl Into<Value>) -> Self {
        self.backend.messages.borrow_mut().prepared.push_back((user.into(), response.into()));
        self
    }

    /// The messages that the flow sent so far.
    pub fn messages_sent(&self) -> Vec<SentMessage> {
        self.backend.messages.borrow().sent.iter().map(|(message, _)| message.clone()).collect()
    }
}

impl Backend {
    pub(crate) fn send_message(&self, message: NewMessage<'_>) -> Result<String, HostError> {
        let NewMessage { subject, text, form, recipient, .. } = message;
        let is_line = !subject.trim().is_empty() && !subject.chars().any(char::is_control);
        if !is_line || subject.chars().count() > LONGEST_SUBJECT {
            return Err(HostError::new("messages.invalid", "a subject is one line of 1 to 256 characters"));
        }
        if text.as_ref().is_some_and(|text| text.len() > LONGEST_TEXT) {
            return Err(HostError::new("messages.invalid", "a text has at most 65536 bytes"));
        }
        let form: Option<Value> = form.map(|form| from_json("the form", &form)).transpose()?;
        if form.as_ref().is_some_and(|form| !form.is_object() && !form.is_boolean()) {
            return Err(HostError::new("messages.invalid-form", "the form is no JSON Schema"));
        }
        let mut messages = self.messages.borrow_mut();
        if messages.sent.len() >= MOST {
            return Err(HostError::new("messages.too-many", "an execution sends at most 1000 messages"));
        }
        let id = format!("00000000-0000-7000-8001-{:012x}", messages.sent.len());
        let answer = messages.prepared.pop_front();
        messages.sent.push((SentMessage { id: id.clone(), subject, text, form, recipient, is_closed: false }, answer));
        Ok(id)
    }

    /// Waiting for an answer that is not there ends with its timeout.
    ///
    /// # Panics
    ///
    /// Where it has none: the flow would wait for ever.
    pub(crate) fn wait_for_response(&self, id: &str, timeout: Option<u64>) -> Result<String, HostError> {
        let mut messages = self.messages.borrow_mut();
        let (message, answer) = messages.find(id)?;
        if let Some((_, response)) = answer {
            return Ok(response.to_string());
        }
        if message.is_closed {
            return Err(HostError::new("messages.closed", "nobody can respond to the message any more"));
        }
        let subject = message.subject.clone();
        drop(messages);
        let Some(timeout) = timeout else { panic!("the flow waits for ever for an answer to `{subject}`") };
        self.pass(self.now() + Duration::from_micros(timeout));
        Err(HostError::new("messages.wait-timeout", "nobody responded to the message in time; it stays open"))
    }

    pub(crate) fn message_response(&self, id: &str) -> Result<Option<String>, HostError> {
        Ok(self.messages.borrow_mut().find(id)?.1.as_ref().map(|(_, response)| response.to_string()))
    }

    pub(crate) fn message_responder(&self, id: &str) -> Result<Option<String>, HostError> {
        Ok(self.messages.borrow_mut().find(id)?.1.as_ref().map(|(user, _)| user.clone()))
    }

    pub(crate) fn close_message(&self, id: &str) -> Result<(), HostError> {
        let mut messages = self.messages.borrow_mut();
        let (message, answer) = messages.find(id)?;
        message.is_closed = answer.is_none();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn messages_are_answered_in_their_order() {
        let this = Execution::for_test().with_answer("ada", json!(1)).with_answer("grace", Value::Null);
        let one = this.messages().new_message("One?").text("*one*").recipient("ada").send().unwrap();
        let two = this.messages().new_message("Two?").form(&json!({ "type": "null" })).unwrap().send().unwrap();
        assert_eq!((one.wait::<u8>(None).unwrap(), one.responder().unwrap().as_deref()), (1, Some("ada")));
        assert_eq!(two.response::<Value>().unwrap(), Some(Value::Null));
        one.close().unwrap();
        assert_eq!(one.wait::<String>(None).unwrap_err().code(), "json.invalid");
        let sent = this.messages_sent();
        assert_eq!((sent[0].recipient.as_deref(), sent[0].is_closed), (Some("ada"), false));
        assert_eq!(sent[1].form, Some(json!({ "type": "null" })));
    }

    #[test]
    fn what_nobody_answers_is_waited_for_until_the_timeout() {
        let this = Execution::for_test();
        let start = this.now();
        let message = this.messages().new_message("Anybody?").send().unwrap();
        let refused = message.wait::<Value>(Some(Duration::from_secs(9))).unwrap_err();
        assert_eq!((refused.code(), this.now()), ("messages.wait-timeout", start + Duration::from_secs(9)));
        assert_eq!((message.response::<Value>().unwrap(), message.responder().unwrap()), (None, None));
        message.close().unwrap();
        assert_eq!(message.wait::<Value>(None).unwrap_err().code(), "messages.closed");
        assert_eq!(this.messages().message("other").close().unwrap_err().code(), "messages.not-found");
    }

    #[test]
    #[should_panic(expected = "waits for ever for an answer to `Anybody?`")]
    fn a_wait_for_ever_fails_the_test() {
        let this = Execution::for_test();
        let _never = this.messages().new_message("Anybody?").send().unwrap().wait::<Value>(None);
    }

    #[test]
    fn messages_have_their_rules() {
        let this = Execution::for_test();
        let new = |subject: &str| this.messages().new_message(subject);
        for subject in ["", " ", "a\nb", &"s".repeat(257)] {
            assert_eq!(new(subject).send().unwrap_err().code(), "messages.invalid");
        }
        assert_eq!(new("s").text("t".repeat(LONGEST_TEXT + 1)).send().unwrap_err().code(), "messages.invalid");
        assert_eq!(new("s").form(&"text").unwrap().send().unwrap_err().code(), "messages.invalid-form");
        for _ in 0..MOST {
            new(&"s".repeat(256)).send().unwrap();
        }
        assert_eq!(new("s").send().unwrap_err().code(), "messages.too-many");
    }
}
