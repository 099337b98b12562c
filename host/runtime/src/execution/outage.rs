//! What executions do while the storage fails: they wait, each time for longer, and go on when it works again.

use std::collections::{HashMap, HashSet};
use std::fmt::Display;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use flowhost_model::RecordId;

/// The first pause: an error that passes costs hardly more than the next write.
const FIRST: Duration = Duration::from_millis(50);

/// The longest pause: so long, at most, executions wait for nothing once there is room on the disk.
const LONGEST: Duration = Duration::from_secs(2);

/// Whether the storage fails, and who tries again. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Outage(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// Whether it was said that the storage fails.
    is_on: AtomicBool,
    retrying: AtomicUsize,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// How often in a row each execution was put off, and when for the last time.
    postponed: HashMap<RecordId, (u32, Instant)>,
    /// Executions in the hands of who tries again, in neither queue nor registry.
    held: HashSet<RecordId>,
    /// Executions whose end cannot be kept for a reason that does not pass.
    given_up: HashSet<RecordId>,
}

/// The pauses of who tries one thing again and again.
pub(crate) struct Pauses {
    outage: Outage,
    next: Duration,
    waited: Duration,
}

/// Says that a task of this host has an execution, until it is dropped.
pub(crate) struct Held {
    outage: Outage,
    id: RecordId,
}

fn pause(tries: u32) -> Duration {
    FIRST.saturating_mul(1 << tries.min(16)).min(LONGEST)
}

impl Outage {
    /// The pauses between the tries of one thing.
    pub(crate) fn pauses(&self) -> Pauses {
        Pauses { outage: self.clone(), next: FIRST, waited: Duration::ZERO }
    }

    /// Notes that the storage failed. It is said once, until it works again.
    pub(crate) fn begins(&self, error: &(dyn Display + Sync)) {
        if self.0.is_on.swap(true, Ordering::Relaxed) {
            tracing::debug!(%error, "the storage failed again");
        } else {
            tracing::warn!(%error, "the storage fails; durable executions wait and try again");
        }
    }

    /// Notes that the storage did its part. Costs nothing to speak of where it did before.
    pub(crate) fn note_success(&self) {
        if !self.0.is_on.load(Ordering::Relaxed) || self.0.retrying.load(Ordering::Relaxed) > 0 {
            return;
        }
        let mut inner = self.lock();
        // Of one that was paused or ended elsewhere nothing is heard any more.
        inner.postponed.retain(|_, (_, last)| last.elapsed() < 2 * LONGEST);
        if inner.postponed.is_empty() && self.0.is_on.swap(false, Ordering::Relaxed) {
            tracing::info!("the storage works again; executions go on");
        }
    }

    /// Puts an execution off, and returns for how long.
    pub(crate) fn postpone(&self, id: RecordId) -> Duration {
        let mut inner = self.lock();
        let (tries, last) = inner.postponed.entry(id).or_insert((0, Instant::now()));
        (*tries, *last) = (*tries + 1, Instant::now());
        pause(*tries)
    }

    /// How often in a row an execution was put off.
    pub(crate) fn tries(&self, id: RecordId) -> u32 {
        self.lock().postponed.get(&id).map_or(0, |(tries, _)| *tries)
    }

    /// The execution got on.
    pub(crate) fn note_progress(&self, id: RecordId) {
        if self.0.is_on.load(Ordering::Relaxed) {
            self.lock().postponed.remove(&id);
            self.note_success();
        }
    }

    /// Takes an execution into its own hands, so that it does not count as lost.
    pub(crate) fn hold(&self, id: RecordId) -> Held {
        self.lock().held.insert(id);
        Held { outage: self.clone(), id }
    }

    /// The end of this execution cannot be kept, and no other try will do it.
    pub(crate) fn give_up(&self, id: RecordId) {
        self.lock().given_up.insert(id);
    }

    /// Whether a task tries again with the execution, or none is to.
    pub(crate) fn concerns(&self, id: RecordId) -> bool {
        let inner = self.lock();
        inner.held.contains(&id) || inner.given_up.contains(&id)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pauses {
    /// Waits after a failure, for longer each time.
    pub(crate) async fn after(&mut self, error: &(dyn Display + Sync)) {
        if self.waited.is_zero() {
            self.outage.0.retrying.fetch_add(1, Ordering::Relaxed);
        }
        self.outage.begins(error);
        let pause = self.next;
        self.waited += pause;
        self.next = pause.saturating_mul(2).min(LONGEST);
        tokio::time::sleep(pause).await;
    }

    /// How long the pauses were together.
    pub(crate) fn waited(&self) -> Duration {
        self.waited
    }

    /// It was done in the end.
    pub(crate) fn done(self) {
        let outage = self.outage.clone();
        drop(self);
        outage.note_success();
    }
}

impl Drop for Pauses {
    fn drop(&mut self) {
        if !self.waited.is_zero() {
            self.outage.0.retrying.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.outage.lock().held.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_the_longest() {
        let outage = Outage::default();
        let (one, other) = (RecordId::new(), RecordId::new());
        let pauses: Vec<Duration> = (0..10).map(|_| outage.postpone(one)).collect();
        assert!(pauses.is_sorted() && pauses[0] == 2 * FIRST && pauses[9] == LONGEST, "{pauses:?}");
        assert_eq!(outage.postpone(other), 2 * FIRST);
        assert_eq!(pause(u32::MAX), LONGEST);
    }

    #[tokio::test]
    async fn outage_lasts_until_the_last_try_succeeds() {
        let outage = Outage::default();
        let is_on = || outage.0.is_on.load(Ordering::Relaxed);
        let (mut one, mut other) = (outage.pauses(), outage.pauses());
        one.after(&"no").await;
        other.after(&"no").await;
        one.done();
        assert!(is_on());
        // A try that is broken off says nothing of the storage.
        drop(other);
        assert!(is_on());
        let id = RecordId::new();
        outage.postpone(id);
        outage.note_success();
        assert!(is_on());
        outage.note_progress(id);
        assert!(!is_on());
    }

    #[test]
    fn held_execution_counts_until_it_is_let_go() {
        let (outage, id) = (Outage::default(), RecordId::new());
        let held = outage.hold(id);
        assert!(outage.concerns(id));
        drop(held);
        assert!(!outage.concerns(id));
        outage.give_up(id);
        assert!(outage.concerns(id));
    }
}
