//! The records that people make, and what all of them share.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{InvalidName, RecordId, RecordType, Timestamp, normalize_name};

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

impl<B: Body> Record<B> {
    /// A new record, made by `by` at the time `now`.
    pub fn new(name: &str, by: Option<RecordId>, body: B, now: Timestamp) -> Result<Self, InvalidName> {
        let name = normalize_name(name)?.into_owned();
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
