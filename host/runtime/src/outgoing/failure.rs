//! Why a request had no response.

use std::error::Error;
use std::io;

use serde::{Deserialize, Serialize};

use super::resolver::Unresolved;
use crate::secret::Refusal;

/// The longest message, in bytes: parts of it may come from servers, and it is kept in the journal and in the log.
const MESSAGE_LIMIT: usize = 1_000;

/// Why a request was not sent, or had no response: a code of `docs/errors.md`, and a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failure {
    pub(crate) code: String,
    pub(crate) message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cause: Option<Cause>,
}

/// What a code leaves open and `wasi:http` tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Cause {
    /// Nobody listens there, so that nothing was received.
    ConnectionRefused,
    /// The body of the request is too large.
    RequestTooLarge,
    /// The address of the request is too long.
    AddressTooLong,
    /// The headers of the response are too many or too large.
    ResponseHeadersTooLarge,
}

impl Failure {
    pub(crate) const INVALID_REQUEST: &str = "http.invalid-request";
    pub(crate) const NOT_ALLOWED: &str = "http.not-allowed";
    pub(crate) const ADDRESS_NOT_ALLOWED: &str = "http.address-not-allowed";
    pub(crate) const NAME_NOT_FOUND: &str = "http.name-not-found";
    pub(crate) const CONNECTION_FAILED: &str = "http.connection-failed";
    pub(crate) const TLS_FAILED: &str = "http.tls-failed";
    pub(crate) const TIMEOUT: &str = "http.timeout";
    pub(crate) const TOO_LARGE: &str = "http.too-large";
    pub(crate) const TOO_MANY_REDIRECTS: &str = "http.too-many-redirects";
    pub(crate) const TOO_MANY: &str = "http.too-many";
    pub(crate) const SECRET_NOT_ALLOWED: &str = "secrets.not-allowed";
    pub(crate) const OUTCOME_UNKNOWN: &str = "http.outcome-unknown";

    pub(crate) fn new(code: &str, message: impl Into<String>) -> Self {
        let mut message = message.into();
        if message.len() > MESSAGE_LIMIT {
            message.truncate(message.floor_char_boundary(MESSAGE_LIMIT));
            message.push('…');
        }
        Self { code: code.to_owned(), message, cause: None }
    }

    pub(super) fn caused_by(self, cause: Cause) -> Self {
        Self { cause: Some(cause), ..self }
    }

    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(Self::INVALID_REQUEST, message)
    }

    /// What became of a request to `host` that the client gave up.
    pub(super) fn of(error: &(dyn Error + 'static), host: &str) -> Self {
        let chain = std::iter::successors(Some(error), |error| inner(*error));
        for error in chain.clone() {
            match error.downcast_ref::<Unresolved>() {
                Some(unresolved @ Unresolved::NotFound(_)) => {
                    return Self::new(Self::NAME_NOT_FOUND, unresolved.to_string());
                }
                Some(unresolved @ Unresolved::NotPermitted(_)) => {
                    let message = format!("{unresolved}; the host's `http_private` permits networks");
                    return Self::new(Self::ADDRESS_NOT_ALLOWED, message);
                }
                None => {}
            }
            if let Some(error) = error.downcast_ref::<rustls::Error>() {
                return Self::new(Self::TLS_FAILED, format!("no secure connection to `{host}`: {error}"));
            }
            if error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse_too_large) {
                let message = format!("`{host}` answered with too many or too large headers");
                return Self::new(Self::TOO_LARGE, message).caused_by(Cause::ResponseHeadersTooLarge);
            }
            let is_late = |error: &io::Error| error.kind() == io::ErrorKind::TimedOut;
            if error.downcast_ref::<io::Error>().is_some_and(is_late) {
                return Self::new(Self::TIMEOUT, format!("`{host}` could not be reached in time"));
            }
        }
        let is_refused = chain
            .clone()
            .filter_map(|error| error.downcast_ref::<io::Error>())
            .any(|error| error.kind() == io::ErrorKind::ConnectionRefused);
        let reason = chain.last().map(ToString::to_string).unwrap_or_default();
        let failure = Self::new(Self::CONNECTION_FAILED, format!("the connection to `{host}` failed: {reason}"));
        if is_refused { failure.caused_by(Cause::ConnectionRefused) } else { failure }
    }
}

/// What an error was caused by. An error of input and output hides what it was made of.
fn inner<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    if let Some(made_of) = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        return Some(made_of);
    }
    error.source()
}

/// A secret that the request would carry is none that may be sent there.
impl From<Refusal> for Failure {
    fn from(refused: Refusal) -> Self {
        Self::new(refused.code(), refused.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_is_told_by_its_kind_and_not_by_its_words() {
        let of = |kind, host| Failure::of(&io::Error::new(kind, "the peer said something"), host).cause;
        assert_eq!(of(io::ErrorKind::ConnectionRefused, "a.example"), Some(Cause::ConnectionRefused));
        assert_eq!(of(io::ErrorKind::ConnectionReset, "refused.example"), None);
        let nested = io::Error::other(io::Error::from(io::ErrorKind::ConnectionRefused));
        assert_eq!(Failure::of(&nested, "a.example").cause, Some(Cause::ConnectionRefused));
    }

    #[test]
    fn a_message_has_an_end() {
        let failure = Failure::of(&io::Error::other("ü".repeat(10_000)), "a.example");
        assert!(failure.message.len() < MESSAGE_LIMIT + 10 && failure.message.ends_with('…'));
    }
}
