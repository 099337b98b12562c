//! Locks as stores keep them.

use flowhost_model::{RecordId, Timestamp};

/// A lock that an execution holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// Its name.
    pub name: String,
    /// The execution.
    pub execution: RecordId,
    /// The name of the execution's flow.
    pub flow_name: String,
    /// The project that the execution belongs to.
    pub project_id: Option<RecordId>,
    /// Since when it holds the lock.
    pub since: Timestamp,
}
