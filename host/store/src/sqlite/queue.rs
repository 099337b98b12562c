//! The queue of executions that are ready to go on, and how they enter and leave it.

use flowhost_model::{RecordId, Status, Timestamp};
use rusqlite::{Connection, OptionalExtension, Params, params};

use super::executions::status_number;
use super::{tickets, waits};
use crate::{Due, Error, OwnerId, Result, Ticket};

/// Claims scheduled executions that nobody owns.
pub(super) fn claim(connection: &Connection, owner: OwnerId, limit: u32) -> Result<Vec<Ticket>> {
    let found = find(
        connection,
        "FROM execution INDEXED BY execution_to_claim
         WHERE status = 0 AND owner IS NULL ORDER BY priority DESC, id LIMIT ?",
        [limit],
    )?;
    let mut statement = connection.prepare_cached("UPDATE execution SET owner = ?2 WHERE seq = ?1")?;
    for (seq, _) in &found {
        statement.execute([*seq, owner.0])?;
    }
    Ok(found.into_iter().map(|(_, ticket)| ticket).collect())
}

/// Claims executions that wait in the store and whose time has come.
pub(super) fn claim_due(connection: &Connection, owner: OwnerId, now: Timestamp, limit: u32) -> Result<Due> {
    let found = find(
        connection,
        "FROM execution INDEXED BY execution_by_wake
         WHERE status = 2 AND owner IS NULL AND wake_at <= ? ORDER BY wake_at, id LIMIT ?",
        params![now.0, limit],
    )?;
    let mut tickets = Vec::with_capacity(found.len());
    for (seq, _) in found {
        tickets.extend(schedule(connection, seq, Some(owner))?);
    }
    Ok(Due { tickets, next: waits::next_wake(connection)? })
}

/// The executions that an owner has and that have not ended.
pub(super) fn owned(connection: &Connection, owner: OwnerId) -> Result<Vec<RecordId>> {
    let mut statement = connection.prepare_cached(
        "SELECT id FROM execution INDEXED BY execution_by_owner WHERE owner = ? AND owner IS NOT NULL AND status < 3",
    )?;
    let ids = statement.query_map([owner.0], |row| row.get(0).map(RecordId::from_bytes))?;
    Ok(ids.collect::<rusqlite::Result<_>>()?)
}

/// Schedules a durable execution of an owner anew; none where it is not durable.
pub(super) fn retake(connection: &Connection, owner: OwnerId, id: RecordId) -> Result<Option<Ticket>> {
    let mut statement =
        connection.prepare_cached("SELECT seq, is_durable FROM execution WHERE id = ? AND owner = ? AND status < 3")?;
    let found =
        statement.query_row(params![id.as_bytes(), owner.0], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let (seq, is_durable): (i64, bool) = found.ok_or(Error::NotFound)?;
    if !is_durable {
        return Ok(None);
    }
    waits::forget(connection, seq)?;
    let mut statement = connection.prepare_cached(&format!(
        "UPDATE execution SET attempt = attempt + (status = 1), status = 0, wake_at = NULL WHERE seq = ? RETURNING {}",
        tickets::COLUMNS
    ))?;
    statement.query_row([seq], |row| Ok(tickets::from_row(row)))?.map(Some)
}

/// The tickets of executions with the numbers of their rows.
fn find(connection: &Connection, rest: &str, parameters: impl Params) -> Result<Vec<(i64, Ticket)>> {
    let mut statement = connection.prepare_cached(&format!("SELECT {}, seq {rest}", tickets::COLUMNS))?;
    statement.query_and_then(parameters, |row| Ok((row.get("seq")?, tickets::from_row(row)?)))?.collect()
}

/// Ends the wait of the execution in row `seq`, which is scheduled then; none where it does not wait in the store.
pub(super) fn schedule(connection: &Connection, seq: i64, owner: Option<OwnerId>) -> Result<Option<Ticket>> {
    let mut statement = connection.prepare_cached(&format!(
        "UPDATE execution SET status = ?2, owner = ?3, wake_at = NULL WHERE seq = ?1 AND status = 2 AND owner IS NULL
         RETURNING {}",
        tickets::COLUMNS
    ))?;
    let parameters = params![seq, status_number(Status::Scheduled), owner.map(|owner| owner.0)];
    let ticket = statement.query_row(parameters, |row| Ok(tickets::from_row(row))).optional()?.transpose()?;
    waits::forget(connection, seq)?;
    Ok(ticket)
}

/// Makes a waiting or scheduled execution paused.
pub(super) fn pause(connection: &Connection, id: RecordId, message: &str) -> Result<()> {
    pause_where(connection, id, message, "(status = 0 OR status = 2 AND owner IS NULL)")
}

/// Makes an execution paused that waits in the store.
pub(super) fn pause_waiting(connection: &Connection, id: RecordId, message: &str) -> Result<()> {
    pause_where(connection, id, message, "status = 2 AND owner IS NULL")
}

fn pause_where(connection: &Connection, id: RecordId, message: &str, condition: &str) -> Result<()> {
    let mut statement = connection.prepare_cached(&format!(
        "UPDATE execution SET status = ?2, status_message = ?3, owner = NULL, wake_at = NULL
         WHERE id = ?1 AND {condition} RETURNING seq"
    ))?;
    let parameters = params![id.as_bytes(), status_number(Status::Paused), message];
    let seq = statement.query_row(parameters, |row| row.get(0)).optional()?.ok_or(Error::NotFound)?;
    waits::forget(connection, seq)
}

/// Makes a paused execution scheduled for the owner.
pub(super) fn resume(connection: &Connection, owner: OwnerId, id: RecordId) -> Result<Ticket> {
    let mut statement = connection.prepare_cached(&format!(
        "UPDATE execution SET status = ?2, status_message = NULL, owner = ?3, wake_at = NULL
         WHERE id = ?1 AND status = 3 RETURNING {}, seq",
        tickets::COLUMNS
    ))?;
    let parameters = params![id.as_bytes(), status_number(Status::Scheduled), owner.0];
    let read = |row: &rusqlite::Row<'_>| Ok((row.get("seq")?, tickets::from_row(row)));
    let (seq, ticket) = statement.query_row(parameters, read).optional()?.ok_or(Error::NotFound)?;
    waits::forget(connection, seq)?;
    ticket
}
