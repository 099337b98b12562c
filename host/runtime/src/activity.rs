//! When identities were last active, logged in and logged out. None of it changes their records.
//!
//! A call notes it in memory; the store learns of it once in a while, so that a call makes no write for it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use flowhost_model::{RecordId, Timestamp};

/// What an identity did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    /// Anything.
    Any,
    /// A login.
    Login,
    /// A logout, which ends the sessions from before.
    Logout,
}

impl Deed {
    /// What the time of the last such deed is kept under. Ids of identities are UUIDs of version 7, so that those of other
    /// versions are free.
    fn key(self, identity: RecordId) -> RecordId {
        let version = match self {
            Self::Any => return identity,
            Self::Login => 0x80,
            Self::Logout => 0x90,
        };
        let mut bytes = *identity.as_bytes();
        bytes[6] = version | bytes[6] & 0x0f;
        RecordId::from_bytes(bytes)
    }
}

/// The last deeds of identities.
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

    /// Notes that an identity did this; gives what the store is to be told, for what cannot wait until it is.
    pub(crate) fn note(&self, deed: Deed, identity: RecordId, now: Timestamp) -> (RecordId, Timestamp) {
        let key = deed.key(identity);
        let mut noted = self.lock();
        noted.last.insert(key, now);
        noted.unsaved.insert(key, now);
        (key, now)
    }

    /// When the identity last did this.
    pub(crate) fn last(&self, deed: Deed, identity: RecordId) -> Option<Timestamp> {
        self.lock().last.get(&deed.key(identity)).copied()
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
        assert_eq!(activities.last(Deed::Any, identity), Some(Timestamp(1)));
        assert!(activities.take_unsaved().is_empty());
        activities.note(Deed::Any, identity, Timestamp(2));
        assert_eq!(activities.take_unsaved(), [(identity, Timestamp(2))]);
        assert!(activities.take_unsaved().is_empty());
        activities.put_back(vec![(identity, Timestamp(2))]);
        assert_eq!(activities.take_unsaved(), [(identity, Timestamp(2))]);
        assert_eq!(activities.last(Deed::Any, identity), Some(Timestamp(2)));
    }

    #[test]
    fn the_deeds_of_an_identity_are_kept_apart() {
        let (one, other) = (RecordId::new(), RecordId::new());
        let deeds = [Deed::Any, Deed::Login, Deed::Logout];
        let activities = Activities::default();
        for (index, deed) in deeds.into_iter().enumerate() {
            activities.note(deed, one, Timestamp(index as i64));
        }
        for (index, deed) in deeds.into_iter().enumerate() {
            assert_eq!(activities.last(deed, one), Some(Timestamp(index as i64)), "{deed:?}");
            assert_eq!(activities.last(deed, other), None);
        }
        let kept = Activities::new(activities.take_unsaved());
        assert_eq!(kept.last(Deed::Logout, one), Some(Timestamp(2)));
    }
}
