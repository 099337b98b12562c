//! The host's locks.

use super::Backend;
use crate::HostError;
use crate::bindings::flowhost::flow::locks;

impl Backend {
    pub(crate) fn acquire_lock(&self, name: &str, timeout: Option<u64>) -> Result<(), HostError> {
        Ok(locks::acquire(name, timeout)?)
    }

    pub(crate) fn try_acquire_lock(&self, name: &str) -> Result<bool, HostError> {
        Ok(locks::try_acquire(name)?)
    }

    pub(crate) fn release_lock(&self, name: &str) -> Result<(), HostError> {
        Ok(locks::release(name)?)
    }

    pub(crate) fn lock_is_held(&self, name: &str) -> Result<bool, HostError> {
        Ok(locks::is_held(name)?)
    }

    pub(crate) fn lock_holder(&self, name: &str) -> Result<Option<String>, HostError> {
        Ok(locks::get_holder(name)?)
    }
}
