//! Wrong keys: a network that presents too many of them to a webhook is refused there for a while, before its key is looked at.
//!
//! Other networks are not affected, nor are other webhooks. Times are those of the host's clock.

use std::time::Duration;

use flowhost_model::{RecordId, Timestamp};

use crate::caller::CallerNetwork;
use crate::failure_counts::{FailureCounts, Policy};
use crate::problem::{Code, Problem};

/// A sender with an outdated key is refused for seconds, then for minutes. Keys are long, so that a guess each minute finds
/// none, and the senders behind a shared address are not kept out for longer than that.
const POLICY: Policy = Policy {
    free: 10,
    first: Duration::from_secs(1),
    longest: Duration::from_secs(60),
    forgotten_after: Duration::from_secs(60 * 60),
    capacity: 10_000,
};

/// Counts wrong keys by webhook and network. Callers whose network is not known count as one.
#[derive(Debug)]
pub(crate) struct Guesses(FailureCounts<(RecordId, Option<CallerNetwork>)>);

impl Default for Guesses {
    fn default() -> Self {
        Self(FailureCounts::new(POLICY))
    }
}

impl Guesses {
    /// Refuses a call if too many wrong keys came from its network.
    pub(crate) fn check(&self, webhook: RecordId, from: Option<CallerNetwork>, now: Timestamp) -> Result<(), Problem> {
        self.0.check(&(webhook, from), now).map_err(|refused| {
            let detail = "too many wrong keys came from this address; try again later";
            refused.problem(Code::WebhookLockedOut, detail, now)
        })
    }

    /// Counts a wrong key.
    pub(crate) fn wrong(&self, webhook: RecordId, from: Option<CallerNetwork>, now: Timestamp) {
        self.0.failed(&(webhook, from), now);
    }

    /// Forgets the wrong keys of a network that has the right one.
    pub(crate) fn right(&self, webhook: RecordId, from: Option<CallerNetwork>) {
        self.0.succeeded(&(webhook, from));
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    const NOW: Timestamp = Timestamp(1_700_000_000_000_000);

    fn network(number: u8) -> Option<CallerNetwork> {
        Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, number)).into())
    }

    #[test]
    fn wrong_keys_refuse_their_network_at_their_webhook_alone() {
        let guesses = Guesses::default();
        let (webhook, other) = (RecordId::new(), RecordId::new());
        for _ in 0..POLICY.free {
            assert!(guesses.check(webhook, network(1), NOW).is_ok());
            guesses.wrong(webhook, network(1), NOW);
        }
        let refused = guesses.check(webhook, network(1), NOW).unwrap_err();
        assert_eq!((refused.code, refused.retry_after), (Code::WebhookLockedOut, Some(POLICY.first)));
        assert!(guesses.check(webhook, network(2), NOW).is_ok(), "another network");
        assert!(guesses.check(other, network(1), NOW).is_ok(), "another webhook");
        let later = NOW.saturating_add(POLICY.first);
        assert!(guesses.check(webhook, network(1), later).is_ok());
        (0..100).for_each(|_| guesses.wrong(webhook, network(1), later));
        let refused = guesses.check(webhook, network(1), later).unwrap_err();
        assert_eq!(refused.retry_after, Some(POLICY.longest));
    }

    #[test]
    fn right_key_forgets_the_wrong_ones_before_it() {
        let guesses = Guesses::default();
        let webhook = RecordId::new();
        for _ in 0..POLICY.free - 1 {
            guesses.wrong(webhook, network(1), NOW);
        }
        guesses.right(webhook, network(1));
        guesses.wrong(webhook, network(1), NOW);
        assert!(guesses.check(webhook, network(1), NOW).is_ok());
    }
}
