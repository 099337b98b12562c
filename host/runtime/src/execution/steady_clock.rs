//! A clock that no jump moves: waits for a length of time are kept in its time.
//!
//! It runs as the host's clock does, but for the jumps of that which the host has noticed. By as much as those were together,
//! which the store keeps, its time differs from the clock's.

use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

use flowhost_model::Timestamp;

/// The clock.
#[derive(Debug)]
pub(crate) struct SteadyClock(RwLock<Seen>);

#[derive(Clone, Copy, Debug)]
struct Seen {
    /// What the host's clock showed.
    clock: Timestamp,
    at: Instant,
    /// By how many microseconds it jumped so far.
    jumped: i64,
}

impl SteadyClock {
    /// A clock beside one that shows this at that moment, and that jumped by so many microseconds before.
    pub(crate) fn new(clock: Timestamp, at: Instant, jumped: i64) -> Self {
        Self(RwLock::new(Seen { clock, at, jumped }))
    }

    /// The present.
    pub(crate) fn now(&self) -> Timestamp {
        let seen = *self.0.read().unwrap_or_else(PoisonError::into_inner);
        Timestamp(seen.clock.saturating_add(seen.at.elapsed()).0.saturating_sub(seen.jumped))
    }

    /// How long it is until a time of this clock.
    pub(crate) fn left(&self, until: Timestamp) -> Duration {
        until.since(self.now())
    }

    /// The host's clock shows this at that moment. `jumped` is by how much it jumped so far, where it just did.
    pub(crate) fn note(&self, clock: Timestamp, at: Instant, jumped: Option<i64>) {
        let mut seen = self.0.write().unwrap_or_else(PoisonError::into_inner);
        *seen = Seen { clock, at, jumped: jumped.unwrap_or(seen.jumped) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000_000;

    #[test]
    fn steady_clock_goes_on_when_the_clock_is_set() {
        let at = Instant::now();
        let steady = SteadyClock::new(Timestamp(5 * HOUR), at, 0);
        let close = |expected: i64| (0..60_000_000).contains(&(steady.now().0 - expected));
        assert!(close(5 * HOUR));
        steady.note(Timestamp(9 * HOUR), at, Some(4 * HOUR));
        assert!(close(5 * HOUR));
        steady.note(Timestamp(9 * HOUR), at, None);
        assert!(close(5 * HOUR));
        // The next process begins where this one ended.
        let next = SteadyClock::new(Timestamp(9 * HOUR), at, 4 * HOUR);
        assert!(next.left(Timestamp(6 * HOUR)) <= Duration::from_secs(3600));
        assert_eq!(next.left(Timestamp(4 * HOUR)), Duration::ZERO);
    }
}
