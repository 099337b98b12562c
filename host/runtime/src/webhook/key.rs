//! The key of a webhook: found in the request, compared, taken out of all that the flow and the record see.

use std::borrow::Cow;

use flowhost_model::Digest;
use http::HeaderMap;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;

use super::query;
use crate::problem::{Code, Problem};

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

/// What the head of a request presents as the key. Each carrier presents one at most.
#[derive(Debug)]
pub(crate) struct Presented<'a> {
    pub(crate) in_query: Option<Cow<'a, str>>,
    pub(crate) in_header: Option<&'a [u8]>,
}

impl<'a> Presented<'a> {
    /// Finds the keys that the head presents.
    ///
    /// Problem: `request.malformed` where a carrier presents several.
    pub(crate) fn of(query: Option<&'a str>, headers: &'a HeaderMap) -> Result<Self, Problem> {
        let in_query = query.into_iter().flat_map(|query| query::values(query, FIELD));
        let in_header = headers.get_all(HEADER).iter().map(http::HeaderValue::as_bytes);
        Ok(Self { in_query: only(in_query, "the query")?, in_header: only(in_header, "the header X-Api-Key")? })
    }

    /// Whether one of the carriers has the key with this digest.
    pub(crate) fn is_right(&self, expected: Digest) -> bool {
        self.in_query.as_deref().is_some_and(|key| matches(expected, key.as_bytes()))
            || self.in_header.is_some_and(|key| matches(expected, key))
    }

    /// How many keys there are: as many guesses, if none is right.
    pub(crate) fn count(&self) -> usize {
        let in_query = self.in_query.as_deref().is_some_and(|key| !key.is_empty());
        let in_header = self.in_header.is_some_and(|key| !key.is_empty());
        usize::from(in_query) + usize::from(in_header)
    }

    /// Whether there is a key, and none that is right.
    pub(crate) fn is_wrong(&self, expected: Digest) -> bool {
        self.count() > 0 && !self.is_right(expected)
    }
}

/// Returns the only item.
fn only<T>(mut items: impl Iterator<Item = T>, place: &str) -> Result<Option<T>, Problem> {
    let item = items.next();
    if items.next().is_some() { Err(repeated(place)) } else { Ok(item) }
}

/// The problem of a carrier that presents several keys.
pub(crate) fn repeated(place: &str) -> Problem {
    Problem::new(Code::Malformed, format!("{place} has the webhook's key more than once; send one `key`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_carrier_presents_one_key() {
        let headers = |keys: &[&'static str]| {
            keys.iter().map(|key| (http::HeaderName::from_static(HEADER), key.parse().unwrap())).collect::<HeaderMap>()
        };
        let one = headers(&["b"]);
        let presented = Presented::of(Some("a=1&k%65y=a"), &one).unwrap();
        assert_eq!((presented.in_query.as_deref(), presented.in_header), (Some("a"), Some(&b"b"[..])));
        assert_eq!(Presented::of(Some("key="), &HeaderMap::new()).unwrap().count(), 0);
        let (none, two) = (HeaderMap::new(), headers(&["a", "a"]));
        for (query, headers) in [("key=a&key=b", &none), ("key=a&x&k%65y=a", &none), ("", &two)] {
            assert_eq!(Presented::of(Some(query), headers).unwrap_err().code, Code::Malformed);
        }
    }

    #[test]
    fn only_the_same_key_matches() {
        let expected = digest(b"my-secret-api-key");
        assert!(matches(expected, b"my-secret-api-key"));
        assert!(!matches(expected, b"my-secret-api-kez"));
        assert!(!matches(expected, b""));
    }
}
