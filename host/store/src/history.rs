//! What happened to a record.

use flowhost_model::{RecordId, Timestamp};
use serde::Serialize;

/// A page of a record's history.
#[derive(Clone, Debug, Default)]
pub struct HistoryPage {
    /// The entries, newest first.
    pub entries: Vec<HistoryEntry>,
    /// The history goes on with the entries of revisions before this one; `None` if it has ended.
    pub next: Option<u64>,
}

/// One change of a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HistoryEntry {
    /// The revision that the change made.
    pub revision: u64,
    /// When.
    pub at: Timestamp,
    /// The identity that changed it; none for the host itself.
    pub by: Option<RecordId>,
    /// What was done.
    pub operation: HistoryOperation,
    /// Why, in the words of who did it.
    pub commit_message: Option<String>,
}

/// What was done to a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum HistoryOperation {
    /// It was made.
    Created,
    /// It was changed.
    Updated,
    /// It was put into the trash.
    Trashed,
    /// It was taken out of the trash.
    Restored,
    /// It was removed for good.
    Deleted,
}
