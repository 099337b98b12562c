//! Executions that are paused in the store, and whose they are.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use flowhost_model::{RecordId, is_fair_share};

use crate::pool::NoPlace;

/// Counts paused executions by the user that answers for them.
///
/// The executions of users who are away take places, and one user takes at most half of what is free. What is paused by hand
/// or after it was accepted always has a place: it is counted only.
#[derive(Debug)]
pub(crate) struct Paused {
    limit: u64,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    all: u64,
    of: HashMap<Option<RecordId>, u64>,
}

impl Paused {
    /// Those that the store has.
    pub(crate) fn new(limit: u32, of: impl IntoIterator<Item = (Option<RecordId>, u64)>) -> Self {
        let of: HashMap<_, _> = of.into_iter().collect();
        Self { limit: limit.into(), counts: Mutex::new(Counts { all: of.values().sum(), of }) }
    }

    /// Counts an execution of a user who is away, unless there is no place for it.
    pub(crate) fn enter(&self, user: Option<RecordId>) -> Result<(), NoPlace> {
        let mut counts = self.lock();
        let free = self.limit.saturating_sub(counts.all);
        if free == 0 {
            return Err(NoPlace::Full);
        }
        if !is_fair_share(counts.of.get(&user).copied().unwrap_or_default(), 1, free) {
            return Err(NoPlace::Share);
        }
        counts.add(user);
        Ok(())
    }

    /// Counts an execution that was paused.
    pub(crate) fn count(&self, user: Option<RecordId>) {
        self.lock().add(user);
    }

    /// An execution is not paused any more.
    pub(crate) fn discount(&self, user: Option<RecordId>) {
        let mut counts = self.lock();
        if let Some(count) = counts.of.get_mut(&user) {
            *count -= 1;
            if *count == 0 {
                counts.of.remove(&user);
            }
            counts.all -= 1;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    fn add(&mut self, user: Option<RecordId>) {
        self.all += 1;
        *self.of.entry(user).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paused_calls_of_one_user_leave_places_to_others_after_a_restart() {
        let (flooded, other) = (Some(RecordId::new()), Some(RecordId::new()));
        let paused = Paused::new(100, [(flooded, 49)]);
        assert_eq!(paused.enter(flooded), Ok(()));
        assert_eq!(paused.enter(flooded), Err(NoPlace::Share));
        assert_eq!(paused.enter(other), Ok(()));
        paused.discount(flooded);
        paused.discount(other);
        assert_eq!(paused.enter(flooded), Ok(()));
    }

    #[test]
    fn pauses_by_hand_are_counted_beyond_the_limit() {
        let user = Some(RecordId::new());
        let paused = Paused::new(1, []);
        paused.count(user);
        paused.count(user);
        assert_eq!(paused.enter(None), Err(NoPlace::Full));
        paused.discount(user);
        paused.discount(user);
        paused.discount(user);
        assert_eq!(paused.enter(None), Ok(()));
    }
}
