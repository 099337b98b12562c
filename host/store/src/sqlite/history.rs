//! What happened to records.

use flowhost_model::{RecordId, Timestamp};
use rusqlite::{Connection, Row, params};

use crate::{Error, HistoryEntry, HistoryOperation, HistoryPage, Result};

const OPERATIONS: [HistoryOperation; 5] = [
    HistoryOperation::Created,
    HistoryOperation::Updated,
    HistoryOperation::Trashed,
    HistoryOperation::Restored,
    HistoryOperation::Deleted,
];

/// The number that stands for the operation in the table.
fn operation_number(operation: HistoryOperation) -> i64 {
    match operation {
        HistoryOperation::Created => 0,
        HistoryOperation::Updated => 1,
        HistoryOperation::Trashed => 2,
        HistoryOperation::Restored => 3,
        HistoryOperation::Deleted => 4,
    }
}

/// Adds an entry to the history of a record.
pub(super) fn append(connection: &Connection, id: RecordId, entry: &HistoryEntry) -> Result<()> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO record_history (record_id, revision, at, by, operation, commit_message) VALUES (?, ?, ?, ?, ?, ?)",
    )?;
    statement.execute(params![
        id.as_bytes(),
        entry.revision.cast_signed(),
        entry.at.0,
        entry.by.as_ref().map(RecordId::as_bytes),
        operation_number(entry.operation),
        entry.commit_message,
    ])?;
    Ok(())
}

/// A page of the history of a record, newest first.
pub(super) fn page(
    connection: &Connection,
    id: RecordId,
    before: Option<u64>,
    limit: u32,
    page_bytes: usize,
) -> Result<HistoryPage> {
    let mut statement = connection.prepare_cached(
        "SELECT revision, at, by, operation, commit_message FROM record_history
         WHERE record_id = ?1 AND revision < ?2 ORDER BY seq DESC",
    )?;
    let before = before.and_then(|before| i64::try_from(before).ok()).unwrap_or(i64::MAX);
    let mut rows = statement.query(params![id.as_bytes(), before])?;
    let (mut page, mut room) = (HistoryPage::default(), page_bytes);
    while let Some(row) = rows.next()? {
        if page.entries.len() == limit as usize || room == 0 {
            page.next = page.entries.last().map(|last| last.revision);
            break;
        }
        let entry = from_row(row)?;
        room = room.saturating_sub(entry.commit_message.as_ref().map_or(0, String::len));
        page.entries.push(entry);
    }
    Ok(page)
}

fn from_row(row: &Row<'_>) -> Result<HistoryEntry> {
    let operation = OPERATIONS.get(usize::from(row.get::<_, u16>(3)?));
    Ok(HistoryEntry {
        revision: row.get::<_, i64>(0)?.cast_unsigned(),
        at: Timestamp(row.get(1)?),
        by: row.get::<_, Option<_>>(2)?.map(RecordId::from_bytes),
        operation: *operation.ok_or_else(|| Error::Damaged("operation in a record's history".to_owned()))?,
        commit_message: row.get(4)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_for_what_they_say() {
        assert!(OPERATIONS.into_iter().zip(0..).all(|(operation, number)| operation_number(operation) == number));
    }
}
