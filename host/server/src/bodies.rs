//! The bytes of requests under way: how many there may be in memory at once, and who may have how many of them.

use std::sync::Arc;
use std::time::Duration;

use flowhost::{CallerNetwork, Code, Problem};

use crate::share::{Pool, Share};

/// The part of the room that is for bodies which have to be read before it is known whether their caller may call.
const UNPROVEN_PART: u64 = 4;

/// Room for the bytes of requests, of which each caller gets a share.
#[derive(Clone, Debug)]
pub(crate) struct Room {
    pool: Arc<Pool<CallerNetwork>>,
    /// How long a request waits for room.
    wait: Duration,
}

/// The room that a request has taken; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Taken {
    share: Share<CallerNetwork>,
    wait: Duration,
}

/// How bodies are taken.
#[derive(Clone, Debug)]
pub(crate) struct Bodies {
    /// For callers who may call, and bodies of the REST API.
    pub(crate) open: Room,
    /// For bodies that may hold the key of their webhook, while nothing else has proven their caller.
    pub(crate) unproven: Room,
    /// For files and components of users who are logged in.
    pub(crate) uploads: Room,
    /// The longest time in which a body must arrive.
    pub(crate) timeout: Duration,
}

impl Bodies {
    /// Makes room for `request_bytes` in all, and in addition for `upload_bytes`.
    pub(crate) fn new(request_bytes: u64, upload_bytes: u64, wait: Duration, timeout: Duration) -> Self {
        let room = |bytes| Room { pool: Pool::new(bytes), wait };
        let unproven = request_bytes / UNPROVEN_PART;
        Self {
            open: room(request_bytes - unproven),
            unproven: room(unproven),
            // Of the largest there is always one, since a caller gets half.
            uploads: room(upload_bytes),
            timeout,
        }
    }
}

impl Room {
    /// Returns the largest request for which there can ever be room.
    pub(crate) fn largest(&self) -> u64 {
        self.pool.largest_share()
    }

    /// Takes room for the head of a request at once, and waits for as much more as its body says it needs.
    ///
    /// # Errors
    /// `host.busy` if there is no room for the head, or none for the body in the time that a request waits.
    pub(crate) async fn take(&self, caller: CallerNetwork, head: u64, body: u64) -> Result<Taken, Problem> {
        let wait = self.wait;
        if let Some(share) = self.pool.take(Some(caller), head + body) {
            return Ok(Taken { share, wait });
        }
        // The head is in memory while the request waits, so that it must not wait without room for that.
        let share = self.pool.take(Some(caller), head).ok_or_else(busy)?;
        let mut taken = Taken { share, wait };
        taken.grow(body).await?;
        Ok(taken)
    }
}

impl Taken {
    /// Returns how many bytes it has.
    pub(crate) fn bytes(&self) -> u64 {
        self.share.amount()
    }

    /// Waits for room for more bytes.
    pub(crate) async fn grow(&mut self, more: u64) -> Result<(), Problem> {
        if self.share.grow_within(more, self.wait).await { Ok(()) } else { Err(busy()) }
    }
}

impl flowhost::webhook::Room for Taken {
    /// An amount above the largest share is reduced to it, so that a large call can run alone.
    fn grow(&mut self, more: u64) -> bool {
        let most = self.share.largest().saturating_sub(self.share.amount());
        self.share.grow(more.min(most))
    }
}

fn busy() -> Problem {
    Problem::new(Code::HostBusy, "the host has no room for more requests of this size now; try again")
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn caller(address: &str) -> CallerNetwork {
        address.parse::<IpAddr>().unwrap().into()
    }

    #[tokio::test]
    async fn caller_with_many_bodies_leaves_room_for_others() {
        let bodies = Bodies::new(4000, 100, Duration::from_millis(1), Duration::ZERO);
        let mut held = Vec::new();
        let refused = loop {
            match bodies.open.take(caller("192.0.2.1"), 10, 90).await {
                Ok(taken) => held.push(taken),
                Err(problem) => break problem,
            }
        };
        assert_eq!((held.len(), refused.code), (15, Code::HostBusy));
        assert!(bodies.open.take(caller("192.0.2.2"), 10, 700).await.is_ok());
        assert!(bodies.unproven.take(caller("192.0.2.1"), 10, 490).await.is_ok(), "it is a room of its own");
        held.pop();
        assert!(bodies.open.take(caller("192.0.2.1"), 10, 90).await.is_ok());
    }

    #[tokio::test]
    async fn request_waits_for_its_body_and_not_for_its_head() {
        // No test would wait for that long.
        let patient = Bodies::new(4000, 100, Duration::from_secs(3600), Duration::ZERO).open;
        let held = patient.take(caller("192.0.2.1"), 1500, 0).await.unwrap();
        assert_eq!(patient.take(caller("192.0.2.1"), 1, 0).await.unwrap_err().code, Code::HostBusy);
        drop(held);
        let impatient = Bodies::new(4000, 100, Duration::from_millis(1), Duration::ZERO).open;
        let _held = impatient.take(caller("192.0.2.1"), 1000, 0).await.unwrap();
        assert_eq!(impatient.take(caller("192.0.2.1"), 1, 1000).await.unwrap_err().code, Code::HostBusy);
        assert!(impatient.take(caller("192.0.2.1"), 1, 400).await.is_ok(), "what was taken for the head is given back");
    }
}
