//! What executions that wait in the store wait for: events, each named by an id, and times.

use flowhost_model::{RecordId, Status, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};

use super::executions::FIRST_ENDED;
use super::{executions, locks, messages, queue};
use crate::{Awaits, Error, OwnerId, Result, ReturnWhen, Ticket};

const RETURN_WHEN: [ReturnWhen; 3] = [ReturnWhen::AllEnded, ReturnWhen::AllSucceeded, ReturnWhen::FirstEnded];

/// The number that stands for it in the table.
fn return_when_number(when: ReturnWhen) -> i64 {
    match when {
        ReturnWhen::AllEnded => 0,
        ReturnWhen::AllSucceeded => 1,
        ReturnWhen::FirstEnded => 2,
    }
}

/// Events that an execution waits for.
pub(super) struct Pending {
    events: Vec<RecordId>,
    when: ReturnWhen,
}

/// The events that have not happened; none at all where the wait is over already. `seq` is the row of who waits, if it has
/// one.
pub(super) fn pending(connection: &Connection, awaits: &Awaits, seq: Option<i64>) -> Result<Option<Pending>> {
    let one = |event| Pending { events: vec![event], when: ReturnWhen::FirstEnded };
    match awaits {
        Awaits::Children { children, when } => pending_children(connection, children, *when),
        Awaits::Message(message) => Ok(messages::is_open(connection, *message)?.then(|| one(*message))),
        // It may have been given the lock and not have seen it.
        Awaits::Lock(key) => Ok(locks::event(connection, key, seq)?.map(one)),
    }
}

/// A child that does not exist has ended, nobody knows how. A wait for nobody is over.
fn pending_children(connection: &Connection, children: &[RecordId], when: ReturnWhen) -> Result<Option<Pending>> {
    let mut statement = connection.prepare_cached("SELECT status FROM execution WHERE id = ?")?;
    let mut events = Vec::new();
    for child in children {
        let status: Option<i64> = statement.query_row([child.as_bytes()], |row| row.get(0)).optional()?;
        let is_over = match (when, status) {
            (_, Some(status)) if status < FIRST_ENDED => {
                events.push(*child);
                false
            }
            (ReturnWhen::FirstEnded, _) => true,
            (ReturnWhen::AllSucceeded, Some(status)) => status != executions::status_number(Status::EndedSuccess),
            (ReturnWhen::AllSucceeded, None) | (ReturnWhen::AllEnded, _) => false,
        };
        if is_over {
            return Ok(None);
        }
    }
    Ok((!events.is_empty()).then_some(Pending { events, when }))
}

/// Keeps that the execution in row `seq` waits for these.
pub(super) fn add(connection: &Connection, seq: i64, pending: &Pending) -> Result<()> {
    let mut statement =
        connection.prepare_cached("INSERT OR IGNORE INTO awaited (event, waiter, return_when) VALUES (?, ?, ?)")?;
    for event in &pending.events {
        statement.execute(params![event.as_bytes(), seq, return_when_number(pending.when)])?;
    }
    Ok(())
}

/// The execution in row `seq` waits for nothing any more.
pub(super) fn forget(connection: &Connection, seq: i64) -> Result<()> {
    connection.prepare_cached("DELETE FROM awaited WHERE waiter = ?")?.execute([seq])?;
    Ok(())
}

/// Ends the waits that end with this event. Who waited is scheduled then, for the owner.
pub(super) fn happened(
    connection: &Connection,
    event: RecordId,
    is_success: bool,
    owner: Option<OwnerId>,
) -> Result<Vec<Ticket>> {
    let mut statement =
        connection.prepare_cached("DELETE FROM awaited WHERE event = ? RETURNING waiter, return_when")?;
    let waits = statement.query_map([event.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let waits: Vec<(i64, u16)> = waits.collect::<rusqlite::Result<_>>()?;
    let mut woken = Vec::new();
    for (waiter, when) in waits {
        let when = RETURN_WHEN.get(usize::from(when));
        let is_over = match when.ok_or_else(|| Error::Damaged(format!("a wait for {event}")))? {
            ReturnWhen::FirstEnded => true,
            ReturnWhen::AllSucceeded if !is_success => true,
            ReturnWhen::AllSucceeded | ReturnWhen::AllEnded => {
                !connection.prepare_cached("SELECT 1 FROM awaited WHERE waiter = ?")?.exists([waiter])?
            }
        };
        if is_over {
            woken.extend(queue::schedule(connection, waiter, owner)?);
        }
    }
    Ok(woken)
}

/// Ends one of the waits for an event: that of the execution that was admitted first. The others go on. Who waited is
/// scheduled then, for the owner.
pub(super) fn wake_first(
    connection: &Connection,
    event: RecordId,
    owner: Option<OwnerId>,
) -> Result<Option<(i64, Ticket)>> {
    let mut statement =
        connection.prepare_cached("SELECT waiter FROM awaited WHERE event = ? ORDER BY waiter LIMIT 1")?;
    while let Some(waiter) = statement.query_row([event.as_bytes()], |row| row.get(0)).optional()? {
        // This takes the wait out of the table, whatever it gives.
        if let Some(ticket) = queue::schedule(connection, waiter, owner)? {
            return Ok(Some((waiter, ticket)));
        }
    }
    Ok(None)
}

/// When the next time comes that somebody waits for.
pub(super) fn next_wake(connection: &Connection) -> Result<Option<Timestamp>> {
    let mut statement = connection.prepare_cached(
        "SELECT wake_at FROM execution INDEXED BY execution_by_wake
         WHERE status = 2 AND owner IS NULL AND wake_at IS NOT NULL ORDER BY wake_at LIMIT 1",
    )?;
    Ok(statement.query_row([], |row| row.get(0)).optional()?.map(Timestamp))
}

/// Moves the times of those who wait for some time.
pub(super) fn shift(connection: &Connection, micros: i64) -> Result<()> {
    connection.execute(
        "UPDATE execution INDEXED BY execution_by_wake SET wake_at = wake_at + ?
         WHERE status = 2 AND owner IS NULL AND wake_at IS NOT NULL AND wake_is_relative AND wake_at < 4611686018427387904",
        [micros],
    )?;
    Ok(())
}

/// Executions in development mode that wait, with their users.
pub(super) fn in_development(
    connection: &Connection,
    after: Option<RecordId>,
    limit: u32,
) -> Result<Vec<(RecordId, Option<RecordId>)>> {
    let mut statement = connection.prepare_cached(
        "SELECT id, user_id FROM execution INDEXED BY execution_waiting_in_development
         WHERE status = 2 AND owner IS NULL AND is_productive = 0 AND id > ? ORDER BY id LIMIT ?",
    )?;
    // The empty text of bytes comes before every id.
    let after = after.as_ref().map_or(&[][..], |id| id.as_bytes());
    let found = statement.query_map(params![after, limit], |row| {
        Ok((RecordId::from_bytes(row.get(0)?), row.get::<_, Option<_>>(1)?.map(RecordId::from_bytes)))
    })?;
    Ok(found.collect::<rusqlite::Result<_>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_for_what_they_say() {
        assert!(RETURN_WHEN.into_iter().zip(0..).all(|(when, number)| return_when_number(when) == number));
    }
}
