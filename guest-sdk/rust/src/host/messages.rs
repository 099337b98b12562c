//! The host's messages.

use super::Backend;
use crate::HostError;
use crate::bindings::flowhost::flow::messages;
use crate::messages::NewMessage;

impl Backend {
    pub(crate) fn send_message(&self, message: NewMessage<'_>) -> Result<String, HostError> {
        let new = messages::NewMessage::new(&message.subject);
        if let Some(text) = &message.text {
            new.set_text(text);
        }
        if let Some(form) = &message.form {
            new.set_form(form);
        }
        if let Some(recipient) = &message.recipient {
            new.set_recipient(recipient);
        }
        Ok(new.send()?)
    }

    pub(crate) fn wait_for_response(&self, id: &str, timeout: Option<u64>) -> Result<String, HostError> {
        Ok(messages::wait(id, timeout)?)
    }

    pub(crate) fn message_response(&self, id: &str) -> Result<Option<String>, HostError> {
        Ok(messages::get_response(id)?)
    }

    pub(crate) fn message_responder(&self, id: &str) -> Result<Option<String>, HostError> {
        Ok(messages::get_responder(id)?)
    }

    pub(crate) fn close_message(&self, id: &str) -> Result<(), HostError> {
        Ok(messages::close(id)?)
    }
}
