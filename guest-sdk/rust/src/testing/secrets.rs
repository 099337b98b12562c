//! Secrets in memory.

use super::Backend;
use crate::{Execution, HostError};

/// Tests: native only.
impl Execution {
    /// The same execution with a secret, which it may read.
    #[must_use]
    pub fn with_secret(self, name: &str, value: &str) -> Self {
        self.backend.secrets.borrow_mut().insert(name.to_owned(), (value.to_owned(), true));
        self
    }

    /// The same execution with a secret that flows may not read: they get a placeholder.
    #[must_use]
    pub fn with_unreadable_secret(self, name: &str, value: &str) -> Self {
        self.backend.secrets.borrow_mut().insert(name.to_owned(), (value.to_owned(), false));
        self
    }
}

impl Backend {
    pub(crate) fn secret_placeholder(&self, name: &str) -> Result<String, HostError> {
        self.known_secret(name)?;
        // As long as the host's, and another for each name.
        let sum = name.bytes().fold(0_u128, |sum, byte| sum.wrapping_mul(0x0100_0000_01b3).wrapping_add(byte.into()));
        Ok(format!("flowhost-secret-{sum:032x}"))
    }

    pub(crate) fn secret(&self, name: &str) -> Result<String, HostError> {
        let (value, is_readable) = self.known_secret(name)?;
        if !is_readable {
            let message = format!("flows may not read the secret `{name}`; use a placeholder, or set `is_readable`");
            return Err(HostError::new("secrets.not-readable", message));
        }
        Ok(value)
    }

    fn known_secret(&self, name: &str) -> Result<(String, bool), HostError> {
        let known = self.secrets.borrow().get(name).cloned();
        let missing = || format!("there is no secret `{name}` that this execution may read");
        known.ok_or_else(|| HostError::new("secrets.not-found", missing()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_has_the_secrets_that_it_gives() {
        let this = Execution::for_test().with_secret("a", "value of a").with_unreadable_secret("b", "value of b");
        let secrets = this.secrets();
        assert_eq!(secrets.get("a").unwrap(), "value of a");
        assert_eq!(secrets.get("b").unwrap_err().code(), "secrets.not-readable");
        assert_eq!(secrets.get("c").unwrap_err().code(), "secrets.not-found");
        assert_eq!(secrets.placeholder("c").unwrap_err().code(), "secrets.not-found");
        assert_eq!(secrets.placeholder("a").unwrap(), secrets.placeholder("a").unwrap());
        assert_ne!(secrets.placeholder("a").unwrap(), secrets.placeholder("b").unwrap());
        assert_eq!(secrets.placeholder("a").unwrap().len(), "flowhost-secret-".len() + 32);
    }
}
