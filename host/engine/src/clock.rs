//! The host's clock, which tests can set.

use std::fmt;

use flowhost_model::Timestamp;

/// Tells the time. It may jump, as the clock of a machine does when somebody sets it.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The present.
    fn now(&self) -> Timestamp;
}

/// The clock of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "this is the one clock that is the machine's")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}
