//! The executions in memory, by id.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flowhost_model::RecordId;

use super::Live;

/// The executions in memory, those in the queue and those that run. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Registry(Arc<Mutex<HashMap<RecordId, Arc<Live>>>>);

/// Keeps an execution in the registry until it is dropped.
pub(crate) struct Registered {
    registry: Registry,
    live: Arc<Live>,
}

impl Registry {
    pub(crate) fn add(&self, live: Arc<Live>) -> Registered {
        self.lock().insert(live.id, live.clone());
        Registered { registry: self.clone(), live }
    }

    pub(crate) fn get(&self, id: RecordId) -> Option<Arc<Live>> {
        self.lock().get(&id).cloned()
    }

    /// All of them, in no order.
    pub(crate) fn all(&self) -> Vec<Arc<Live>> {
        self.lock().values().cloned().collect()
    }

    /// Waits until none of some kind is left, for `limit` at most. Gives those that are left.
    pub(crate) async fn wait_until_none(&self, limit: Duration, is_kind: impl Fn(&Live) -> bool) -> Vec<Arc<Live>> {
        let deadline = tokio::time::Instant::now() + limit;
        loop {
            let left: Vec<_> = self.all().into_iter().filter(|live| is_kind(live)).collect();
            if left.is_empty() || tokio::time::Instant::now() >= deadline {
                return left;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RecordId, Arc<Live>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let mut executions = self.registry.lock();
        // An execution that left memory may have come back already, as another.
        if executions.get(&self.live.id).is_some_and(|live| Arc::ptr_eq(live, &self.live)) {
            executions.remove(&self.live.id);
        }
        drop(executions);
        self.live.note_left();
    }
}
