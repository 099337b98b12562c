//! The parameters that routes have in common.

use std::str::FromStr;

use flowhost::model::{Body, RecordId};
use flowhost::{Code, Host, Problem};
use serde::{Deserialize, Deserializer};

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
