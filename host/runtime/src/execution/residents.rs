//! Executions in memory that wait for something, and which of them leaves first.
//!
//! A waiting execution holds its slot. It leaves memory when it has waited for some time, or as soon as somebody else wants a
//! slot and none is free: then the one that has waited longest. So executions that wait for others never keep these from
//! running.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

/// The waiting executions of a host.
#[derive(Debug)]
pub(crate) struct Residents {
    unload_after: Duration,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    next: u64,
    /// In the order in which they began to wait.
    waiting: BTreeMap<u64, Arc<Notify>>,
    /// How many want a slot.
    wanted: usize,
    /// How many were told to leave and still have their slot.
    leaving: usize,
}

impl Inner {
    /// Tells as many to leave as slots are wanted, the longest waiting first.
    fn balance(&mut self) {
        while self.leaving < self.wanted {
            let Some((_, told)) = self.waiting.pop_first() else { return };
            told.notify_one();
            self.leaving += 1;
        }
    }
}

/// A waiting execution.
#[derive(Debug)]
pub(crate) struct Stay {
    residents: Arc<Residents>,
    number: u64,
    told: Arc<Notify>,
}

/// When a waiting execution is told to leave.
#[derive(Debug)]
pub(crate) struct Told {
    told: Arc<Notify>,
    unload_after: Duration,
}

/// Somebody who wants a slot.
#[derive(Debug)]
pub(crate) struct Wanted(Arc<Residents>);

impl Residents {
    /// Executions that wait leave memory after `unload_after`.
    pub(crate) fn new(unload_after: Duration) -> Arc<Self> {
        Arc::new(Self { unload_after, inner: Mutex::default() })
    }

    /// An execution begins to wait.
    pub(crate) fn enter(self: &Arc<Self>) -> Stay {
        let mut inner = self.lock();
        let (number, told) = (inner.next, Arc::new(Notify::new()));
        inner.next += 1;
        inner.waiting.insert(number, told.clone());
        inner.balance();
        Stay { residents: self.clone(), number, told }
    }

    /// Somebody wants a slot, until the value is dropped.
    pub(crate) fn want(self: &Arc<Self>) -> Wanted {
        let mut inner = self.lock();
        inner.wanted += 1;
        inner.balance();
        Wanted(self.clone())
    }

    /// The slot of one that left is free.
    pub(crate) fn has_left(&self) {
        let mut inner = self.lock();
        inner.leaving = inner.leaving.saturating_sub(1);
        inner.balance();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stay {
    /// When it is to leave.
    pub(crate) fn told(&self) -> Told {
        Told { told: self.told.clone(), unload_after: self.residents.unload_after }
    }

    /// The wait is over. One that leaves holds its slot for another moment, until [`Residents::has_left`].
    pub(crate) fn end(self, is_leaving: bool) {
        let mut inner = self.residents.lock();
        let was_told = inner.waiting.remove(&self.number).is_none();
        match (was_told, is_leaving) {
            // It goes on, though it was told to leave.
            (true, false) => {
                inner.leaving = inner.leaving.saturating_sub(1);
                inner.balance();
            }
            // It leaves because it waited long enough.
            (false, true) => inner.leaving += 1,
            _ => {}
        }
    }
}

impl Told {
    /// Ready when the execution is to leave.
    pub(crate) async fn wait(self) {
        tokio::select! {
            () = self.told.notified() => {}
            () = tokio::time::sleep(self.unload_after) => {}
        }
    }
}

impl Drop for Wanted {
    fn drop(&mut self) {
        let mut inner = self.0.lock();
        inner.wanted = inner.wanted.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn is_told(told: &mut std::pin::Pin<Box<impl Future<Output = ()>>>) -> bool {
        told.as_mut().now_or_never().is_some()
    }

    #[tokio::test]
    async fn the_longest_waiting_leaves_for_whoever_wants_a_slot() {
        let residents = Residents::new(Duration::from_secs(3600));
        let (first, second) = (residents.enter(), residents.enter());
        let (mut first_told, mut second_told) = (Box::pin(first.told().wait()), Box::pin(second.told().wait()));
        assert!(!is_told(&mut first_told));
        let wanted = residents.want();
        assert!(is_told(&mut first_told) && !is_told(&mut second_told));
        // Its slot is on the way: nobody else leaves for it.
        first.end(true);
        assert!(!is_told(&mut second_told));
        drop(wanted);
        residents.has_left();
        assert_eq!(residents.lock().waiting.len(), 1);
        let third = residents.want();
        assert!(is_told(&mut second_told));
        // One that goes on after all makes room for no one: the next to wait is told at once.
        second.end(false);
        let fourth = residents.enter();
        assert!(is_told(&mut Box::pin(fourth.told().wait())));
        drop(third);
    }

    #[tokio::test]
    async fn whoever_waits_long_leaves_by_itself() {
        let residents = Residents::new(Duration::ZERO);
        let stay = residents.enter();
        stay.told().wait().await;
        stay.end(true);
        assert_eq!(residents.lock().leaving, 1);
        residents.has_left();
        assert_eq!(residents.lock().leaving, 0);
    }
}
