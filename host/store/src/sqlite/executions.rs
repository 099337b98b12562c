//! Executions: kept when admitted or when ended, found one by one or as lists.

use flowhost_model::{
    Digest, Execution, FlowRef, LogLine, RawValue, RecordId, RequestRecord, Status, Timestamp, WebhookRef,
};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::failure::is_duplicate;
use super::{execution_log, requests, skew};
use crate::{Error, ExecutionRow, Result};

/// The numbers in the table that stand for ended statuses begin here.
pub(super) const FIRST_ENDED: i64 = 4;

/// The number that stands for the status in the table.
pub(super) fn status_number(status: Status) -> i64 {
    match status {
        Status::Scheduled => 0,
        Status::Running => 1,
        Status::Waiting => 2,
        Status::Paused => 3,
        Status::EndedSuccess => FIRST_ENDED,
        Status::EndedError => 5,
        Status::EndedCancelled => 6,
    }
}

/// Keeps an execution that has not ended.
pub(super) fn insert(connection: &Connection, row: &ExecutionRow) -> Result<()> {
    let ExecutionRow { execution, request, seed, deadline } = row;
    let headers = request.as_ref().map(|request| requests::headers_to_json(&request.headers)).transpose()?;
    let request = request.as_ref();
    skew::allow(connection, execution.id, execution.created_at)?;
    let mut statement = connection.prepare_cached(
        "INSERT INTO execution (id, status, flow_id, flow_name, flow_version, flow_digest, webhook_id, webhook_name,
             project_id, bundle_id, created_by, user_id, status_message, failure, is_productive, is_durable, attempt, created_at, started_at, ended_at, input_value,
             output_value, seed, deadline, request_method, request_path, request_query, request_headers, request_body,
             request_body_is_exact)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )?;
    let outcome = statement.execute(params![
        execution.id.as_bytes(),
        status_number(execution.status),
        execution.flow.id.as_bytes(),
        execution.flow.name,
        execution.flow.version,
        execution.flow.digest.0,
        execution.webhook.as_ref().map(|webhook| webhook.id.as_bytes()),
        execution.webhook.as_ref().map(|webhook| &webhook.name),
        execution.project_id.as_ref().map(RecordId::as_bytes),
        execution.bundle_id.as_ref().map(RecordId::as_bytes),
        execution.created_by.as_ref().map(RecordId::as_bytes),
        execution.user_id.as_ref().map(RecordId::as_bytes),
        execution.status_message,
        failure_json(execution)?,
        execution.is_productive,
        execution.is_durable,
        execution.attempt,
        execution.created_at.0,
        execution.started_at.map(Timestamp::as_micros),
        execution.ended_at.map(Timestamp::as_micros),
        execution.input_value.get(),
        execution.output_value.get(),
        seed,
        deadline.map(Timestamp::as_micros),
        request.map(|request| &request.method),
        request.map(|request| &request.path),
        request.and_then(|request| request.query.as_ref()),
        headers,
        request.map(|request| &request.body),
        request.map(|request| request.body_is_exact),
    ]);
    inserted(outcome)
}

/// Keeps an ended execution with its log: a new row, or in place of the one that `is_known`.
///
/// With an empty log this is one statement.
pub(super) fn end(connection: &Connection, execution: &Execution, log: &[LogLine], is_known: bool) -> Result<()> {
    if is_known {
        replace(connection, execution)?;
    } else {
        insert_ended(connection, execution)?;
    }
    if log.is_empty() {
        return Ok(());
    }
    let seq = if is_known { seq(connection, execution.id)? } else { connection.last_insert_rowid() };
    execution_log::append(connection, seq, log)
}

fn insert_ended(connection: &Connection, execution: &Execution) -> Result<()> {
    skew::allow(connection, execution.id, execution.created_at)?;
    let mut statement = connection.prepare_cached(
        "INSERT INTO execution (id, status, flow_id, flow_name, flow_version, flow_digest, webhook_id, webhook_name,
             project_id, bundle_id, created_by, user_id, status_message, failure, is_productive, is_durable, attempt, created_at, started_at, ended_at, input_value,
             output_value)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )?;
    let outcome = statement.execute(params![
        execution.id.as_bytes(),
        status_number(execution.status),
        execution.flow.id.as_bytes(),
        execution.flow.name,
        execution.flow.version,
        execution.flow.digest.0,
        execution.webhook.as_ref().map(|webhook| webhook.id.as_bytes()),
        execution.webhook.as_ref().map(|webhook| &webhook.name),
        execution.project_id.as_ref().map(RecordId::as_bytes),
        execution.bundle_id.as_ref().map(RecordId::as_bytes),
        execution.created_by.as_ref().map(RecordId::as_bytes),
        execution.user_id.as_ref().map(RecordId::as_bytes),
        execution.status_message,
        failure_json(execution)?,
        execution.is_productive,
        execution.is_durable,
        execution.attempt,
        execution.created_at.0,
        execution.started_at.map(Timestamp::as_micros),
        execution.ended_at.map(Timestamp::as_micros),
        execution.input_value.get(),
        execution.output_value.get(),
    ]);
    inserted(outcome)
}

fn inserted(outcome: rusqlite::Result<usize>) -> Result<()> {
    match outcome {
        Ok(_) => Ok(()),
        Err(error) if is_duplicate(&error) => Err(Error::Conflict),
        Err(error) => Err(error.into()),
    }
}

fn replace(connection: &Connection, execution: &Execution) -> Result<()> {
    let mut statement = connection.prepare_cached(
        "UPDATE execution SET status = ?2, status_message = ?3, failure = ?4, attempt = ?5, started_at = ?6, ended_at = ?7,
             input_value = ?8, output_value = ?9, is_durable = ?10, seed = NULL, deadline = NULL, request_method = NULL,
             request_path = NULL, request_query = NULL, request_headers = NULL, request_body = NULL,
             request_body_is_exact = NULL
         WHERE id = ?1 AND status < 4",
    )?;
    let changed = statement.execute(params![
        execution.id.as_bytes(),
        status_number(execution.status),
        execution.status_message,
        failure_json(execution)?,
        execution.attempt,
        execution.started_at.map(Timestamp::as_micros),
        execution.ended_at.map(Timestamp::as_micros),
        execution.input_value.get(),
        execution.output_value.get(),
        execution.is_durable,
    ])?;
    if changed == 1 { Ok(()) } else { Err(Error::NotFound) }
}

fn seq(connection: &Connection, id: RecordId) -> Result<i64> {
    let mut statement = connection.prepare_cached("SELECT seq FROM execution WHERE id = ?")?;
    Ok(statement.query_one([id.as_bytes()], |row| row.get(0))?)
}

/// Changes the status of an execution that has not ended.
pub(super) fn set_status(connection: &Connection, id: RecordId, status: Status, message: Option<&str>) -> Result<()> {
    if status.is_ended() {
        return Err(Error::Storage(format!("an execution does not end by a change of its status to {status}")));
    }
    let mut statement = connection
        .prepare_cached("UPDATE execution SET status = ?2, status_message = ?3 WHERE id = ?1 AND status < 4")?;
    let changed = statement.execute(params![id.as_bytes(), status_number(status), message])?;
    if changed == 1 { Ok(()) } else { Err(Error::NotFound) }
}

/// Changes whether an execution that has not ended is productive.
pub(super) fn set_productive(connection: &Connection, id: RecordId, is_productive: bool) -> Result<()> {
    let mut statement =
        connection.prepare_cached("UPDATE execution SET is_productive = ?2 WHERE id = ?1 AND status < 4")?;
    let changed = statement.execute(params![id.as_bytes(), is_productive])?;
    if changed == 1 { Ok(()) } else { Err(Error::NotFound) }
}

/// Makes a paused execution scheduled, and gives what it takes to run it.
pub(super) fn take(connection: &Connection, id: RecordId) -> Result<ExecutionRow> {
    let mut statement = connection.prepare_cached(&format!(
        "UPDATE execution SET status = ?2, status_message = NULL WHERE id = ?1 AND status = ?3
         RETURNING {COLUMNS}, {AGAIN_COLUMNS}"
    ))?;
    let statuses = (status_number(Status::Scheduled), status_number(Status::Paused));
    let parameters = params![id.as_bytes(), statuses.0, statuses.1];
    statement.query_row(parameters, |row| Ok(row_from_row(row))).optional()?.ok_or(Error::NotFound)?
}

/// The columns of an execution in the order of [`from_row`].
pub(super) const COLUMNS: &str = "id, status, flow_id, flow_name, flow_version, flow_digest, webhook_id, webhook_name, \
     project_id, bundle_id, created_by, user_id, status_message, failure, is_productive, is_durable, attempt, created_at, \
     started_at, ended_at, input_value, output_value";

/// How many columns that are.
pub(super) const COLUMN_COUNT: usize = 22;

/// What it takes to run an execution again, in the order of [`row_from_row`].
pub(super) const AGAIN_COLUMNS: &str = "seed, deadline, request_method, request_path, request_query, request_headers, \
     request_body, request_body_is_exact";

/// The execution with this id.
pub(super) fn execution(connection: &Connection, id: RecordId) -> Result<Option<Execution>> {
    let mut statement = connection.prepare_cached(&format!("SELECT {COLUMNS} FROM execution WHERE id = ?"))?;
    statement.query_row([id.as_bytes()], |row| Ok(from_row(row))).optional()?.transpose()
}

/// An execution and what it takes to run it again, from [`COLUMNS`] followed by [`AGAIN_COLUMNS`].
pub(super) fn row_from_row(row: &Row<'_>) -> Result<ExecutionRow> {
    let request: Option<RequestRecord> = requests::from_row(row, COLUMN_COUNT + 2)?;
    Ok(ExecutionRow {
        execution: from_row(row)?,
        request,
        seed: row.get(COLUMN_COUNT)?,
        deadline: row.get::<_, Option<_>>(COLUMN_COUNT + 1)?.map(Timestamp),
    })
}

/// An execution, from [`COLUMNS`].
pub(super) fn from_row(row: &Row<'_>) -> Result<Execution> {
    let id = RecordId::from_bytes(row.get(0)?);
    let damaged = |what: &str| Error::Damaged(format!("{what} of execution {id}"));
    let json = |index, what| RawValue::from_string(row.get(index)?).map_err(|_| damaged(what));
    let time = |index| row.get::<_, Option<i64>>(index).map(|time| time.map(Timestamp));
    let record_id = |index| row.get::<_, Option<[u8; 16]>>(index).map(|bytes| bytes.map(RecordId::from_bytes));
    let status: i64 = row.get(1)?;
    let webhook = match (row.get(6)?, row.get(7)?) {
        (Some(id), Some(name)) => Some(WebhookRef { id: RecordId::from_bytes(id), name }),
        _ => None,
    };
    let failure: Option<String> = row.get(13)?;
    Ok(Execution {
        id,
        flow: FlowRef {
            id: RecordId::from_bytes(row.get(2)?),
            name: row.get(3)?,
            version: row.get(4)?,
            digest: Digest(row.get(5)?),
        },
        webhook,
        project_id: record_id(8)?,
        bundle_id: record_id(9)?,
        created_by: record_id(10)?,
        user_id: record_id(11)?,
        status: Status::ALL
            .into_iter()
            .find(|known| status_number(*known) == status)
            .ok_or_else(|| damaged("status"))?,
        status_message: row.get(12)?,
        failure: failure.map(|json| serde_json::from_str(&json)).transpose().map_err(|_| damaged("failure"))?,
        is_productive: row.get(14)?,
        is_durable: row.get(15)?,
        attempt: row.get(16)?,
        created_at: Timestamp(row.get(17)?),
        started_at: time(18)?,
        ended_at: time(19)?,
        input_value: json(20, "input")?,
        output_value: json(21, "output")?,
    })
}

fn failure_json(execution: &Execution) -> Result<Option<String>> {
    execution
        .failure
        .as_ref()
        .map(|failure| serde_json::to_string(failure).map_err(|error| Error::Damaged(error.to_string())))
        .transpose()
}
