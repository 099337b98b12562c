//! Lock-outs: logins that are refused for a while because too many failed.
//!
//! Failures count for a name and the network that they come from together, so that strangers elsewhere never lock the
//! owner of a name out. All failures of one network count as well, whatever the names; they do not refuse users who have
//! logged in from there before, so that one guest of an office does not lock the office out. If a name fails from many networks,
//! each of them has fewer free failures with it: a guess that is spread over a thousand networks stays at two thousand
//! attempts, and the owner's first attempt from a new place is still looked at.
//!
//! Names are counted whether or not there is such a user, so that a lock-out does not tell. Sessions and API tokens that a
//! user has stay valid during a lock-out.

use std::borrow::Cow;
use std::time::Duration;

use flowhost_model::{Timestamp, normalize_name};

use crate::caller::CallerNetwork;
use crate::failure_counts::{FailureCounts, Policy, RefusedUntil};
use crate::identity::known_logins::KnownLogins;

/// For a name from one network: a person who mistypes has a few attempts.
const NAME_FROM_NETWORK: Policy = Policy {
    free: 5,
    first: Duration::from_secs(30),
    longest: Duration::from_secs(60 * 60),
    forgotten_after: Duration::from_secs(24 * 60 * 60),
    capacity: 10_000,
};

/// For one network, whatever the names. An office behind one address has its share of mistyped passwords; who tries a list
/// of names has to stop.
const NETWORK: Policy = Policy {
    free: 200,
    first: Duration::from_secs(30),
    longest: Duration::from_secs(15 * 60),
    forgotten_after: Duration::from_secs(60 * 60),
    capacity: 10_000,
};

/// For a name from anywhere. Nothing is refused by this count alone.
const NAME: Policy = Policy { free: u32::MAX, ..NAME_FROM_NETWORK };

/// Failures of a name within a day, from wherever, from which on it counts as guessed from many networks.
const GUESSED_FROM: u32 = 100;

/// Free failures of each network with such a name: one mistyped password.
const FREE_WHILE_GUESSED: u32 = 2;

/// Counts failed logins.
#[derive(Debug)]
pub(crate) struct Lockouts {
    of_name_from_network: FailureCounts<(String, Option<CallerNetwork>)>,
    of_network: FailureCounts<CallerNetwork>,
    of_name: FailureCounts<String>,
    known: KnownLogins,
}

impl Default for Lockouts {
    fn default() -> Self {
        Self {
            of_name_from_network: FailureCounts::new(NAME_FROM_NETWORK),
            of_network: FailureCounts::new(NETWORK),
            of_name: FailureCounts::new(NAME),
            known: KnownLogins::default(),
        }
    }
}

impl Lockouts {
    /// Refuses a login with this name from this network if too many failed. The caller asks before it looks at the password.
    ///
    /// Where an embedder does not know the network, all of its callers count as one.
    pub(crate) fn check(&self, name: &str, from: Option<CallerNetwork>, now: Timestamp) -> Result<(), RefusedUntil> {
        if let Some(network) = from
            && !self.is_known(name, from, now)
        {
            self.of_network.check(&network, now)?;
        }
        let Some(name) = key(name) else { return Ok(()) };
        let name = &*name;
        self.of_name_from_network.check_with(&(name.to_owned(), from), self.free_failures(name, now), now)
    }

    /// Returns whether a user of this name has logged in from this network lately.
    pub(crate) fn is_known(&self, name: &str, from: Option<CallerNetwork>, now: Timestamp) -> bool {
        key(name).is_some_and(|name| self.known.has(&name, from, now))
    }

    /// Whether logins with this name are refused for now, from anywhere.
    pub(crate) fn is_locked(&self, name: &str, now: Timestamp) -> bool {
        let Some(name) = key(name) else { return false };
        let name = &*name;
        // Most names have no failures, so that the table is seldom searched.
        self.of_name.count(&name.to_owned(), now) > 0
            && self.of_name_from_network.is_any_refused(self.free_failures(name, now), now, |(other, _)| other == name)
    }

    /// Counts a failed login.
    pub(crate) fn failed(&self, name: &str, from: Option<CallerNetwork>, now: Timestamp) {
        if let Some(network) = from {
            self.of_network.failed(&network, now);
        }
        if let Some(name) = key(name) {
            let name = &*name;
            self.of_name.failed(&name.to_owned(), now);
            self.of_name_from_network.failed(&(name.to_owned(), from), now);
        }
    }

    /// Forgets the failures of a name from the network where a login succeeded, and knows the name there from now on. The
    /// network's own failures stay: an attacker with a user of their own would reset them.
    pub(crate) fn succeeded(&self, name: &str, from: Option<CallerNetwork>, now: Timestamp) {
        if let Some(name) = key(name) {
            let name = &*name;
            self.of_name_from_network.succeeded(&(name.to_owned(), from));
            self.known.add(name, from, now);
        }
    }

    fn free_failures(&self, name: &str, now: Timestamp) -> u32 {
        let is_guessed = self.of_name.count(&name.to_owned(), now) >= GUESSED_FROM;
        if is_guessed { FREE_WHILE_GUESSED } else { NAME_FROM_NETWORK.free }
    }
}

/// Returns the name as users have it, so that blanks around it do not give further attempts. Text that cannot be a user's name
/// is not counted: no login with it can succeed.
fn key(name: &str) -> Option<Cow<'_, str>> {
    normalize_name(name).ok()
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    const START: Timestamp = Timestamp(1_700_000_000_000_000);

    fn at(seconds: u64) -> Timestamp {
        START.saturating_add(Duration::from_secs(seconds))
    }

    fn network(number: u32) -> Option<CallerNetwork> {
        Some(IpAddr::V4(Ipv4Addr::from_bits(number)).into())
    }

    fn fail(lockouts: &Lockouts, name: &str, from: Option<CallerNetwork>, times: u32) {
        (0..times).for_each(|_| lockouts.failed(name, from, at(0)));
    }

    #[test]
    fn failures_from_elsewhere_do_not_lock_the_owner_out() {
        let lockouts = Lockouts::default();
        fail(&lockouts, "ada", network(1), 20);
        assert!(lockouts.check("ada", network(1), at(0)).is_err());
        assert_eq!(lockouts.check("ada", network(2), at(0)), Ok(()));
        assert_eq!(lockouts.check("grace", network(1), at(0)), Ok(()), "another name from there");
        assert!(lockouts.is_locked("ada", at(0)));
        assert!(!lockouts.is_locked("grace", at(0)));
    }

    #[test]
    fn fifth_failure_locks_for_half_a_minute_and_success_resets() {
        let lockouts = Lockouts::default();
        fail(&lockouts, "ada", network(1), 4);
        assert_eq!(lockouts.check("ada", network(1), at(0)), Ok(()));
        lockouts.succeeded("ada", network(1), at(0));
        fail(&lockouts, "ada", network(1), 5);
        assert_eq!(lockouts.check("ada", network(1), at(0)), Err(RefusedUntil(at(30))));
        assert_eq!(lockouts.check("ada", network(1), at(30)), Ok(()));
        assert!(!lockouts.is_locked("ada", at(30)));
    }

    #[test]
    fn network_that_tries_many_names_is_locked_out() {
        let lockouts = Lockouts::default();
        for number in 0..NETWORK.free {
            assert_eq!(lockouts.check("ada", network(1), at(0)), Ok(()));
            lockouts.failed(&format!("name-{number}"), network(1), at(0));
        }
        assert!(lockouts.check("ada", network(1), at(0)).is_err());
        lockouts.succeeded("eve", network(1), at(0));
        assert!(lockouts.check("ada", network(1), at(0)).is_err(), "an own user does not help");
        assert_eq!(lockouts.check("ada", network(2), at(0)), Ok(()));
    }

    #[test]
    fn known_user_of_a_locked_network_is_counted_by_name_alone() {
        let lockouts = Lockouts::default();
        lockouts.succeeded("ada", network(1), at(0));
        (0..NETWORK.free).for_each(|number| lockouts.failed(&format!("name-{number}"), network(1), at(0)));
        assert_eq!(lockouts.check(" ada", network(1), at(0)), Ok(()));
        assert!(lockouts.check("grace", network(1), at(0)).is_err());
        fail(&lockouts, "ada", network(1), NAME_FROM_NETWORK.free);
        assert!(lockouts.check("ada", network(1), at(0)).is_err());
    }

    #[test]
    fn guess_from_many_networks_has_fewer_attempts_from_each() {
        let lockouts = Lockouts::default();
        for number in 0..GUESSED_FROM {
            lockouts.failed("ada", network(number), at(0));
        }
        let new = network(GUESSED_FROM);
        assert_eq!(lockouts.check("ada", new, at(0)), Ok(()), "the owner's first attempt from a new place");
        lockouts.failed("ada", new, at(0));
        assert_eq!(lockouts.check("ada", new, at(0)), Ok(()));
        lockouts.failed("ada", new, at(0));
        assert!(lockouts.check("ada", new, at(0)).is_err());
    }

    #[test]
    fn blanks_around_a_name_give_no_further_attempts() {
        let lockouts = Lockouts::default();
        for name in ["ada", " ada", "ada ", "\tada", " ada "] {
            lockouts.failed(name, network(1), at(0));
        }
        assert!(lockouts.check("ada", network(1), at(0)).is_err());
        assert!(lockouts.check("  ada", network(1), at(0)).is_err());
    }

    #[test]
    fn text_that_cannot_be_a_name_is_not_remembered() {
        let lockouts = Lockouts::default();
        for name in ["", "a\nb", &"x".repeat(1_000_000)] {
            fail(&lockouts, name, network(1), 10);
            assert_eq!(lockouts.check(name, network(1), at(0)), Ok(()));
        }
    }

    #[test]
    fn callers_of_unknown_networks_count_as_one() {
        let lockouts = Lockouts::default();
        fail(&lockouts, "ada", None, 5);
        assert!(lockouts.check("ada", None, at(0)).is_err());
        assert_eq!(lockouts.check("ada", network(1), at(0)), Ok(()));
    }
}
