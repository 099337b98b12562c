//! Messages that wait for an answer.

use flowhost_model::{RecordId, Timestamp};
use rusqlite::{Connection, params};

use super::{records, waits};
use crate::{Error, Result};

/// Keeps that a message of an execution waits for its answer.
pub(super) fn open(connection: &Connection, message: RecordId, execution: RecordId) -> Result<()> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO open_message (message, execution) SELECT ?, seq FROM execution WHERE id = ? AND status < 4",
    )?;
    let opened = statement.execute(params![message.as_bytes(), execution.as_bytes()])?;
    if opened == 1 { Ok(()) } else { Err(Error::NotFound) }
}

/// Whether it still does.
pub(super) fn is_open(connection: &Connection, message: RecordId) -> Result<bool> {
    let mut statement = connection.prepare_cached("SELECT 1 FROM open_message WHERE message = ?")?;
    Ok(statement.exists([message.as_bytes()])?)
}

/// It does not any more. Who waited goes on, and is nobody's.
pub(super) fn settle(connection: &Connection, message: RecordId) -> Result<()> {
    let mut statement = connection.prepare_cached("DELETE FROM open_message WHERE message = ?")?;
    if statement.execute([message.as_bytes()])? == 0 {
        return Err(Error::Conflict);
    }
    waits::happened(connection, message, true, None)?;
    Ok(())
}

/// Closes the messages of the execution in row `seq` that wait for their answers, in one write of records.
pub(super) fn close_all(connection: &Connection, seq: i64, at: Timestamp) -> Result<()> {
    let mut statement = connection.prepare_cached("DELETE FROM open_message WHERE execution = ? RETURNING message")?;
    let open = statement.query_map([seq], |row| row.get(0))?;
    let open: Vec<[u8; 16]> = open.collect::<rusqlite::Result<_>>()?;
    if open.is_empty() {
        return Ok(());
    }
    let revision = records::next_revision(connection)?.cast_signed();
    let mut statement = connection.prepare_cached(
        "UPDATE record SET body = json_set(body, '$.status', 'CLOSED'), modified_at = ?2, revision = ?3 WHERE id = ?1",
    )?;
    for message in open {
        statement.execute(params![message, at.0, revision])?;
    }
    Ok(())
}
