//! Locks in memory, by the rules of the host.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Backend, checked_name};
use crate::{Execution, HostError};

/// The most locks that one execution holds.
const MOST: usize = 1000;

/// The id of the execution that has what is not the flow's.
const OTHER: &str = "00000000-0000-7000-8000-00000000000a";

/// Locks by their names, with whether they are the flow's.
pub(super) type Locks = BTreeMap<String, bool>;

/// Tests: native only.
impl Execution {
    /// The same execution, while another holds this lock for ever.
    #[must_use]
    pub fn with_foreign_lock(self, name: &str) -> Self {
        self.backend.locks.borrow_mut().insert(name.into(), false);
        self
    }

    /// The names of the locks that the flow holds now.
    pub fn locks_held(&self) -> BTreeSet<String> {
        self.backend.locks.borrow().iter().filter(|(_, is_own)| **is_own).map(|(name, _)| name.clone()).collect()
    }
}

impl Backend {
    /// Waiting for a lock that another holds ends with its timeout.
    ///
    /// # Panics
    ///
    /// Where it has none: the flow would wait for ever.
    pub(crate) fn acquire_lock(&self, name: &str, timeout: Option<u64>) -> Result<(), HostError> {
        if self.try_acquire_lock(name)? {
            return Ok(());
        }
        let Some(timeout) = timeout else { panic!("the flow waits for ever for the lock `{name}`") };
        self.pass(self.now() + Duration::from_micros(timeout));
        let message = format_args!("the lock `{name}` did not become free in time; the execution {OTHER} holds it");
        Err(HostError::new("locks.wait-timeout", message))
    }

    pub(crate) fn try_acquire_lock(&self, name: &str) -> Result<bool, HostError> {
        checked_name("a lock", name)?;
        let mut locks = self.locks.borrow_mut();
        if let Some(is_own) = locks.get(name).filter(|is_own| **is_own) {
            return Ok(*is_own);
        }
        if locks.values().filter(|is_own| **is_own).count() >= MOST {
            return Err(HostError::new("locks.too-many", "an execution holds at most 1000 locks"));
        }
        Ok(*locks.entry(name.into()).or_insert(true))
    }

    pub(crate) fn release_lock(&self, name: &str) -> Result<(), HostError> {
        if !self.lock_is_held(name)? {
            return Err(HostError::new("locks.lost", format_args!("the execution does not hold the lock `{name}`")));
        }
        self.locks.borrow_mut().remove(name);
        Ok(())
    }

    pub(crate) fn lock_is_held(&self, name: &str) -> Result<bool, HostError> {
        checked_name("a lock", name)?;
        Ok(self.locks.borrow().get(name).is_some_and(|is_own| *is_own))
    }

    pub(crate) fn lock_holder(&self, name: &str) -> Result<Option<String>, HostError> {
        checked_name("a lock", name)?;
        Ok(self.locks.borrow().get(name).map(|is_own| if *is_own { self.id() } else { OTHER.into() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_the_flows_until_it_is_released() {
        let this = Execution::for_test();
        let locks = this.locks();
        locks.acquire("a", None).unwrap();
        locks.acquire("a", None).unwrap();
        assert!(locks.try_acquire("b").unwrap() && locks.is_held("a").unwrap());
        assert_eq!(locks.holder("a").unwrap(), Some(this.id()));
        locks.release("a").unwrap();
        assert_eq!(this.locks_held(), BTreeSet::from(["b".into()]));
        assert_eq!(locks.holder("a").unwrap(), None);
        assert_eq!(locks.release("a").unwrap_err().code(), "locks.lost");
    }

    #[test]
    fn what_another_holds_is_waited_for_until_the_timeout() {
        let this = Execution::for_test().with_foreign_lock("a");
        let (locks, start) = (this.locks(), this.now());
        assert!(!locks.try_acquire("a").unwrap() && !locks.is_held("a").unwrap());
        let refused = locks.acquire("a", Some(Duration::from_secs(3))).unwrap_err();
        assert_eq!(refused.code(), "locks.wait-timeout");
        assert!(refused.message().contains(&locks.holder("a").unwrap().unwrap()));
        assert_eq!(this.now(), start + Duration::from_secs(3));
        assert_eq!(locks.release("a").unwrap_err().code(), "locks.lost");
    }

    #[test]
    #[should_panic(expected = "waits for ever for the lock `a`")]
    fn a_wait_for_ever_fails_the_test() {
        let _never = Execution::for_test().with_foreign_lock("a").locks().acquire("a", None);
    }

    #[test]
    fn locks_have_names_and_are_limited_in_number() {
        let this = Execution::for_test();
        for name in ["", " a", "a ", &"n".repeat(129)] {
            assert_eq!(this.locks().acquire(name, None).unwrap_err().code(), "record.invalid");
            assert_eq!(this.locks().release(name).unwrap_err().code(), "record.invalid");
        }
        for number in 0..MOST {
            this.locks().acquire(&number.to_string(), None).unwrap();
        }
        assert_eq!(this.locks().try_acquire("more").unwrap_err().code(), "locks.too-many");
        assert!(this.locks().try_acquire("0").unwrap());
    }
}
