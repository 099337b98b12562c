//! Sleeps that return at once: the test's clock moves on.

use std::time::Duration;

use super::{Backend, timestamp};
use crate::{Execution, HostError};

/// Ten years, in days.
const LONGEST_SLEEP: Duration = Duration::from_secs(3653 * 24 * 60 * 60);

/// Tests: native only.
impl Execution {
    /// How long each sleep of the flow took on the test's clock; nothing for one until a time that had passed.
    pub fn slept(&self) -> Vec<Duration> {
        self.backend.slept.borrow().clone()
    }
}

impl Backend {
    pub(crate) fn sleep_for(&self, microseconds: u64) -> Result<(), HostError> {
        let duration = Duration::from_micros(microseconds);
        if duration > LONGEST_SLEEP {
            return Err(HostError::new("sleep.too-long", "the sleep ends more than ten years from now"));
        }
        self.pass(self.now() + duration);
        self.slept.borrow_mut().push(duration);
        Ok(())
    }

    pub(crate) fn sleep_until(&self, time: u64) -> Result<(), HostError> {
        self.sleep_for(time.saturating_sub(timestamp(self.now())))
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn a_sleep_moves_the_clock_of_the_test() {
        let noon = SystemTime::UNIX_EPOCH + Duration::from_secs(12 * 60 * 60);
        let this = Execution::for_test().with_now(noon);
        this.sleep().for_duration(Duration::from_secs(5)).unwrap();
        this.sleep().until(noon + Duration::from_secs(60)).unwrap();
        this.sleep().until(noon).unwrap();
        this.sleep().until(SystemTime::UNIX_EPOCH - Duration::from_secs(1)).unwrap();
        assert_eq!(this.slept(), [5, 55, 0, 0].map(Duration::from_secs));
        assert_eq!(this.now(), noon + Duration::from_secs(60));
        assert!(this.deadline() > this.now());
    }

    #[test]
    fn a_mistake_in_the_unit_is_refused() {
        let this = Execution::for_test();
        let years = |count: u64| Duration::from_secs(count * 366 * 24 * 60 * 60);
        for refused in [
            this.sleep().for_duration(years(11)),
            this.sleep().for_duration(Duration::MAX),
            this.sleep().until(this.now() + years(11)),
        ] {
            assert_eq!(refused.unwrap_err().code(), "sleep.too-long");
        }
        this.sleep().for_duration(years(9)).unwrap();
        assert_eq!(this.slept(), [years(9)]);
    }
}
