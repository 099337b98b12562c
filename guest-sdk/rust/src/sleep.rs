//! Waiting for a time.
//!
//! A sleep survives restarts of the host, costs no memory while it is long, and counts against no limit.
//!
//! ```
//! use std::time::Duration;
//! use flowhost_guest::{Execution, FlowError, Outputs, flow};
//!
//! #[flow]
//! fn welcome(this: &Execution) -> Result<Outputs, FlowError> {
//!     this.info("signed up");
//!     this.sleep().for_duration(Duration::from_secs(24 * 60 * 60))?;
//!     this.info("a day later");
//!     Ok(Outputs::new())
//! }
//!
//! // In a test a sleep returns at once, and the test's clock moves on.
//! let this = Execution::for_test();
//! let start = this.now();
//! welcome(&this).unwrap();
//! assert_eq!(this.now(), start + Duration::from_secs(24 * 60 * 60));
//! assert_eq!(this.slept(), [Duration::from_secs(24 * 60 * 60)]);
//! ```
//!
//! Refused with `sleep.too-long` is what ends more than ten years from now: that is rather a mistake in the unit.

use std::time::{Duration, SystemTime};

use crate::HostError;
use crate::backend::Backend;
use crate::crossing::microseconds;

/// An execution's waiting for a time, from [`Execution::sleep`](crate::Execution::sleep).
#[derive(Clone, Copy, Debug)]
pub struct Sleep<'a> {
    pub(crate) backend: &'a Backend,
}

impl Sleep<'_> {
    /// Waits for so long, whatever is done to the host's clock meanwhile.
    ///
    /// Refused with `sleep.too-long`.
    pub fn for_duration(&self, duration: Duration) -> Result<(), HostError> {
        self.backend.sleep_for(microseconds(duration))
    }

    /// Waits until the host's clock shows that time. One that has passed is no wait.
    ///
    /// Refused with `sleep.too-long`.
    pub fn until(&self, time: SystemTime) -> Result<(), HostError> {
        let since_epoch = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.backend.sleep_until(microseconds(since_epoch))
    }
}
