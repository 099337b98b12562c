//! What a flow is told when a call of it is refused.

use serde::{Deserialize, Serialize};

use super::bindings::flowhost::flow::types::HostError;
use crate::problem::Problem;
use crate::secret::Refusal;

/// What a call of a flow is told.
pub(super) type Told<T> = Result<T, HostError>;

/// A refusal with a code of its own.
pub(super) fn refusal(code: &str, message: impl Into<String>) -> HostError {
    HostError { code: code.to_owned(), message: message.into() }
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

/// A JSON text that a flow gave.
pub(super) fn parse<T: for<'a> Deserialize<'a> + Serialize>(what: &str, json: &str) -> Told<T> {
    serde_json::from_str(json).map_err(|error| refusal("json.invalid", format!("{what}: {error}")))
}
