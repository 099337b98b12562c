//! The host's sleeps.

use super::Backend;
use crate::HostError;
use crate::bindings::flowhost::flow::sleep;

impl Backend {
    pub(crate) fn sleep_for(&self, microseconds: u64) -> Result<(), HostError> {
        Ok(sleep::for_duration(microseconds)?)
    }

    pub(crate) fn sleep_until(&self, timestamp: u64) -> Result<(), HostError> {
        Ok(sleep::until(timestamp)?)
    }
}
