//! When identities were last active.
//!
//! A call notes it in memory; the store learns of it once in a while, so that a call makes no write for it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use flowhost_model::{RecordId, Timestamp};

/// The last activity of identities.
#[derive(Debug, Default)]
pub(crate) struct Activities(Mutex<Noted>);

#[derive(Debug, Default)]
struct Noted {
    last: HashMap<RecordId, Timestamp>,
    /// Noted since the store was last told.
    unsaved: HashMap<RecordId, Timestamp>,
}

impl Activities {
    /// What the store knows.
    pub(crate) fn new(known: Vec<(RecordId, Timestamp)>) -> Self {
        Self(Mutex::new(Noted { last: known.into_iter().collect(), unsaved: HashMap::new() }))
    }

    /// Notes that an identity is active.
    pub(crate) fn note(&self, identity: RecordId, now: Timestamp) {
        let mut noted = self.lock();
        noted.last.insert(identity, now);
        noted.unsaved.insert(identity, now);
    }

    /// When the identity was last active.
    pub(crate) fn last(&self, identity: RecordId) -> Option<Timestamp> {
        self.lock().last.get(&identity).copied()
    }

    /// What the store does not know yet.
    pub(crate) fn take_unsaved(&self) -> Vec<(RecordId, Timestamp)> {
        std::mem::take(&mut self.lock().unsaved).into_iter().collect()
    }

    /// Takes back what could not be saved, where nothing newer was noted.
    pub(crate) fn put_back(&self, unsaved: Vec<(RecordId, Timestamp)>) {
        let mut noted = self.lock();
        for (identity, at) in unsaved {
            noted.unsaved.entry(identity).or_insert(at);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Noted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_store_is_told_once() {
        let identity = RecordId::new();
        let activities = Activities::new(vec![(identity, Timestamp(1))]);
        assert_eq!(activities.last(identity), Some(Timestamp(1)));
        assert!(activities.take_unsaved().is_empty());
        activities.note(identity, Timestamp(2));
        assert_eq!(activities.take_unsaved(), [(identity, Timestamp(2))]);
        assert!(activities.take_unsaved().is_empty());
        activities.put_back(vec![(identity, Timestamp(2))]);
        assert_eq!(activities.take_unsaved(), [(identity, Timestamp(2))]);
        assert_eq!(activities.last(identity), Some(Timestamp(2)));
    }
}
