//! The records that people make, and what all of them share.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{RecordId, RecordType, Timestamp};

/// The longest name of a record, in characters.
pub const NAME_LIMIT: usize = 128;

/// What every record has, whatever its type.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Meta {
    /// Made by the host.
    pub id: RecordId,
    /// Unique among the records of its type.
    pub name: String,
    /// What this record is for; may have several lines.
    pub description: Option<String>,
    /// The project it belongs to.
    #[serde(default)]
    pub project_id: Option<RecordId>,
    /// The bundle it belongs to.
    #[serde(default)]
    pub bundle_id: Option<RecordId>,
    /// Guards against accidents: only this flag can be changed while it is set.
    #[serde(default)]
    pub is_readonly: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// The identity that made it; none for what the host made by itself.
    pub created_by: Option<RecordId>,
    /// When it was last changed.
    pub modified_at: Timestamp,
    /// The identity that last changed it.
    pub modified_by: Option<RecordId>,
    /// When it was put into the trash; none where it is not there.
    #[serde(default)]
    pub deleted_at: Option<Timestamp>,
    /// The identity that did.
    #[serde(default)]
    pub deleted_by: Option<RecordId>,
}

/// The part of a record that its type defines.
pub trait Body: Serialize + DeserializeOwned + Clone + Send + Sync + 'static {
    /// The type that this body belongs to.
    const TYPE: RecordType;
}

/// A record: the shared part and the part of its type. Its JSON form has both in one object.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(bound = "B: Body")]
pub struct Record<B> {
    /// What every record has.
    #[serde(flatten)]
    pub meta: Meta,
    /// What records of this type have.
    #[serde(flatten)]
    pub body: B,
}

/// Why a text cannot be a record's name.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// Nothing is left of it without its blanks.
    #[error("a name must not be empty")]
    Empty,
    /// It has more than [`NAME_LIMIT`] characters.
    #[error("a name has at most {NAME_LIMIT} characters")]
    TooLong,
    /// It holds a control character.
    #[error("a name must not hold control characters")]
    Control,
}

/// The name as it is kept: without blanks at its ends.
pub fn normalize_name(name: &str) -> Result<&str, InvalidName> {
    let name = name.trim();
    if name.is_empty() {
        Err(InvalidName::Empty)
    } else if name.chars().count() > NAME_LIMIT {
        Err(InvalidName::TooLong)
    } else if name.chars().any(char::is_control) {
        Err(InvalidName::Control)
    } else {
        Ok(name)
    }
}

impl<B: Body> Record<B> {
    /// A new record, made by `by` at the time `now`.
    pub fn new(name: &str, by: Option<RecordId>, body: B, now: Timestamp) -> Result<Self, InvalidName> {
        let name = normalize_name(name)?.to_owned();
        let meta = Meta {
            id: RecordId::new(),
            name,
            description: None,
            project_id: None,
            bundle_id: None,
            is_readonly: false,
            created_at: now,
            created_by: by,
            modified_at: now,
            modified_by: by,
            deleted_at: None,
            deleted_by: None,
        };
        Ok(Self { meta, body })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_their_outer_blanks_and_have_a_limit() {
        assert_eq!(normalize_name("  signup "), Ok("signup"));
        assert_eq!(normalize_name(" \t"), Err(InvalidName::Empty));
        assert_eq!(normalize_name(&"é".repeat(128)).map(str::len), Ok(256));
        assert_eq!(normalize_name(&"é".repeat(129)), Err(InvalidName::TooLong));
        assert_eq!(normalize_name("a\nb"), Err(InvalidName::Control));
    }
}
