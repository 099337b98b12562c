//! How many executions each webhook has at once.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use flowhost_model::RecordId;

/// The counters of webhooks, by their ids. Cheap to clone.
///
/// A webhook's counter is the same as long as one of its executions is counted or its route is known, so that neither
/// disabling the webhook and enabling it again nor any other change of its record makes it forget what runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counters(Arc<Mutex<HashMap<RecordId, Weak<AtomicU32>>>>);

impl Counters {
    /// Returns the counter of a webhook.
    pub(crate) fn of(&self, webhook: RecordId) -> Counter {
        // A map of counters is whole at any time.
        let mut counters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = counters.get(&webhook).and_then(Weak::upgrade) {
            return Counter(known);
        }
        // Now and then, so that those of deleted webhooks go.
        if counters.len().is_power_of_two() {
            counters.retain(|_, counter| counter.strong_count() > 0);
        }
        let counter = Counter::default();
        counters.insert(webhook, Arc::downgrade(&counter.0));
        counter
    }
}

/// Counts the executions of one webhook.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counter(Arc<AtomicU32>);

/// One execution that is counted; dropping it counts down.
#[derive(Debug)]
pub(crate) struct Counted(Counter);

impl Counter {
    /// Counts one more unless there are `limit` already.
    pub(crate) fn enter(&self, limit: Option<u32>) -> Option<Counted> {
        let limit = limit.unwrap_or(u32::MAX);
        let entered =
            self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| (count < limit).then_some(count + 1));
        entered.is_ok().then(|| Counted(self.clone()))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_counts_down_when_an_execution_is_dropped() {
        let counter = Counter::default();
        let first = counter.enter(Some(1)).unwrap();
        assert!(counter.enter(Some(1)).is_none());
        drop(first);
        assert!(counter.enter(Some(1)).is_some());
    }

    #[test]
    fn counter_lives_as_long_as_an_execution_is_counted() {
        let (counters, webhook) = (Counters::default(), RecordId::new());
        let counted = counters.of(webhook).enter(Some(1)).unwrap();
        assert!(counters.clone().of(webhook).enter(Some(1)).is_none());
        assert!(counters.of(RecordId::new()).enter(Some(1)).is_some(), "another webhook has a counter of its own");
        drop(counted);
        assert!(counters.of(webhook).enter(Some(1)).is_some());
        for _ in 0..100 {
            counters.of(RecordId::new());
        }
        assert!(counters.0.lock().unwrap().len() <= 64, "counters of webhooks that are gone stay");
    }
}
