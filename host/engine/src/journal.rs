//! The one point that every call of a flow passes when it reads or changes the world outside the guest.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The journal of one execution.
///
/// Time belongs to it: a flow's clocks show the time of the last journal point and stand still between two points, so that
/// a kept journal can show a flow which is run again the times that it saw before.
#[derive(Debug)]
pub struct Journal {
    /// Since 1970; the flow's wall clock.
    now: Duration,
    /// When the execution began, on the same scale; the flow's monotonic clock counts from here.
    began: Duration,
    points: u64,
}

impl Journal {
    /// The journal of an execution that begins now.
    pub fn begin() -> Self {
        let now = present();
        Self { now, began: now, points: 0 }
    }

    /// The time of the last journal point, since 1970-01-01T00:00:00Z.
    pub fn wall_clock(&self) -> Duration {
        self.now
    }

    /// The time of the last journal point, since the execution began. Never goes back.
    pub fn monotonic_clock(&self) -> Duration {
        self.now - self.began
    }

    /// How many journal points the execution has passed.
    pub fn points(&self) -> u64 {
        self.points
    }

    /// Passes the journal point: what happened outside becomes part of the execution, and time moves on.
    pub fn pass(&mut self) {
        self.points += 1;
        // The system's clock may be set back; the execution's never is.
        self.now = self.now.max(present());
    }
}

/// The system's clock. One before 1970 reads as 1970.
fn present() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_moves_at_journal_points_only() {
        let mut journal = Journal::begin();
        let (wall, monotonic) = (journal.wall_clock(), journal.monotonic_clock());
        while present() == wall {
            std::hint::spin_loop();
        }
        assert_eq!((journal.wall_clock(), journal.monotonic_clock()), (wall, monotonic));
        journal.pass();
        assert!(journal.wall_clock() > wall && journal.monotonic_clock() > monotonic);
        assert_eq!(journal.points(), 1);
    }
}
