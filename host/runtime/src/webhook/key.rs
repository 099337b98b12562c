//! The key of a webhook: found in the request, compared, taken out of all that the flow and the record see.

use flowhost_model::Digest;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;

/// The name of the query parameter and of the field of the payload.
pub(crate) const FIELD: &str = "key";

/// The header that may carry the key instead.
pub(crate) const HEADER: &str = "x-api-key";

/// The digest by which a key is kept.
pub(crate) fn digest(key: &[u8]) -> Digest {
    Digest(Sha256::digest(key).into())
}

/// Whether `key` is the one with this digest. Takes the same time for every wrong key: digests are compared, all of them.
pub(crate) fn matches(expected: Digest, key: &[u8]) -> bool {
    digest(key).0.ct_eq(&expected.0).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_key_matches() {
        let expected = digest(b"my-secret-api-key");
        assert!(matches(expected, b"my-secret-api-key"));
        assert!(!matches(expected, b"my-secret-api-kez"));
        assert!(!matches(expected, b""));
    }
}
