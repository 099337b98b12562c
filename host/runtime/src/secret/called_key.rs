//! The key of a webhook call, which the host knows in clear for as long as the call runs.
//!
//! What carried it is taken out of all that the flow sees. A caller who wrote it somewhere else as well has told the flow; then
//! it is masked like a secret, in that execution and in its children.

use std::sync::Arc;

use flowhost_engine::Mask;
use flowhost_model::{Execution, RawValue};

use super::mask::Finder;
use super::{SHORTEST_VALUE, Secrets};

/// The key of a call, where its flow could see it.
#[derive(Debug)]
pub(crate) struct CalledKey(Finder);

/// Masks secrets and the key of a call.
#[derive(Debug)]
pub(crate) struct WithKey {
    pub(crate) secrets: Arc<Secrets>,
    pub(crate) key: Arc<CalledKey>,
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
