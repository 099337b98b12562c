//! What the last owner left behind.

use flowhost_model::{Failure, LogLevel, LogSource, RecordId, Status, Timestamp};
use rusqlite::{Connection, params};

use super::execution_log::{level_number, source_number};
use super::executions::{DROP_AGAIN, settle, status_number};
use super::{owners, waits};
use crate::{DEATHS_LIMIT, Error, Recovered, Result};

const INTERRUPTED: &str = "The host stopped before the execution had ended.";

/// The code of an execution that is not run again, since the host died with it too often.
const HOST_DIED: &str = "execution.host-died";

/// What somebody owned. What is paused has the number 3, what has ended has greater ones.
const OWNED: &str = "owner IS NOT NULL AND status < 3";

/// The index that has nothing else.
const OWNED_BY_INDEX: &str = "INDEXED BY execution_by_owner";

/// Ends what cannot run again, and schedules what can, for whoever claims it. Both get a line in their log. All owners are
/// gone then: who has the folder's lock knows that none of them lives.
pub(super) fn recover(connection: &Connection, now: Timestamp) -> Result<Recovered> {
    // What runs is somebody's, whatever its row says.
    connection.execute(
        "UPDATE execution INDEXED BY execution_by_status SET owner = 0 WHERE status = 1 AND owner IS NULL",
        [],
    )?;
    // A row says `RUNNING` after a second of running, or at its first change. Once the host has died with an execution, it says
    // so before the execution begins: what is still `SCHEDULED` then had no part in it.
    connection.execute(
        &format!(
            "UPDATE execution {OWNED_BY_INDEX} SET deaths = CASE WHEN status = 1 THEN deaths + 1 ELSE MAX(deaths, 1) END
             WHERE {OWNED} AND is_durable"
        ),
        [],
    )?;
    connection.execute(
        &format!(
            "INSERT INTO execution_log (execution, line, at, level, source, message)
             SELECT seq, (SELECT COALESCE(MAX(line) + 1, 0) FROM execution_log WHERE execution = seq), ?1, ?2, ?3,
                 CASE WHEN is_durable AND deaths < {DEATHS_LIMIT}
                     THEN 'The host stopped before attempt ' || attempt || ' had ended. It is run again.'
                     WHEN is_durable
                     THEN 'The host stopped before attempt ' || attempt || ' had ended. It is not run again.'
                     ELSE '{INTERRUPTED}' END
             FROM execution {OWNED_BY_INDEX} WHERE {OWNED}"
        ),
        params![now.0, level_number(LogLevel::Warn), source_number(LogSource::Host)],
    )?;
    let interrupted = end(connection, now, "NOT is_durable", &interrupted())?;
    let given_up = end(connection, now, &format!("deaths >= {DEATHS_LIMIT}"), &host_died())?;
    let again = connection.execute(
        &format!(
            "UPDATE execution {OWNED_BY_INDEX} SET status = ?1, attempt = attempt + 1, owner = NULL, wake_at = NULL
             WHERE {OWNED}"
        ),
        [status_number(Status::Scheduled)],
    )?;
    schedule_cancelled(connection)?;
    owners::delete(connection)?;
    let paused_of = paused_of(connection)?;
    Ok(Recovered {
        again: again as u64,
        interrupted,
        given_up,
        paused: paused_of.iter().map(|(_, count)| count).sum(),
        paused_of,
        waiting: count(connection, Status::Waiting)?,
    })
}

fn failure(code: &str, message: String, retryable: bool) -> Failure {
    Failure { code: code.to_owned(), message, flow_code: None, details: None, retryable, trace: None }
}

fn interrupted() -> Failure {
    failure("execution.interrupted", INTERRUPTED.to_owned(), true)
}

fn host_died() -> Failure {
    let message = format!(
        "The host died {DEATHS_LIMIT} times in a row while the execution ran, so it is not run again. It may be what ends the \
         host; start it anew with `rerun` once the reason is known."
    );
    failure(HOST_DIED, message, false)
}

/// Ends what somebody owned and meets the condition; gives how many that are.
fn end(connection: &Connection, now: Timestamp, condition: &str, failure: &Failure) -> Result<u64> {
    let json = serde_json::to_string(failure).map_err(|error| Error::Damaged(error.to_string()))?;
    let mut statement = connection.prepare(&format!(
        "UPDATE execution {OWNED_BY_INDEX}
         SET status = ?1, status_message = ?2, failure = ?3, ended_at = ?4, wake_at = NULL, {}
         WHERE {OWNED} AND {condition} RETURNING seq, id",
        *DROP_AGAIN
    ))?;
    let status = Status::EndedError;
    let parameters = params![status_number(status), failure.message, json, now.0];
    let ended = statement.query_map(parameters, |row| Ok((row.get(0)?, RecordId::from_bytes(row.get(1)?))))?;
    let ended: Vec<(i64, RecordId)> = ended.collect::<rusqlite::Result<_>>()?;
    for (seq, id) in &ended {
        settle(connection, *seq, *id, status, now, None)?;
    }
    Ok(ended.len() as u64)
}

/// Schedules those whose end was wished and that nothing would wake, such as the children of an execution that ended when
/// the host stopped: whoever runs one of them next ends it.
fn schedule_cancelled(connection: &Connection) -> Result<()> {
    let mut statement = connection.prepare(
        "UPDATE execution INDEXED BY execution_cancelled SET status = ?, status_message = NULL, owner = NULL, wake_at = NULL
         WHERE is_cancelled = 1 AND status IN (2, 3) RETURNING seq",
    )?;
    let scheduled = statement.query_map([status_number(Status::Scheduled)], |row| row.get(0))?;
    let scheduled: Vec<i64> = scheduled.collect::<rusqlite::Result<_>>()?;
    scheduled.into_iter().try_for_each(|seq| waits::forget(connection, seq))
}

/// How many paused executions each user answers for.
fn paused_of(connection: &Connection) -> Result<Vec<(Option<RecordId>, u64)>> {
    let mut statement = connection.prepare(
        "SELECT user_id, COUNT(*) FROM execution INDEXED BY execution_by_status WHERE status = ? GROUP BY user_id",
    )?;
    let read = |row: &rusqlite::Row<'_>| {
        let (user, count): (Option<[u8; 16]>, i64) = (row.get(0)?, row.get(1)?);
        Ok((user.map(RecordId::from_bytes), count.cast_unsigned()))
    };
    Ok(statement.query_map([status_number(Status::Paused)], read)?.collect::<rusqlite::Result<_>>()?)
}

/// How many have the status, by the index alone.
fn count(connection: &Connection, status: Status) -> Result<u64> {
    let count: i64 = connection.query_one(
        "SELECT COUNT(*) FROM execution INDEXED BY execution_by_status WHERE status = ?",
        [status_number(status)],
        |row| row.get(0),
    )?;
    Ok(count.cast_unsigned())
}
