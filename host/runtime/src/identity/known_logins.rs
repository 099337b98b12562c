//! Which users have logged in from which networks.
//!
//! The list is in memory: after a restart each user is a stranger until the first login.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flowhost_model::Timestamp;

use crate::caller::CallerNetwork;

/// How long after a login its user is known at its network.
const KNOWN_FOR: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The most pairs of user and network that are remembered. Only right passwords make one.
const CAPACITY: usize = 10_000;

/// A user's name, and the network that a login came from; `None` where an embedder does not know it.
type Key = (String, Option<CallerNetwork>);

/// Remembers the last login of each user from each network.
#[derive(Debug, Default)]
pub(crate) struct KnownLogins {
    last: Mutex<HashMap<Key, Timestamp>>,
}

impl KnownLogins {
    /// Returns whether the user has logged in from the network lately.
    pub(crate) fn has(&self, name: &str, network: Option<CallerNetwork>, now: Timestamp) -> bool {
        let last = self.last().get(&(name.to_owned(), network)).copied();
        last.is_some_and(|last| now < last.saturating_add(KNOWN_FOR))
    }

    /// Remembers a login. If there are too many, the older half is forgotten.
    pub(crate) fn add(&self, name: &str, network: Option<CallerNetwork>, now: Timestamp) {
        let mut last = self.last();
        if last.len() >= CAPACITY {
            let mut times: Vec<_> = last.values().copied().collect();
            let (_, middle, _) = times.select_nth_unstable(CAPACITY / 2);
            let middle = *middle;
            last.retain(|_, time| *time > middle);
        }
        last.insert((name.to_owned(), network), now);
    }

    fn last(&self) -> MutexGuard<'_, HashMap<Key, Timestamp>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    const START: Timestamp = Timestamp(1_700_000_000_000_000);

    fn network(number: u32) -> Option<CallerNetwork> {
        Some(IpAddr::V4(Ipv4Addr::from_bits(number)).into())
    }

    #[test]
    fn user_is_known_at_the_network_of_a_login_for_a_month() {
        let known = KnownLogins::default();
        known.add("ada", network(1), START);
        assert!(known.has("ada", network(1), START));
        assert!(!known.has("ada", network(2), START) && !known.has("grace", network(1), START));
        assert!(!known.has("ada", network(1), START.saturating_add(KNOWN_FOR)));
    }

    #[test]
    fn full_list_forgets_the_oldest_logins() {
        let known = KnownLogins::default();
        for number in 0..=CAPACITY as u32 {
            let at = START.saturating_add(Duration::from_secs(number.into()));
            known.add("ada", network(number), at);
        }
        let now = START.saturating_add(Duration::from_secs(CAPACITY as u64));
        assert!(known.last().len() <= CAPACITY);
        assert!(known.has("ada", network(CAPACITY as u32), now) && !known.has("ada", network(0), now));
    }
}
