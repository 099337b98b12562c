//! Executions that leave memory before their end.

use flowhost_model::{Status, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};

use super::executions::status_number;
use super::{execution_log, executions, journal, waits};
use crate::{Error, ExecutionRow, Result, Suspension};

/// Puts an execution into the store. Gives whether it goes on at once, since what it waits for has happened already or
/// somebody wished its end; it is scheduled for its owner then.
pub(super) fn suspend(connection: &Connection, suspension: Suspension) -> Result<bool> {
    let Suspension { mut row, is_known, first, entries, log, is_relative, awaits } = suspension;
    let id = row.execution.id;
    if !matches!(row.execution.status, Status::Waiting | Status::Paused | Status::Scheduled) {
        return Err(Error::Storage(format!("an execution does not leave memory as {}", row.execution.status)));
    }
    let known = if is_known { Some(find(connection, &row)?) } else { None };
    // Only who waits is woken.
    let awaits = awaits.filter(|_| row.execution.status == Status::Waiting);
    let seq = known.map(|(seq, _)| seq);
    let pending = awaits.as_ref().map(|awaits| waits::pending(connection, awaits, seq)).transpose()?;
    let is_cancelled = known.is_some_and(|(_, is_cancelled)| is_cancelled);
    let is_due = is_cancelled || matches!(pending, Some(None));
    if is_due {
        row.execution.status = Status::Scheduled;
    } else {
        row.owner = None;
    }
    if row.execution.status != Status::Waiting {
        row.execution.wake_at = None;
    }
    row.execution.is_durable = true;
    let seq = match known {
        Some((seq, _)) => {
            update(connection, seq, &row, is_relative)?;
            seq
        }
        None => executions::insert(connection, &row, is_relative)?,
    };
    journal::append_missing(connection, seq, id, first, &entries)?;
    execution_log::append(connection, seq, &log)?;
    if let (false, Some(Some(pending))) = (is_due, pending) {
        waits::add(connection, seq, &pending)?;
    }
    Ok(is_due)
}

/// The number of the row, and whether somebody wished the execution's end.
fn find(connection: &Connection, row: &ExecutionRow) -> Result<(i64, bool)> {
    let mut statement =
        connection.prepare_cached("SELECT seq, is_cancelled FROM execution WHERE id = ? AND status < 4")?;
    let found = statement.query_row([row.execution.id.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    found.ok_or(Error::NotFound)
}

/// Writes what changes while an execution runs.
fn update(connection: &Connection, seq: i64, row: &ExecutionRow, wake_is_relative: bool) -> Result<()> {
    let execution = &row.execution;
    let mut statement = connection.prepare_cached(
        "UPDATE execution SET status = ?2, status_message = ?3, output_value = ?4, is_durable = ?5, attempt = ?6,
             started_at = ?7, deadline = ?8, wake_at = ?9, wake_is_relative = ?10, queue_wait_us = ?11, run_time_us = ?12,
             is_productive = ?13, owner = ?14, deaths = 0
         WHERE seq = ?1",
    )?;
    statement.execute(params![
        seq,
        status_number(execution.status),
        execution.status_message,
        execution.output_value.get(),
        execution.is_durable,
        execution.attempt,
        execution.started_at.map(Timestamp::as_micros),
        row.deadline.map(Timestamp::as_micros),
        execution.wake_at.map(Timestamp::as_micros),
        wake_is_relative,
        execution.queue_wait_us.cast_signed(),
        execution.run_time_us.cast_signed(),
        execution.is_productive,
        row.owner.map(|owner| owner.0),
    ])?;
    waits::forget(connection, seq)
}
