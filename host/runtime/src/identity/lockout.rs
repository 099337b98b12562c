//! Lock-outs: a user name for which too many logins failed is refused for a while.
//!
//! Names are counted whether or not there is such a user, so that a lock-out does not tell. The counts are in memory: a
//! restart of the host forgets them, which takes longer than what an attacker would gain by it. Sessions and API tokens
//! that a user has stay valid while the name is locked out; who fails on purpose keeps others from logging in and from
//! nothing else.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flowhost_model::{Timestamp, normalize_name};

/// How many logins may fail in a row before a name is locked out.
const FREE_FAILURES: u32 = 5;
/// How long the first lock-out lasts. Each further failure doubles it.
const FIRST_LOCK: Duration = Duration::from_secs(30);
/// How long a lock-out lasts at most.
const LONGEST_LOCK: Duration = Duration::from_secs(60 * 60);
/// After so long without another failure, the earlier ones do not count any more.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(24 * 60 * 60);
/// How many names are remembered: some megabytes of them at the most.
const NAMES_MAX: usize = 10_000;

/// Counts the failed logins of each name.
#[derive(Debug)]
pub(crate) struct Lockouts {
    names: Mutex<HashMap<String, Failures>>,
    names_max: usize,
}

/// The failed logins of a name since its last success.
#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    last: Timestamp,
}

/// The name is refused for now, whatever the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many logins failed; try again after {until}")]
pub(crate) struct LockedOut {
    /// From when on logins are tried again.
    pub(crate) until: Timestamp,
}

impl LockedOut {
    /// How long that is from `now` on, for a `Retry-After`.
    pub(crate) fn retry_after(self, now: Timestamp) -> Duration {
        Duration::from_micros(u64::try_from(self.until.as_micros().saturating_sub(now.as_micros())).unwrap_or(0))
    }
}

impl Failures {
    /// Until when the name is locked out, if ever.
    fn locked_until(self) -> Option<Timestamp> {
        let doublings = self.count.checked_sub(FREE_FAILURES)?;
        let lock = 2_u32.checked_pow(doublings).map_or(LONGEST_LOCK, |times| FIRST_LOCK.saturating_mul(times));
        Some(self.last.saturating_add(lock.min(LONGEST_LOCK)))
    }

    fn is_forgotten(self, now: Timestamp) -> bool {
        self.last.saturating_add(FORGOTTEN_AFTER) <= now
    }
}

impl Default for Lockouts {
    fn default() -> Self {
        Self::with_names_max(NAMES_MAX)
    }
}

impl Lockouts {
    fn with_names_max(names_max: usize) -> Self {
        Self { names: Mutex::default(), names_max }
    }

    /// Whether a login with this name may be tried. To be asked before the password is looked at: a right one does not
    /// help.
    pub(crate) fn check(&self, name: &str, now: Timestamp) -> Result<(), LockedOut> {
        let failures = key(name).and_then(|name| self.names().get(name).copied());
        match failures.and_then(Failures::locked_until) {
            Some(until) if now < until => Err(LockedOut { until }),
            _ => Ok(()),
        }
    }

    /// Whether logins with this name are refused for now.
    pub(crate) fn is_locked(&self, name: &str, now: Timestamp) -> bool {
        self.check(name, now).is_err()
    }

    /// A login with this name failed.
    pub(crate) fn failed(&self, name: &str, now: Timestamp) {
        let Some(name) = key(name) else {
            return;
        };
        let mut names = self.names();
        if let Some(failures) = names.get_mut(name) {
            let earlier = if failures.is_forgotten(now) { 0 } else { failures.count };
            *failures = Failures { count: earlier.saturating_add(1), last: now };
            return;
        }
        if names.len() >= self.names_max {
            make_room(&mut names, now);
        }
        names.insert(name.to_owned(), Failures { count: 1, last: now });
    }

    /// A login with this name succeeded; or an administrator lets the user in again.
    pub(crate) fn succeeded(&self, name: &str) {
        if let Some(name) = key(name) {
            self.names().remove(name);
        }
    }

    fn names(&self) -> MutexGuard<'_, HashMap<String, Failures>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The name as users have it, so that blanks around it do not give further attempts. What cannot be a user's name is
/// not counted: no login with it can succeed.
fn key(name: &str) -> Option<&str> {
    normalize_name(name).ok()
}

/// Takes out what does not count any more, or else the name with the fewest failures, and of those the longest ago.
/// Whoever wants a locked name out would have to fail as often with every other name, and each failure costs a hash.
fn make_room(names: &mut HashMap<String, Failures>, now: Timestamp) {
    let before = names.len();
    names.retain(|_, failures| !failures.is_forgotten(now));
    if names.len() < before {
        return;
    }
    let least = names.iter().min_by_key(|(_, failures)| (failures.count, failures.last)).map(|(name, _)| name.clone());
    if let Some(least) = least {
        names.remove(&least);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp(1_700_000_000_000_000);

    fn at(seconds: u64) -> Timestamp {
        START.saturating_add(Duration::from_secs(seconds))
    }

    fn fail(lockouts: &Lockouts, name: &str, times: u32, now: Timestamp) {
        (0..times).for_each(|_| lockouts.failed(name, now));
    }

    #[test]
    fn the_fifth_failure_in_a_row_locks_out_for_half_a_minute() {
        let lockouts = Lockouts::default();
        fail(&lockouts, "ada", 4, at(0));
        assert_eq!(lockouts.check("ada", at(0)), Ok(()));
        lockouts.failed("ada", at(1));
        assert_eq!(lockouts.check("ada", at(1)), Err(LockedOut { until: at(31) }));
        assert!(lockouts.is_locked("ada", at(30)));
        assert!(!lockouts.is_locked("ada", at(31)));
        assert!(!lockouts.is_locked("grace", at(1)), "other names are not touched");
    }

    #[test]
    fn each_further_failure_doubles_the_lock_up_to_an_hour() {
        let lockouts = Lockouts::default();
        fail(&lockouts, "ada", 4, at(0));
        let mut now = at(0);
        for seconds in [30, 60, 120, 240, 480, 960, 1920, 3600, 3600, 3600] {
            lockouts.failed("ada", now);
            let until = now.saturating_add(Duration::from_secs(seconds));
            assert_eq!(lockouts.check("ada", now), Err(LockedOut { until }));
            now = until;
            assert_eq!(lockouts.check("ada", now), Ok(()), "it may be tried again");
        }
        fail(&lockouts, "ada", 1000, now);
        assert_eq!(lockouts.check("ada", now).unwrap_err().retry_after(now), LONGEST_LOCK, "no overflow");
    }

    #[test]
    fn a_success_resets_the_count() {
        let lockouts = Lockouts::default();
        fail(&lockouts, "ada", 4, at(0));
        lockouts.succeeded("ada");
        fail(&lockouts, "ada", 4, at(1));
        assert!(!lockouts.is_locked("ada", at(1)));
        lockouts.failed("ada", at(1));
        assert!(lockouts.is_locked("ada", at(1)));
        lockouts.succeeded("ada");
        assert!(!lockouts.is_locked("ada", at(1)));
    }

    #[test]
    fn failures_are_forgotten_after_a_day() {
        let lockouts = Lockouts::default();
        let day = FORGOTTEN_AFTER.as_secs();
        fail(&lockouts, "ada", 4, at(0));
        lockouts.failed("ada", at(day));
        assert!(!lockouts.is_locked("ada", at(day)));
        fail(&lockouts, "ada", 4, at(day + day - 1));
        assert!(lockouts.is_locked("ada", at(day + day - 1)));
    }

    #[test]
    fn blanks_around_a_name_give_no_further_attempts() {
        let lockouts = Lockouts::default();
        for name in ["ada", " ada", "ada ", "\tada", " ada "] {
            lockouts.failed(name, at(0));
        }
        assert!(lockouts.is_locked("ada", at(0)));
        assert!(lockouts.is_locked("  ada", at(0)));
    }

    #[test]
    fn what_cannot_be_a_name_is_not_remembered() {
        let lockouts = Lockouts::default();
        for name in ["", "a\nb", &"x".repeat(1_000_000)] {
            fail(&lockouts, name, 10, at(0));
            assert_eq!(lockouts.check(name, at(0)), Ok(()));
        }
        assert!(lockouts.names().is_empty());
    }

    #[test]
    fn a_flood_of_names_neither_grows_the_table_nor_frees_a_locked_one() {
        let lockouts = Lockouts::with_names_max(100);
        fail(&lockouts, "ada", 6, at(0));
        for number in 0..1000 {
            fail(&lockouts, &format!("nobody-{number}"), 2, at(1));
        }
        assert_eq!(lockouts.names().len(), 100);
        assert!(lockouts.is_locked("ada", at(1)));
        // What does not count any more goes first.
        lockouts.failed("grace", at(1 + FORGOTTEN_AFTER.as_secs()));
        assert_eq!(lockouts.names().len(), 1);
    }

    #[test]
    fn retry_after_is_what_is_left() {
        let locked = LockedOut { until: at(30) };
        assert_eq!(locked.retry_after(at(10)), Duration::from_secs(20));
        assert_eq!(locked.retry_after(at(40)), Duration::ZERO);
        assert_eq!(locked.to_string(), "too many logins failed; try again after 2023-11-14T22:13:50.000000+00:00");
    }
}
