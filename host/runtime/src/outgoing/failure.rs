//! Why a request had no response.

use std::error::Error;
use std::io;

use serde::{Deserialize, Serialize};

use super::resolver::Unresolved;
use crate::secret::Refusal;

/// Why a request was not sent, or had no response: a code of `docs/errors.md`, and a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failure {
    pub(crate) code: String,
    pub(crate) message: String,
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
    pub(crate) const OUTCOME_UNKNOWN: &str = "http.outcome-unknown";

    pub(crate) fn new(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into() }
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
                return Self::new(Self::TOO_LARGE, format!("`{host}` answered with too many or too large headers"));
            }
            let is_late = |error: &io::Error| error.kind() == io::ErrorKind::TimedOut;
            if error.downcast_ref::<io::Error>().is_some_and(is_late) {
                return Self::new(Self::TIMEOUT, format!("`{host}` could not be reached in time"));
            }
        }
        let reason = chain.last().map(ToString::to_string).unwrap_or_default();
        Self::new(Self::CONNECTION_FAILED, format!("the connection to `{host}` failed: {reason}"))
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
