//! Locks on names: of several executions one at a time holds a lock.
//!
//! A lock is released when its execution ends, in whatever way, and not before unless the flow does it. Each project has names
//! of its own. Waiting for a lock survives restarts of the host, costs no memory while it is long, and counts against no
//! limit.
//!
//! ```
//! use std::time::Duration;
//! use flowhost_guest::{Execution, FlowError, Outputs, flow};
//!
//! #[flow]
//! fn book(this: &Execution) -> Result<Outputs, FlowError> {
//!     this.locks().acquire("stock", Some(Duration::from_secs(60)))?;
//!     let left = this.settings().increment("stock.left", -1)?;
//!     this.locks().release("stock")?;
//!     Ok(Outputs::new().set("left", left))
//! }
//!
//! let this = Execution::for_test().with_setting("stock.left", 8);
//! assert_eq!(book(&this).unwrap().get("left").unwrap(), 7);
//!
//! // In a test, another execution can hold it.
//! let this = Execution::for_test().with_foreign_lock("stock");
//! assert_eq!(book(&this).unwrap_err().code(), Some("locks.wait-timeout"));
//! ```
//!
//! Who takes several locks takes them in the same order everywhere: two executions that each wait for a lock of the other wait
//! until a timeout ends that, or an operator.
//!
//! Every function is refused with `access.forbidden` without the permission to update settings in the execution's project, and
//! with `record.invalid` where a name is empty, longer than 128 characters or begins or ends with a blank.

use std::time::Duration;

use crate::HostError;
use crate::backend::Backend;
use crate::crossing::microseconds;

/// The locks that an execution can take, from [`Execution::locks`](crate::Execution::locks).
#[derive(Clone, Copy, Debug)]
pub struct Locks<'a> {
    pub(crate) backend: &'a Backend,
}

impl Locks<'_> {
    /// Takes a lock, and waits for it where another execution holds it, for at most `timeout` if that is given. A lock that
    /// the execution holds is no wait.
    ///
    /// Refused with `locks.wait-timeout`, which names the holder, and `locks.too-many` beyond 1,000 locks of one execution.
    pub fn acquire(&self, name: &str, timeout: Option<Duration>) -> Result<(), HostError> {
        self.backend.acquire_lock(name, timeout.map(microseconds))
    }

    /// Takes a lock that nobody else holds. Gives whether the execution holds it now.
    ///
    /// Refused with `locks.too-many`.
    pub fn try_acquire(&self, name: &str) -> Result<bool, HostError> {
        self.backend.try_acquire_lock(name)
    }

    /// Gives a lock back.
    ///
    /// Refused with `locks.lost` where the execution does not hold it: it never did, or an operator broke it.
    pub fn release(&self, name: &str) -> Result<(), HostError> {
        self.backend.release_lock(name)
    }

    /// Whether the execution still holds a lock: an operator can break one.
    pub fn is_held(&self, name: &str) -> Result<bool, HostError> {
        self.backend.lock_is_held(name)
    }

    /// The id of the execution that holds a lock, or none.
    pub fn holder(&self, name: &str) -> Result<Option<String>, HostError> {
        self.backend.lock_holder(name)
    }
}
