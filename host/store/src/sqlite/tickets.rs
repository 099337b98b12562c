//! Executions in the queue, without what it takes to run them.

use flowhost_model::{ConcurrencyLimit, RecordId};
use rusqlite::Row;

use super::executions::priority;
use crate::{Result, Ticket};

/// The columns of a ticket in the order of [`from_row`].
pub(super) const COLUMNS: &str = "id, flow_id, webhook_id, priority, concurrency_key, concurrency_limit, concurrency_project, is_productive, user_id, \
     deaths";

/// A ticket, from [`COLUMNS`].
pub(super) fn from_row(row: &Row<'_>) -> Result<Ticket> {
    let record_id = |index| row.get::<_, Option<[u8; 16]>>(index).map(|bytes| bytes.map(RecordId::from_bytes));
    let id = RecordId::from_bytes(row.get(0)?);
    Ok(Ticket {
        id,
        flow_id: RecordId::from_bytes(row.get(1)?),
        webhook_id: record_id(2)?,
        priority: priority(id, row.get(3)?)?,
        concurrency: concurrency_from_row(row, 4)?,
        is_productive: row.get(7)?,
        user_id: record_id(8)?,
        deaths: row.get(9)?,
    })
}

/// The limit in the three columns from `first` on, if there is one.
pub(super) fn concurrency_from_row(row: &Row<'_>, first: usize) -> Result<Option<ConcurrencyLimit>> {
    let (Some(key), Some(limit)) = (row.get(first)?, row.get(first + 1)?) else { return Ok(None) };
    let project_id = row.get::<_, Option<_>>(first + 2)?.map(RecordId::from_bytes);
    Ok(Some(ConcurrencyLimit { project_id, key, limit }))
}
