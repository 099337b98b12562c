//! Secrets: values that the store has encrypted, that flows mostly use without holding them, and that are masked wherever
//! a flow's text is kept or shown.

mod called_key;
mod forms;
mod keys;
mod mask;
mod pattern;
mod placeholder;
mod vault;

pub use keys::{SecretKeyError, SecretKeys, new_secret_key};

pub(crate) use called_key::{CalledKey, CalledKeys, mask_of};
pub(crate) use keys::{Sealed, SealedWithout};
pub(crate) use pattern::HostPattern;
pub(crate) use placeholder::{Part, placeholder};
pub(crate) use vault::{Refusal, Secrets};

/// The shortest value, in bytes: a shorter one stands in texts by chance and cannot be masked.
pub(crate) const SHORTEST_VALUE: usize = 8;

/// The longest value, in bytes.
pub(crate) const LONGEST_VALUE: usize = 64 << 10;
