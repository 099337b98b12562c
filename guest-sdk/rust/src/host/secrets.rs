//! The host's secrets.

use super::Backend;
use crate::HostError;
use crate::bindings::flowhost::flow::secrets;

impl Backend {
    pub(crate) fn secret_placeholder(&self, name: &str) -> Result<String, HostError> {
        Ok(secrets::placeholder(name)?)
    }

    pub(crate) fn secret(&self, name: &str) -> Result<String, HostError> {
        Ok(secrets::get(name)?)
    }
}
