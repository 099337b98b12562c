//! The answer that the host sends.

use super::Backend;
use crate::HostError;
use crate::bindings::flowhost::flow::response;

/// A body that the host sends.
#[derive(Debug)]
pub(crate) struct BodyBackend(response::BodyStream);

impl Backend {
    pub(crate) fn set_status(&self, status: u16) -> Result<(), HostError> {
        Ok(response::set_status(status)?)
    }

    pub(crate) fn set_header(&self, name: &str, value: &[u8]) -> Result<(), HostError> {
        Ok(response::set_header(name, value)?)
    }

    pub(crate) fn append_header(&self, name: &str, value: &[u8]) -> Result<(), HostError> {
        Ok(response::append_header(name, value)?)
    }

    pub(crate) fn set_body(&self, content_type: &str, body: &[u8]) -> Result<(), HostError> {
        Ok(response::set_body(content_type, body)?)
    }

    pub(crate) fn set_file(&self, name: &str) -> Result<(), HostError> {
        Ok(response::set_file(name)?)
    }

    pub(crate) fn send(&self) -> Result<(), HostError> {
        Ok(response::send()?)
    }

    pub(crate) fn start_body(&self, content_type: &str) -> Result<BodyBackend, HostError> {
        Ok(BodyBackend(response::start_body(content_type)?))
    }
}

impl BodyBackend {
    pub(crate) fn write(&self, bytes: &[u8]) -> Result<(), HostError> {
        Ok(self.0.write(bytes)?)
    }

    pub(crate) fn finish(&self) -> Result<(), HostError> {
        Ok(self.0.finish()?)
    }
}
