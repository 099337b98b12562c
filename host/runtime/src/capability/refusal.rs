//! What a flow is told when a call of it is refused, and the sizes that are looked at before anything else.
//!
//! A flow may hand over as much as it has memory. So a text is held against its limit before the host keeps, copies, parses or
//! digests it, and a refusal shows the beginning of a text that may be long.

use flowhost_model::{InvalidName, NAME_LIMIT};
use serde::Deserialize;

use super::bindings::flowhost::flow::types::HostError;
use crate::problem::{Code, Problem, STORAGE_FAILED};
use crate::secret::Refusal;

/// The longest text, in bytes, that may be a name or an id.
pub(super) const NAME_BYTES: usize = NAME_LIMIT * 4;

/// The largest input that a flow gives another execution, in bytes: so much, at most, it may have been called with itself.
pub(super) const INPUT_BYTES: usize = 16 << 20;

/// The most bytes of a long text that a refusal shows.
const SHOWN_BYTES: usize = 200;

/// What a call of a flow is told.
pub(super) type Told<T> = Result<T, HostError>;

/// What was told, or the end of the function where that is a refusal. Nothing of it is in the journal: it depends on what
/// the flow gave alone, so that a flow which is run again is told the same.
macro_rules! or_refuse {
    ($told:expr) => {
        match $told {
            Ok(told) => told,
            Err(refused) => return Ok(Err(refused)),
        }
    };
}
pub(super) use or_refuse;

/// A refusal with a code of its own.
pub(super) fn refusal(code: &str, message: impl Into<String>) -> HostError {
    HostError { code: code.to_owned(), message: message.into() }
}

/// The beginning of a text that may be long.
pub(super) fn shown(text: &str) -> String {
    match text.get(..text.floor_char_boundary(SHOWN_BYTES)) {
        Some(beginning) if beginning.len() < text.len() => format!("{beginning}…"),
        _ => text.to_owned(),
    }
}

/// The refusal of what is larger than it may be.
pub(super) fn too_large(what: &str, bytes: usize, limit: usize) -> HostError {
    refusal(Code::TooLarge.as_str(), format!("{what} has {bytes} bytes, at most {limit} are allowed"))
}

/// Refuses a text with more than `limit` bytes. `what` is asked for where it is refused.
pub(super) fn fits(what: impl FnOnce() -> String, text: &str, limit: usize) -> Told<()> {
    if text.len() > limit { Err(too_large(&what(), text.len(), limit)) } else { Ok(()) }
}

/// Refuses a text that is too long for any name, or beginning of one. What else a name must be is seen where it is looked up.
pub(super) fn fits_name(name: &str) -> Told<()> {
    if name.len() > NAME_BYTES { Err(Problem::from(InvalidName::TooLong).into()) } else { Ok(()) }
}

/// A JSON text of at most `limit` bytes that a flow gave. `what` is asked for where it is refused.
pub(super) fn parse<T: for<'a> Deserialize<'a>>(what: impl Fn() -> String, json: &str, limit: usize) -> Told<T> {
    fits(&what, json, limit)?;
    serde_json::from_str(json).map_err(|error| refusal("json.invalid", format!("{}: {error}", what())))
}

/// Whether a call was refused because the host's storage fails.
pub(super) fn is_of_storage(refused: &HostError) -> bool {
    let HostError { code, message } = refused;
    code == Code::HostStorageFull.as_str() || (code == Code::HostStorageFailed.as_str() && message == STORAGE_FAILED)
}

impl From<Problem> for HostError {
    fn from(problem: Problem) -> Self {
        refusal(problem.code.as_str(), problem.detail)
    }
}

impl From<flowhost_store::Error> for HostError {
    fn from(error: flowhost_store::Error) -> Self {
        Problem::from(error).into()
    }
}

impl From<Refusal> for HostError {
    fn from(refused: Refusal) -> Self {
        refusal(refused.code(), refused.to_string())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn what_is_too_large_is_refused_before_it_is_parsed() {
        let parsed = |json: &str| parse::<Value>(|| "the value".to_owned(), json, 4).map_err(|refused| refused.code);
        assert_eq!(parsed("[1]").unwrap().to_string(), "[1]");
        assert_eq!(parsed("[1,"), Err("json.invalid".to_owned()));
        // No JSON either: nobody looked.
        assert_eq!(parsed("[1, ,"), Err("request.too-large".to_owned()));
    }

    #[test]
    fn refusal_for_failing_storage_is_told_from_others() {
        use flowhost_store::Error;
        let is_of_storage = |error: Error| is_of_storage(&error.into());
        assert!(is_of_storage(Error::Full) && is_of_storage(Error::Storage("EIO".into())));
        assert!(!is_of_storage(Error::Damaged("a row".into())) && !is_of_storage(Error::Conflict));
        assert!(!is_of_storage(Error::NotFound) && !is_of_storage(Error::Closed));
    }

    #[test]
    fn a_long_text_is_shown_by_its_beginning() {
        assert_eq!(shown("short"), "short");
        let long = shown(&"é".repeat(1_000));
        assert!(long.ends_with("é…") && long.len() < 210, "{long}");
        assert!(fits_name(&"😀".repeat(NAME_LIMIT)).is_ok());
        assert_eq!(fits_name(&"x".repeat(NAME_BYTES + 1)).unwrap_err().code, "record.invalid");
    }
}
