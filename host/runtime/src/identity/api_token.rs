//! API tokens: what programs show instead of a password.

use data_encoding::BASE64URL_NOPAD;
use flowhost_model::Digest;
use sha2::{Digest as _, Sha256};

/// Tokens begin so, that people and secret scanners know one when they see it.
const PREFIX: &str = "fh_";

const RANDOM_BYTES: usize = 32;

/// A new token. It is shown once; what is kept is its [`digest`].
pub(crate) fn new_token() -> Result<String, getrandom::Error> {
    let mut random = [0; RANDOM_BYTES];
    getrandom::fill(&mut random)?;
    Ok(format!("{PREFIX}{}", BASE64URL_NOPAD.encode(&random)))
}

/// The digest by which a token is kept and found. A token is 256 random bits: there is nothing to guess, so that a fast
/// digest without a salt is as good as a slow one, and finding it by its digest tells nothing by the time it takes.
pub(crate) fn digest(token: &str) -> Digest {
    Digest(Sha256::digest(token.as_bytes()).into())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn tokens_are_random_and_fit_into_a_header() {
        let tokens: HashSet<String> = (0..100).map(|_| new_token().unwrap()).collect();
        assert_eq!(tokens.len(), 100);
        for token in tokens {
            let random = token.strip_prefix("fh_").unwrap();
            assert_eq!(BASE64URL_NOPAD.decode(random.as_bytes()).unwrap().len(), 32);
            assert!(token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
        }
    }

    #[test]
    fn a_token_is_found_by_its_digest_alone() {
        let token = new_token().unwrap();
        assert_eq!(digest(&token), digest(&token));
        assert_ne!(digest(&token), digest(&token[..token.len() - 1]));
        assert_eq!(
            digest("abc").to_string(),
            "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
