//! Locks as stores keep them.

use flowhost_model::{RecordId, Timestamp};

/// What a lock is known by. Each project has names of its own, and so have all executions of no project together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LockKey {
    /// The project; none for executions of no project.
    pub project_id: Option<RecordId>,
    /// The name.
    pub name: String,
}

/// A lock that an execution holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// What it is known by.
    pub key: LockKey,
    /// The execution.
    pub execution: RecordId,
    /// The name of the execution's flow.
    pub flow_name: String,
    /// Since when it holds the lock.
    pub since: Timestamp,
}

/// Which locks a list holds. They are ordered by name, and those of one name by project.
#[derive(Clone, Debug)]
pub struct LockQuery {
    /// Goes on behind this one.
    pub after: Option<LockKey>,
    /// The most locks of the page.
    pub limit: u32,
    /// Only locks of this name.
    pub name: Option<String>,
    /// Only locks of these projects; none for all, also those of no project.
    pub in_projects: Option<Vec<RecordId>>,
}
