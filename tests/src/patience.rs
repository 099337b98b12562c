//! Waiting for what must come.

use std::thread;
use std::time::{Duration, Instant};

/// How long anything may take before its test fails. Far more than it takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(5);

/// Looks until there is something to see, and gives it.
///
/// # Panics
///
/// When [`PATIENCE`] is at its end.
pub fn until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    try_until(look).unwrap_or_else(|| panic!("waited in vain until {what}"))
}

/// [`until`]; none when [`PATIENCE`] is at its end.
pub(crate) fn try_until<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + PATIENCE;
    loop {
        let seen = look();
        if seen.is_some() || Instant::now() >= end {
            return seen;
        }
        thread::sleep(PAUSE);
    }
}
