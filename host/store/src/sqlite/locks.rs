//! Locks that executions hold.
//!
//! A lock that is released goes to who waits for it in the store, within the same transaction: nobody who comes by meanwhile
//! overtakes them, and none of them is woken for nothing.

use flowhost_model::{RecordId, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::failure::is_duplicate_key;
use super::waits;
use crate::{Error, Lock, OwnerId, Result, Ticket};

const SELECT: &str = "SELECT lock.name, id, flow_name, project_id, since
     FROM lock JOIN execution ON execution.seq = lock.execution";

/// The lock of this name.
pub(super) fn lock(connection: &Connection, name: &str) -> Result<Option<Lock>> {
    let mut statement = connection.prepare_cached(&format!("{SELECT} WHERE lock.name = ?"))?;
    Ok(statement.query_row([name], from_row).optional()?)
}

/// Locks by name, behind `after`.
pub(super) fn locks(connection: &Connection, after: Option<&str>, limit: u32) -> Result<Vec<Lock>> {
    // No name is empty.
    let mut statement =
        connection.prepare_cached(&format!("{SELECT} WHERE lock.name > ? ORDER BY lock.name LIMIT ?"))?;
    let locks = statement.query_map(params![after.unwrap_or_default(), limit], from_row)?;
    Ok(locks.collect::<rusqlite::Result<_>>()?)
}

/// How many locks an execution holds.
pub(super) fn count(connection: &Connection, execution: RecordId) -> Result<u64> {
    let mut statement = connection
        .prepare_cached("SELECT COUNT(*) FROM lock WHERE execution = (SELECT seq FROM execution WHERE id = ?)")?;
    let count: i64 = statement.query_one([execution.as_bytes()], |row| row.get(0))?;
    Ok(count.cast_unsigned())
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Lock> {
    Ok(Lock {
        name: row.get(0)?,
        execution: RecordId::from_bytes(row.get(1)?),
        flow_name: row.get(2)?,
        project_id: row.get::<_, Option<_>>(3)?.map(RecordId::from_bytes),
        since: Timestamp(row.get(4)?),
    })
}

/// Gives a lock that nobody holds to an execution.
pub(super) fn acquire(connection: &Connection, name: &str, execution: RecordId, at: Timestamp) -> Result<()> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO lock (name, event, execution, since)
         SELECT ?1, ?2, seq, ?3 FROM execution WHERE id = ?4 AND status < 4",
    )?;
    let event = RecordId::new();
    match statement.execute(params![name, event.as_bytes(), at.0, execution.as_bytes()]) {
        Ok(1) => Ok(()),
        Ok(_) => Err(Error::NotFound),
        Err(error) if is_duplicate_key(&error) => Err(Error::Conflict),
        Err(error) => Err(error.into()),
    }
}

/// Takes a lock from an execution, if that holds it; who waited has it then, and is nobody's.
pub(super) fn release(connection: &Connection, name: &str, execution: RecordId, at: Timestamp) -> Result<()> {
    let mut statement = connection.prepare_cached(
        "SELECT event FROM lock WHERE name = ? AND execution = (SELECT seq FROM execution WHERE id = ?)",
    )?;
    let event = statement.query_row(params![name, execution.as_bytes()], |row| row.get(0)).optional()?;
    if let Some(event) = event {
        hand_over(connection, name, RecordId::from_bytes(event), at, None)?;
    }
    Ok(())
}

/// Takes all locks from the execution in row `seq`. Gives their names, and who has one of them then, for the owner.
pub(super) fn release_all(
    connection: &Connection,
    seq: i64,
    at: Timestamp,
    owner: Option<OwnerId>,
) -> Result<(Vec<String>, Vec<Ticket>)> {
    let mut statement = connection.prepare_cached("SELECT name, event FROM lock WHERE execution = ? ORDER BY name")?;
    let held = statement.query_map([seq], |row| Ok((row.get(0)?, RecordId::from_bytes(row.get(1)?))))?;
    let held: Vec<(String, RecordId)> = held.collect::<rusqlite::Result<_>>()?;
    let mut woken = Vec::new();
    for (name, event) in &held {
        woken.extend(hand_over(connection, name, *event, at, owner)?);
    }
    Ok((held.into_iter().map(|(name, _)| name).collect(), woken))
}

/// Gives a lock to who waits for it first, or to nobody.
fn hand_over(
    connection: &Connection,
    name: &str,
    event: RecordId,
    at: Timestamp,
    owner: Option<OwnerId>,
) -> Result<Option<Ticket>> {
    match waits::wake_first(connection, event, owner)? {
        Some((seq, ticket)) => {
            connection
                .prepare_cached("UPDATE lock SET execution = ?2, since = ?3 WHERE name = ?1")?
                .execute(params![name, seq, at.0])?;
            Ok(Some(ticket))
        }
        None => {
            connection.prepare_cached("DELETE FROM lock WHERE name = ?")?.execute([name])?;
            Ok(None)
        }
    }
}

/// What names the release of a lock that another holds than the execution in row `seq`.
pub(super) fn event(connection: &Connection, name: &str, seq: Option<i64>) -> Result<Option<RecordId>> {
    let mut statement = connection.prepare_cached("SELECT event FROM lock WHERE name = ? AND execution IS NOT ?")?;
    Ok(statement.query_row(params![name, seq], |row| row.get(0)).optional()?.map(RecordId::from_bytes))
}
