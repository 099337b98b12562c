//! Counts of failed attempts. After too many of them, further attempts are refused for a while.
//!
//! The counts are in memory: a restart of the host forgets them, which takes longer than an attacker gains by it.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flowhost_model::Timestamp;

use crate::problem::{Code, Problem};

/// How many failures are free, and what follows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    /// Failures in a row that refuse nothing. One failure more, and attempts are refused.
    pub(crate) free: u32,
    /// How long the first refusal lasts. Each further failure doubles it.
    pub(crate) first: Duration,
    /// How long a refusal lasts at most.
    pub(crate) longest: Duration,
    /// The time without a failure after which earlier ones no longer count.
    pub(crate) forgotten_after: Duration,
    /// The most keys that are remembered.
    pub(crate) capacity: usize,
}

/// Counts the failures of each key since its last success.
#[derive(Debug)]
pub(crate) struct FailureCounts<K> {
    policy: Policy,
    entries: Mutex<HashMap<K, Failures>>,
}

/// The failures of a key since its last success.
#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    last: Timestamp,
}

/// Attempts are refused for now, even right ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RefusedUntil(pub(crate) Timestamp);

impl RefusedUntil {
    /// Returns the problem of an attempt that is refused at `now`.
    pub(crate) fn problem(self, code: Code, detail: &str, now: Timestamp) -> Problem {
        let mut problem = Problem::new(code, detail);
        problem.retry_after = Some(self.retry_after(now));
        problem
    }

    /// Returns how long that is from `now` on.
    fn retry_after(self, now: Timestamp) -> Duration {
        Duration::from_micros(u64::try_from(self.0.as_micros().saturating_sub(now.as_micros())).unwrap_or(0))
    }
}

impl Failures {
    /// Returns the time until which attempts are refused, or `None` while failures are free.
    fn refused_until(self, policy: &Policy, free: u32) -> Option<Timestamp> {
        let doublings = self.count.checked_sub(free)?;
        let refusal = 2_u32.checked_pow(doublings).map_or(policy.longest, |times| policy.first.saturating_mul(times));
        Some(self.last.saturating_add(refusal.min(policy.longest)))
    }

    fn is_forgotten(self, policy: &Policy, now: Timestamp) -> bool {
        self.last.saturating_add(policy.forgotten_after) <= now
    }
}

impl<K: Clone + Eq + Hash> FailureCounts<K> {
    pub(crate) fn new(policy: Policy) -> Self {
        Self { policy, entries: Mutex::default() }
    }

    /// Refuses an attempt if too many before it failed. The caller asks before it looks at the secret, so that a right one
    /// does not help.
    pub(crate) fn check(&self, key: &K, now: Timestamp) -> Result<(), RefusedUntil> {
        self.check_with(key, self.policy.free, now)
    }

    /// [`FailureCounts::check`] with another number of free failures.
    pub(crate) fn check_with(&self, key: &K, free: u32, now: Timestamp) -> Result<(), RefusedUntil> {
        let failures = self.entries().get(key).copied();
        match failures.and_then(|failures| failures.refused_until(&self.policy, free)) {
            Some(until) if now < until => Err(RefusedUntil(until)),
            _ => Ok(()),
        }
    }

    /// Counts a failure.
    pub(crate) fn failed(&self, key: &K, now: Timestamp) {
        let mut entries = self.entries();
        if let Some(failures) = entries.get_mut(key) {
            let earlier = if failures.is_forgotten(&self.policy, now) { 0 } else { failures.count };
            *failures = Failures { count: earlier.saturating_add(1), last: now };
            return;
        }
        if entries.len() >= self.policy.capacity {
            make_room(&mut entries, &self.policy, now);
        }
        entries.insert(key.clone(), Failures { count: 1, last: now });
    }

    /// Forgets the failures of a key.
    pub(crate) fn succeeded(&self, key: &K) {
        self.entries().remove(key);
    }

    /// Returns the number of failures that count at `now`.
    pub(crate) fn count(&self, key: &K, now: Timestamp) -> u32 {
        let failures = self.entries().get(key).copied();
        failures.filter(|failures| !failures.is_forgotten(&self.policy, now)).map_or(0, |failures| failures.count)
    }

    /// Whether any key for which `is_meant` holds is refused for now.
    pub(crate) fn is_any_refused(&self, free: u32, now: Timestamp, is_meant: impl Fn(&K) -> bool) -> bool {
        self.entries().iter().any(|(key, failures)| {
            is_meant(key) && failures.refused_until(&self.policy, free).is_some_and(|until| now < until)
        })
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<K, Failures>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes out the failures that no longer count, or else the quarter with the fewest failures, of those the oldest. An attacker
/// who wants to free a refused key would have to fail as often with three quarters of the keys.
fn make_room<K: Clone + Eq + Hash>(entries: &mut HashMap<K, Failures>, policy: &Policy, now: Timestamp) {
    let before = entries.len();
    entries.retain(|_, failures| !failures.is_forgotten(policy, now));
    if entries.len() < before {
        return;
    }
    let mut weights: Vec<_> = entries.values().map(|failures| (failures.count, failures.last)).collect();
    let quarter = weights.len() / 4;
    let (_, least_kept, _) = weights.select_nth_unstable(quarter);
    let least_kept = *least_kept;
    // As many as weigh the same may all be out; one at least is.
    let mut left = quarter.max(1);
    entries.retain(|_, failures| {
        let is_kept = (failures.count, failures.last) > least_kept || left == 0;
        left -= usize::from(!is_kept);
        is_kept
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp(1_700_000_000_000_000);
    const POLICY: Policy = Policy {
        free: 5,
        first: Duration::from_secs(30),
        longest: Duration::from_secs(3600),
        forgotten_after: Duration::from_secs(24 * 3600),
        capacity: 100,
    };

    fn at(seconds: u64) -> Timestamp {
        START.saturating_add(Duration::from_secs(seconds))
    }

    fn fail(counts: &FailureCounts<String>, key: &str, times: u32, now: Timestamp) {
        (0..times).for_each(|_| counts.failed(&key.to_owned(), now));
    }

    fn check(counts: &FailureCounts<String>, key: &str, now: Timestamp) -> Result<(), RefusedUntil> {
        counts.check(&key.to_owned(), now)
    }

    #[test]
    fn last_free_failure_begins_the_first_refusal() {
        let counts = FailureCounts::new(POLICY);
        fail(&counts, "a", 4, at(0));
        assert_eq!(check(&counts, "a", at(0)), Ok(()));
        fail(&counts, "a", 1, at(1));
        assert_eq!(check(&counts, "a", at(1)), Err(RefusedUntil(at(31))));
        assert_eq!(check(&counts, "a", at(31)), Ok(()));
        assert_eq!(check(&counts, "b", at(1)), Ok(()), "other keys are not touched");
        assert_eq!(RefusedUntil(at(31)).retry_after(at(11)), Duration::from_secs(20));
        assert_eq!(RefusedUntil(at(31)).retry_after(at(40)), Duration::ZERO);
    }

    #[test]
    fn each_further_failure_doubles_the_refusal_up_to_the_longest() {
        let counts = FailureCounts::new(POLICY);
        fail(&counts, "a", 4, at(0));
        let mut now = at(0);
        for seconds in [30, 60, 120, 240, 480, 960, 1920, 3600, 3600, 3600] {
            fail(&counts, "a", 1, now);
            let until = now.saturating_add(Duration::from_secs(seconds));
            assert_eq!(check(&counts, "a", now), Err(RefusedUntil(until)));
            now = until;
            assert_eq!(check(&counts, "a", now), Ok(()), "it may be tried again");
        }
        fail(&counts, "a", 1000, now);
        assert_eq!(check(&counts, "a", now).unwrap_err().retry_after(now), POLICY.longest, "no overflow");
    }

    #[test]
    fn success_and_time_reset_the_count() {
        let counts = FailureCounts::new(POLICY);
        let day = POLICY.forgotten_after.as_secs();
        fail(&counts, "a", 4, at(0));
        counts.succeeded(&"a".to_owned());
        fail(&counts, "a", 4, at(1));
        assert_eq!(check(&counts, "a", at(1)), Ok(()));
        fail(&counts, "a", 1, at(1 + day));
        assert_eq!(check(&counts, "a", at(1 + day)), Ok(()), "the earlier ones are forgotten");
        assert_eq!(counts.count(&"a".to_owned(), at(1 + day)), 1);
        assert_eq!(counts.count(&"a".to_owned(), at(1 + 2 * day)), 0);
    }

    #[test]
    fn flood_of_keys_neither_grows_the_table_nor_frees_a_refused_key() {
        let counts = FailureCounts::new(POLICY);
        fail(&counts, "a", 6, at(0));
        for number in 0..1000 {
            fail(&counts, &format!("key-{number}"), 2, at(1));
            assert!(counts.entries().len() <= POLICY.capacity);
        }
        assert!(check(&counts, "a", at(1)).is_err());
        fail(&counts, "b", 1, at(1 + POLICY.forgotten_after.as_secs()));
        assert!(counts.entries().len() <= POLICY.capacity);
    }
}
