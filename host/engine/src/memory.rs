//! The memory budget of one call.

use wasmtime::{Error, ResourceLimiter, Result};

use crate::config::CORE_INSTANCES_PER_COMPONENT;
use crate::host_memory;

/// What one element of a table costs: a pointer.
const TABLE_ELEMENT_BYTES: usize = size_of::<usize>();

/// Counts the memories and tables of an instance together against one budget, where wasmtime's own limits are per memory.
#[derive(Debug)]
pub(crate) struct MemoryLimiter {
    room: usize,
    used: usize,
    denied: bool,
}

impl MemoryLimiter {
    pub(crate) fn new(budget: usize) -> Self {
        Self { room: budget, used: 0, denied: false }
    }

    /// Whether a growth was refused. A guest whose `memory.grow` fails aborts with a trap that says nothing of memory.
    pub(crate) fn denied(&self) -> bool {
        self.denied
    }

    /// Bytes in use at the most: memories and tables never shrink.
    pub(crate) fn used(&self) -> usize {
        self.used
    }

    fn take(&mut self, bytes: usize) -> bool {
        match self.room.checked_sub(bytes) {
            Some(room) => {
                self.room = room;
                self.used += bytes;
                true
            }
            None => {
                self.denied = true;
                false
            }
        }
    }
}

impl ResourceLimiter for MemoryLimiter {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> Result<bool> {
        // Beyond its own maximum the growth fails in any case and must not be counted.
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        Ok(self.take(desired.saturating_sub(current)))
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        Ok(self.take(desired.saturating_sub(current).saturating_mul(TABLE_ELEMENT_BYTES)))
    }

    // Told that a growth within its budget failed, the guest would abort, or return an error, and be blamed for it.
    fn memory_grow_failed(&mut self, error: Error) -> Result<()> {
        if host_memory::is_exhausted(&error) { Err(error) } else { Ok(()) }
    }

    fn table_grow_failed(&mut self, error: Error) -> Result<()> {
        if host_memory::is_exhausted(&error) { Err(error) } else { Ok(()) }
    }

    // A pool has places for as many; without one, this keeps what instances themselves take within bounds.
    fn instances(&self) -> usize {
        CORE_INSTANCES_PER_COMPONENT as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memories_and_tables_share_one_budget() {
        let mut limiter = MemoryLimiter::new(1000);
        assert!(limiter.memory_growing(0, 600, None).unwrap());
        assert!(limiter.table_growing(0, 40, None).unwrap());
        assert!(!limiter.denied());
        assert!(!limiter.memory_growing(0, 100, None).unwrap());
        assert!(limiter.denied());
        assert_eq!(limiter.used(), 920);
    }

    #[test]
    fn growth_that_the_host_has_no_memory_for_ends_the_call() {
        let mut limiter = MemoryLimiter::new(1000);
        let mapping = || Error::from(rustix::io::Errno::NOMEM).context("mprotect");
        assert!(limiter.memory_grow_failed(mapping()).is_err());
        assert!(limiter.table_grow_failed(mapping()).is_err());
        assert!(limiter.memory_grow_failed(wasmtime::format_err!("Memory maximum size exceeded")).is_ok());
    }

    #[test]
    fn a_growth_beyond_a_memorys_own_maximum_is_no_denial() {
        let mut limiter = MemoryLimiter::new(1000);
        assert!(!limiter.memory_growing(0, 200, Some(100)).unwrap());
        assert!(!limiter.denied());
    }
}
