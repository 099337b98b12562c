//! Locks that executions hold.
//!
//! A lock that is released goes to who waits for it in the store, within the same transaction: nobody who comes by meanwhile
//! overtakes them, and none of them is woken for nothing.

use flowhost_model::{RecordId, Timestamp};
use rusqlite::types::Value as SqlValue;
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};

use super::condition::{Parameters, hex_ids};
use super::failure::is_duplicate_key;
use super::waits;
use crate::{Error, Lock, LockKey, LockQuery, OwnerId, Result, Ticket};

const SELECT: &str = "SELECT lock.name, id, flow_name, lock.project, since
     FROM lock JOIN execution ON execution.seq = lock.execution";

/// The project of a lock as its row has it: no bytes where it is of none.
fn project(key: &LockKey) -> &[u8] {
    key.project_id.as_ref().map_or(&[], |id| id.as_bytes())
}

/// The lock that is known by this.
pub(super) fn lock(connection: &Connection, key: &LockKey) -> Result<Option<Lock>> {
    let mut statement = connection.prepare_cached(&format!("{SELECT} WHERE lock.name = ? AND lock.project = ?"))?;
    statement.query_row(params![key.name, project(key)], |row| Ok(from_row(row))).optional()?.transpose()
}

/// A page of locks.
pub(super) fn locks(connection: &Connection, query: &LockQuery) -> Result<Vec<Lock>> {
    let mut parameters = Parameters::default();
    let mut conditions = Vec::new();
    if let Some(name) = &query.name {
        conditions.push(format!("lock.name = {}", parameters.bind(SqlValue::Text(name.clone()))));
    }
    if let Some(after) = &query.after {
        let name = parameters.bind(SqlValue::Text(after.name.clone()));
        let project = parameters.bind(SqlValue::Blob(project(after).to_vec()));
        conditions.push(format!("(lock.name, lock.project) > ({name}, {project})"));
    }
    if let Some(projects) = &query.in_projects {
        let projects = hex_ids(projects, &mut parameters);
        conditions.push(format!("lock.project IN (SELECT unhex(value) FROM json_each({projects}))"));
    }
    let wheres = if conditions.is_empty() { "TRUE".to_owned() } else { conditions.join(" AND ") };
    let limit = parameters.bind(SqlValue::Integer(query.limit.into()));
    let sql = format!("{SELECT} WHERE {wheres} ORDER BY lock.name, lock.project LIMIT {limit}");
    let mut statement = connection.prepare(&sql)?;
    statement.query_and_then(params_from_iter(parameters.0), from_row)?.collect()
}

/// How many locks an execution holds.
pub(super) fn count(connection: &Connection, execution: RecordId) -> Result<u64> {
    let mut statement = connection
        .prepare_cached("SELECT COUNT(*) FROM lock WHERE execution = (SELECT seq FROM execution WHERE id = ?)")?;
    let count: i64 = statement.query_one([execution.as_bytes()], |row| row.get(0))?;
    Ok(count.cast_unsigned())
}

fn from_row(row: &Row<'_>) -> Result<Lock> {
    let (name, since) = (row.get(0)?, Timestamp(row.get(4)?));
    let (execution, flow_name) = (RecordId::from_bytes(row.get(1)?), row.get(2)?);
    Ok(Lock { key: LockKey { project_id: project_from_row(row, 3)?, name }, execution, flow_name, since })
}

fn project_from_row(row: &Row<'_>, index: usize) -> Result<Option<RecordId>> {
    match row.get::<_, Vec<u8>>(index)?.as_slice() {
        [] => Ok(None),
        bytes => {
            let bytes = bytes.try_into().map_err(|_| Error::Damaged("the project of a lock".to_owned()))?;
            Ok(Some(RecordId::from_bytes(bytes)))
        }
    }
}

/// Gives a lock that nobody holds to an execution.
pub(super) fn acquire(connection: &Connection, key: &LockKey, execution: RecordId, at: Timestamp) -> Result<()> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO lock (name, project, event, execution, since)
         SELECT ?1, ?2, ?3, seq, ?4 FROM execution WHERE id = ?5 AND status < 4",
    )?;
    let event = RecordId::new();
    match statement.execute(params![key.name, project(key), event.as_bytes(), at.0, execution.as_bytes()]) {
        Ok(1) => Ok(()),
        Ok(_) => Err(Error::NotFound),
        Err(error) if is_duplicate_key(&error) => Err(Error::Conflict),
        Err(error) => Err(error.into()),
    }
}

/// Takes a lock from an execution, if that holds it; who waited has it then, and is nobody's.
pub(super) fn release(connection: &Connection, key: &LockKey, execution: RecordId, at: Timestamp) -> Result<()> {
    let mut statement = connection.prepare_cached(
        "SELECT event FROM lock WHERE name = ? AND project = ? AND execution = (SELECT seq FROM execution WHERE id = ?)",
    )?;
    let parameters = params![key.name, project(key), execution.as_bytes()];
    let event = statement.query_row(parameters, |row| row.get(0)).optional()?;
    if let Some(event) = event {
        hand_over(connection, key, RecordId::from_bytes(event), at, None)?;
    }
    Ok(())
}

/// Takes all locks from the execution in row `seq`. Returns what they are known by, and who has one of them then, for the owner.
pub(super) fn release_all(
    connection: &Connection,
    seq: i64,
    at: Timestamp,
    owner: Option<OwnerId>,
) -> Result<(Vec<LockKey>, Vec<Ticket>)> {
    let mut statement = connection
        .prepare_cached("SELECT name, event, project FROM lock WHERE execution = ? ORDER BY name, project")?;
    let held = statement.query_and_then([seq], |row| {
        let key = LockKey { project_id: project_from_row(row, 2)?, name: row.get(0)? };
        Ok((key, RecordId::from_bytes(row.get(1)?)))
    })?;
    let held: Vec<(LockKey, RecordId)> = held.collect::<Result<_>>()?;
    let mut woken = Vec::new();
    for (key, event) in &held {
        woken.extend(hand_over(connection, key, *event, at, owner)?);
    }
    Ok((held.into_iter().map(|(key, _)| key).collect(), woken))
}

/// Gives a lock to who waits for it first, or to nobody.
fn hand_over(
    connection: &Connection,
    key: &LockKey,
    event: RecordId,
    at: Timestamp,
    owner: Option<OwnerId>,
) -> Result<Option<Ticket>> {
    match waits::wake_first(connection, event, owner)? {
        Some((seq, ticket)) => {
            connection
                .prepare_cached("UPDATE lock SET execution = ?3, since = ?4 WHERE name = ?1 AND project = ?2")?
                .execute(params![key.name, project(key), seq, at.0])?;
            Ok(Some(ticket))
        }
        None => {
            connection
                .prepare_cached("DELETE FROM lock WHERE name = ? AND project = ?")?
                .execute(params![key.name, project(key)])?;
            Ok(None)
        }
    }
}

/// What names the release of a lock that another holds than the execution in row `seq`.
pub(super) fn event(connection: &Connection, key: &LockKey, seq: Option<i64>) -> Result<Option<RecordId>> {
    let mut statement =
        connection.prepare_cached("SELECT event FROM lock WHERE name = ? AND project = ? AND execution IS NOT ?")?;
    let parameters = params![key.name, project(key), seq];
    Ok(statement.query_row(parameters, |row| row.get(0)).optional()?.map(RecordId::from_bytes))
}
