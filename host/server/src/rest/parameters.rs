//! The parameters that routes have in common.

use std::str::FromStr;

use axum::extract::FromRequestParts;
use flowhost::model::{Body, RecordId};
use flowhost::{Code, Host, Problem};
use http::request::Parts;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use crate::answer::ProblemAnswer;

/// The parameters of the query. Malformed ones are answered as a problem, which the router's own extractor does not.
pub(crate) struct Query<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = ProblemAnswer;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ProblemAnswer> {
        match axum::extract::Query::from_request_parts(parts, state).await {
            Ok(axum::extract::Query(parameters)) => Ok(Self(parameters)),
            Err(rejection) => Err(Problem::new(Code::Malformed, rejection.body_text()).into()),
        }
    }
}

/// The variable segments of the path, likewise.
pub(crate) struct Path<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = ProblemAnswer;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ProblemAnswer> {
        match axum::extract::Path::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(segments)) => Ok(Self(segments)),
            Err(rejection) => Err(Problem::new(Code::Malformed, rejection.body_text()).into()),
        }
    }
}

/// `plain` and `by`.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Common {
    /// Records without a wrapping object.
    #[serde(default, deserialize_with = "flag")]
    pub(crate) plain: bool,
    /// What the segment in the path is.
    #[serde(default)]
    pub(crate) by: By,
}

/// What names a record in a path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum By {
    /// Its id.
    #[default]
    Id,
    /// Its name.
    Name,
}

/// `true` in any case, or bare.
fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    let text = String::deserialize(deserializer)?;
    Ok(text.is_empty() || text.eq_ignore_ascii_case("true") || text == "1")
}

/// The id that a segment is.
pub(crate) fn id(segment: &str) -> Result<RecordId, Problem> {
    let hint = "to give a name instead, add `?by=name`";
    RecordId::from_str(segment)
        .map_err(|_| Problem::new(Code::RecordNotFound, format!("`{segment}` is not an id; {hint}")))
}

/// The id of the record that a segment names.
pub(crate) async fn resolve<B: Body>(host: &Host, segment: &str, by: By) -> Result<RecordId, Problem> {
    match by {
        By::Id => id(segment),
        By::Name => host.id_by_name::<B>(segment).await,
    }
}
