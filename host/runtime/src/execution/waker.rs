//! Brings executions back whose time has come, keeps the owner's lease, and notices when the clock jumps.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use flowhost_engine::Clock;
use flowhost_model::Timestamp;
use tokio::sync::{Notify, RwLock, RwLockReadGuard};

use super::steady_clock::SteadyClock;
use crate::host::{Host, WeakHost};

/// How many are brought back at once.
const BATCH: u32 = 500;

/// Above so many from the store in the queue none are.
const ENOUGH: usize = 2_000;

/// After how long a queue that was full is looked at again.
const FULL: Duration = Duration::from_millis(20);

/// How often the clock is looked at, though nobody's time has come.
const TICK: Duration = Duration::from_secs(1);

/// A difference between the clock and the time that has passed is a jump from here on; below it is the clock being slewed.
const JUMP: Duration = Duration::from_secs(2);

/// How long a lease holds. On one machine the folder's lock says who the owner is; the lease is for those who cannot see it.
pub(crate) const LEASE: Duration = Duration::from_secs(30);

/// How often the executions in development mode that wait are looked at, where inactivity is not shorter.
const DEVELOPMENT: Duration = Duration::from_secs(60);

/// When the next execution is to be brought back. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Waker(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    next: AtomicI64,
    sooner: Notify,
    seen: RwLock<Seen>,
    steady: SteadyClock,
}

/// What the clock showed when the host looked at it, and when that was. The times of waits in the store that are for some
/// time are those of this clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    clock: Timestamp,
    at: Instant,
}

impl Seen {
    fn now(clock: &dyn Clock) -> Self {
        Self { clock: clock.now(), at: Instant::now() }
    }

    /// What the clock shows then if nobody sets it.
    pub(crate) fn at(&self, due: Instant) -> Timestamp {
        self.clock.saturating_add(due.saturating_duration_since(self.at))
    }
}

impl Waker {
    /// `shifted` is by how many microseconds the store moved waits so far.
    pub(crate) fn new(clock: &dyn Clock, shifted: i64) -> Self {
        let seen = Seen::now(clock);
        let steady = SteadyClock::new(seen.clock, seen.at, shifted);
        let (next, sooner) = (AtomicI64::new(i64::MIN), Notify::new());
        Self(Arc::new(Shared { next, sooner, seen: RwLock::new(seen), steady }))
    }

    /// The clock in whose time waits for a length of time are kept.
    pub(crate) fn steady(&self) -> &SteadyClock {
        &self.0.steady
    }

    /// The clock as the host has seen it. That it was set is not noticed as long as this is held.
    pub(crate) async fn seen(&self) -> RwLockReadGuard<'_, Seen> {
        self.0.seen.read().await
    }

    /// Somebody's time comes then.
    pub(crate) fn wake_by(&self, at: Timestamp) {
        if self.0.next.fetch_min(at.0, Ordering::Relaxed) > at.0 {
            self.0.sooner.notify_one();
        }
    }
}

impl Host {
    /// Looks at the clock, and moves the waits for some time with it if it was set. Gives whether it was, and the time by which
    /// waits are over now.
    async fn look_at_clock(&self) -> (bool, Timestamp) {
        let present = Seen::now(&**self.clock());
        let seen = *self.waker().seen().await;
        if jump(seen, present).is_none() && present.at.duration_since(seen.at) < TICK {
            return (false, present.clock);
        }
        // What leaves memory at this moment is kept first, in the time of the clock as it was seen.
        let mut seen = self.waker().0.seen.write().await;
        let present = Seen::now(&**self.clock());
        let jump = jump(*seen, present);
        if let Some(jump) = jump {
            match self.store().shift_waits(jump).await {
                Ok(shifted) => self.waker().steady().note(present.clock, present.at, Some(shifted)),
                Err(error) => {
                    self.outage().begins(&error);
                    return (false, seen.at(present.at));
                }
            }
        } else {
            self.waker().steady().note(present.clock, present.at, None);
        }
        if let Some(jump) = jump {
            tracing::warn!(seconds = jump / 1_000_000, "the clock was set; waits for some time go on as before");
        }
        *seen = present;
        (jump.is_some(), present.clock)
    }

    /// Starts the task that brings executions back, as long as the host lives.
    pub(crate) fn start_waker(&self) {
        tokio::spawn(wake(self.downgrade(), self.waker().clone()));
        tokio::spawn(look_at_development(self.downgrade()));
    }

    /// Brings back those whose time has come by `now`. Gives when the next one's comes.
    async fn wake_due(&self, now: Timestamp) -> Option<Timestamp> {
        if self.queue().brought() >= ENOUGH {
            return Some(now.saturating_add(FULL));
        }
        match self.store().claim_due(self.owner_id(), now, BATCH).await {
            Ok(due) => {
                let is_full = due.tickets.len() >= BATCH as usize;
                for ticket in due.tickets {
                    self.enqueue_ticket(ticket, true).await;
                }
                self.outage().note_success();
                if is_full { Some(now) } else { due.next }
            }
            Err(flowhost_store::Error::Closed) => None,
            Err(error) => {
                self.outage().begins(&error);
                Some(now.saturating_add(TICK))
            }
        }
    }

    /// Pauses what waits in development mode and whose user is not active any more.
    async fn pause_inactive(&self) -> Result<(), flowhost_store::Error> {
        let mut after = None;
        loop {
            let waiting = self.store().waiting_in_development(after, BATCH).await?;
            for (id, user) in waiting.iter().filter(|(_, user)| !self.is_active(*user)) {
                match self.store().pause_waiting(*id, super::INACTIVE.to_owned()).await {
                    Ok(()) => self.paused().count(*user),
                    // It goes on at this moment.
                    Err(flowhost_store::Error::NotFound) => {}
                    Err(error) => return Err(error),
                }
            }
            match waiting.last() {
                Some((last, _)) if waiting.len() == BATCH as usize => after = Some(*last),
                _ => return Ok(()),
            }
        }
    }
}

async fn wake(host: WeakHost, waker: Waker) {
    let mut leased = Instant::now();
    loop {
        let Some(host) = host.upgrade() else { return };
        if host.refuse_if_draining().is_err() {
            return;
        }
        let (is_set, now) = host.look_at_clock().await;
        if is_set {
            waker.0.next.store(i64::MIN, Ordering::Relaxed);
        }
        if is_set || leased.elapsed() >= LEASE / 3 {
            leased = Instant::now();
            if let Err(error) = host.store().hold_lease(Some(host.owner_id()), host.lease_end()).await {
                host.outage().begins(&error);
            }
        }
        if waker.0.next.load(Ordering::Relaxed) <= now.0 {
            // Set before the store is asked: a wait that is kept meanwhile makes it earlier again.
            waker.0.next.store(i64::MAX, Ordering::Relaxed);
            if let Some(next) = host.wake_due(now).await {
                waker.0.next.fetch_min(next.0, Ordering::Relaxed);
            }
        }
        let next = Timestamp(waker.0.next.load(Ordering::Relaxed));
        let left = next.since(host.now()).clamp(Duration::from_millis(1), TICK);
        drop(host);
        tokio::select! {
            () = tokio::time::sleep(left) => {}
            () = waker.0.sooner.notified() => {}
        }
    }
}

/// Looks at the executions in development mode that wait, now and then.
async fn look_at_development(host: WeakHost) {
    loop {
        let Some(every) = host.upgrade().map(|host| host.limits().development.clamp(TICK, DEVELOPMENT)) else { return };
        tokio::time::sleep(every).await;
        let Some(host) = host.upgrade() else { return };
        if host.refuse_if_draining().is_err() {
            return;
        }
        if let Err(error) = host.pause_inactive().await {
            host.outage().begins(&error);
        }
    }
}

/// By how many microseconds the clock is off from where it should be after the time that has passed, if that is a jump.
fn jump(seen: Seen, present: Seen) -> Option<i64> {
    let passed = i64::try_from(present.at.duration_since(seen.at).as_micros()).unwrap_or(i64::MAX);
    let shown = present.clock.0.saturating_sub(seen.clock.0);
    let jump = shown.saturating_sub(passed);
    (jump.unsigned_abs() >= JUMP.as_micros() as u64).then_some(jump)
}

impl Host {
    /// Until when this host's lease holds, from now.
    pub(crate) fn lease_end(&self) -> Timestamp {
        self.now().saturating_add(LEASE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_is_told_from_one_that_runs() {
        let began = Instant::now();
        let later = began + Duration::from_secs(1);
        let seen = |seconds: i64, at: Instant| Seen { clock: Timestamp(seconds * 1_000_000), at };
        assert_eq!(jump(seen(100, began), seen(101, later)), None);
        assert_eq!(jump(seen(100, began), seen(102, later)), None);
        assert_eq!(jump(seen(100, began), seen(3_701, later)), Some(3_600_000_000));
        assert_eq!(jump(seen(4_000, began), seen(401, later)), Some(-3_600_000_000));
    }
}
