//! Executions that the flows of others started.

use flowhost_model::RecordId;
use rusqlite::Connection;

use crate::Result;

/// Marks the children that have not ended and do not go on without their parent as cancelled; gives their ids.
pub(super) fn cancel(connection: &Connection, parent: RecordId) -> Result<Vec<RecordId>> {
    let mut statement = connection.prepare_cached(
        "UPDATE execution INDEXED BY execution_by_parent SET is_cancelled = 1
         WHERE parent_id = ? AND status < 4 AND is_detached = 0 RETURNING id",
    )?;
    let ids = statement.query_map([parent.as_bytes()], |row| row.get(0).map(RecordId::from_bytes))?;
    Ok(ids.collect::<rusqlite::Result<_>>()?)
}
