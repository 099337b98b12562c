//! The journals of executions that have not ended.

use flowhost_model::{JournalEntry, RecordId, Status, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::executions::status_number;
use crate::{Error, JournalWrite, Result};

/// Adds to the journal of an execution, which is durable or not from then on.
pub(super) fn write(connection: &Connection, more: &JournalWrite) -> Result<()> {
    let id = more.execution;
    let mut statement =
        connection.prepare_cached("SELECT seq, is_durable, deaths FROM execution WHERE id = ? AND status < 4")?;
    let found = statement.query_row([id.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).optional()?;
    let (seq, is_durable, deaths): (i64, bool, u32) = found.ok_or(Error::NotFound)?;
    // Only where there is something to change: the row may be large.
    if let Some((started_at, deadline)) = more.begins {
        let mut statement = connection.prepare_cached(
            "UPDATE execution SET status = ?2, started_at = ?3, deadline = ?4, is_durable = ?5 WHERE seq = ?1",
        )?;
        statement.execute(params![seq, status_number(Status::Running), started_at.0, deadline.0, more.is_durable])?;
    } else if is_durable != more.is_durable {
        let mut statement = connection.prepare_cached("UPDATE execution SET is_durable = ?2 WHERE seq = ?1")?;
        statement.execute(params![seq, more.is_durable])?;
    }
    // It got further than when the host died.
    if deaths > 0 && !more.entries.is_empty() {
        connection.prepare_cached("UPDATE execution SET deaths = 0 WHERE seq = ?")?.execute([seq])?;
    }
    append(connection, seq, id, more.first, &more.entries)
}

/// Adds entries to the journal of the execution in row `seq`. `first` must be the next number of the journal.
fn append(connection: &Connection, seq: i64, id: RecordId, first: u64, entries: &[JournalEntry]) -> Result<()> {
    if entries.is_empty() {
        return Ok(());
    }
    let next = next(connection, seq)?;
    if first != next {
        return Err(Error::Damaged(format!("the journal of execution {id} goes on at entry {next}, not at {first}")));
    }
    insert(connection, seq, first, entries)
}

/// Adds entries to the journal of the execution in row `seq`, from the number `first` on. Those that it has already are left
/// as they are: the execution may have been taken out of memory before it was told that they are kept.
pub(super) fn append_missing(
    connection: &Connection,
    seq: i64,
    id: RecordId,
    first: u64,
    entries: &[JournalEntry],
) -> Result<()> {
    if entries.is_empty() {
        return Ok(());
    }
    let next = next(connection, seq)?;
    let known = usize::try_from(next.saturating_sub(first)).unwrap_or(usize::MAX).min(entries.len());
    append(connection, seq, id, first + known as u64, &entries[known..])
}

/// The next number of the journal.
fn next(connection: &Connection, seq: i64) -> Result<u64> {
    let mut statement =
        connection.prepare_cached("SELECT COALESCE(MAX(entry) + 1, 0) FROM execution_journal WHERE execution = ?")?;
    Ok(statement.query_one([seq], |row| row.get(0).map(i64::cast_unsigned))?)
}

fn insert(connection: &Connection, seq: i64, first: u64, entries: &[JournalEntry]) -> Result<()> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO execution_journal (execution, entry, at, call, digest, result) VALUES (?, ?, ?, ?, ?, ?)",
    )?;
    for (number, entry) in (first..).zip(entries) {
        statement.execute(params![seq, number.cast_signed(), entry.at.0, entry.call, entry.digest, entry.result])?;
    }
    Ok(())
}

/// The journal of the execution in row `seq`.
pub(super) fn entries(connection: &Connection, seq: i64, id: RecordId) -> Result<Vec<JournalEntry>> {
    let mut statement = connection.prepare_cached(
        "SELECT entry, at, call, digest, result FROM execution_journal WHERE execution = ? ORDER BY entry",
    )?;
    let mut entries = Vec::new();
    let mut rows = statement.query([seq])?;
    while let Some(row) = rows.next()? {
        let (number, entry) = from_row(row).map_err(|error| {
            Error::Damaged(format!("entry {} of the journal of execution {id}: {error}", entries.len()))
        })?;
        if number != entries.len() as i64 {
            return Err(Error::Damaged(format!("entry {} of the journal of execution {id} is missing", entries.len())));
        }
        entries.push(entry);
    }
    Ok(entries)
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<(i64, JournalEntry)> {
    let entry =
        JournalEntry { at: Timestamp(row.get(1)?), call: row.get(2)?, digest: row.get(3)?, result: row.get(4)? };
    Ok((row.get(0)?, entry))
}

/// Drops the journal of the execution in row `seq`.
pub(super) fn delete(connection: &Connection, seq: i64) -> Result<()> {
    connection.prepare_cached("DELETE FROM execution_journal WHERE execution = ?")?.execute([seq])?;
    Ok(())
}
