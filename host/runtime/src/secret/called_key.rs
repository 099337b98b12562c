//! The key of a webhook call, which the host knows in clear until the execution has ended, or the host has.
//!
//! What carried it is taken out of all that the flow sees. A caller who wrote it somewhere else as well has told the flow; then
//! it is masked like a secret, in that execution and in its children.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flowhost_engine::Mask;
use flowhost_model::{Execution, RawValue, RecordId};

use super::mask::Finder;
use super::{SHORTEST_VALUE, Secrets};

/// The key of a call, where its flow could see it.
#[derive(Debug)]
pub(crate) struct CalledKey(Finder);

/// The keys of executions that have left memory and will come back.
#[derive(Debug, Default)]
pub(crate) struct CalledKeys(Mutex<HashMap<RecordId, Arc<CalledKey>>>);

impl CalledKeys {
    /// Keeps the key of an execution that leaves memory.
    pub(crate) fn keep(&self, execution: RecordId, key: Arc<CalledKey>) {
        self.lock().insert(execution, key);
    }

    /// Takes out the key of an execution that comes back, or has ended.
    pub(crate) fn take(&self, execution: RecordId) -> Option<Arc<CalledKey>> {
        self.lock().remove(&execution)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RecordId, Arc<CalledKey>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Masks secrets and the key of a call.
#[derive(Debug)]
struct WithKey {
    secrets: Arc<Secrets>,
    key: Arc<CalledKey>,
}

/// What masks the texts of an execution.
pub(crate) fn mask_of(secrets: &Arc<Secrets>, key: Option<&Arc<CalledKey>>) -> Arc<dyn Mask> {
    match key {
        None => secrets.clone(),
        Some(key) => Arc::new(WithKey { secrets: secrets.clone(), key: key.clone() }),
    }
}

impl CalledKey {
    /// The key, if it is in what a flow gets and long enough to be masked.
    pub(crate) fn of(key: &str, input: &RawValue, body: &[u8]) -> Option<Self> {
        if key.len() < SHORTEST_VALUE {
            return None;
        }
        let quoted = serde_json::to_string(key).unwrap_or_default();
        let in_json = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default();
        let is_seen = input.get().contains(in_json) || memchr::memmem::find(body, key.as_bytes()).is_some();
        is_seen.then(|| Self(Finder::new(std::iter::once(key))))
    }

    /// Takes the key out of all that a flow says in its execution.
    pub(crate) fn mask_execution(&self, execution: &mut Execution) {
        self.0.mask_execution(execution);
    }
}

impl Mask for WithKey {
    fn mask(&self, text: String) -> String {
        let text = self.secrets.mask(text);
        self.key.0.mask(&text).into_owned()
    }

    fn mask_json(&self, json: Box<RawValue>) -> Box<RawValue> {
        let json = self.secrets.mask_json(json);
        self.key.0.mask_json(json.get()).unwrap_or(json)
    }
}
