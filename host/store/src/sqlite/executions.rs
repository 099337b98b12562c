//! Executions: kept when admitted or when ended, found one by one or as lists.

use std::sync::LazyLock;

use flowhost_model::{
    Actor, Digest, Execution, FlowRef, LogLine, Priority, RawValue, RecordId, RequestRecord, Status, Timestamp,
    WebhookRef,
};
use rusqlite::{Connection, OptionalExtension, Row, Statement, ToSql, params};

use super::failure::is_duplicate;
use super::writer::{in_savepoint, with_its_group};
use super::{actors, children, execution_log, journal, locks, messages, requests, skew, tickets, waits};
use crate::{Ended, Error, ExecutionParts, ExecutionRow, KEPT_BODY_BYTES, Origin, OwnerId, Result};

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

/// The numbers that stand for priorities in the table are their places here.
const PRIORITIES: [Priority; 3] = Priority::ALL;

/// The number that stands for the priority in the table.
fn priority_number(priority: Priority) -> i64 {
    match priority {
        Priority::Low => 0,
        Priority::Normal => 1,
        Priority::High => 2,
    }
}

/// The priority that a number in the row of the execution stands for.
pub(super) fn priority(id: RecordId, number: u16) -> Result<Priority> {
    let known = PRIORITIES.get(usize::from(number)).copied();
    known.ok_or_else(|| Error::Damaged(format!("priority of execution {id}")))
}

static INSERT: LazyLock<String> =
    LazyLock::new(|| insert_sql(&format!("{COLUMNS}, {AGAIN_COLUMNS}, wake_is_relative")));
static INSERT_ENDED: LazyLock<String> = LazyLock::new(|| insert_sql(&format!("{COLUMNS}, {ORIGIN_COLUMNS}")));

fn insert_sql(columns: &str) -> String {
    let values = vec!["?"; columns.split(',').count()].join(", ");
    format!("INSERT INTO execution ({columns}) VALUES ({values})")
}

/// Keeps an execution that has not ended; gives the number of its row. `wake_is_relative` says that its time moves with the
/// clock.
pub(super) fn insert(connection: &Connection, row: &ExecutionRow, wake_is_relative: bool) -> Result<i64> {
    let ExecutionRow { execution, request, seed, deadline, actor, is_detached, depth, concurrency, owner, .. } = row;
    skew::allow(connection, execution.id, execution.created_at)?;
    let mut statement = connection.prepare_cached(&INSERT)?;
    let mut values = Values::new(&mut statement);
    values.add_execution(execution)?;
    values.add(seed)?;
    values.add(deadline.map(Timestamp::as_micros))?;
    values.add_origin(execution, request.as_ref(), actor.as_ref())?;
    values.add(is_detached)?;
    values.add(depth)?;
    values.add(concurrency.as_ref().map(|concurrency| &concurrency.key))?;
    values.add(concurrency.as_ref().map(|concurrency| concurrency.limit))?;
    values.add(concurrency.as_ref().and_then(|concurrency| concurrency.project_id.as_ref()).map(RecordId::as_bytes))?;
    values.add(owner.map(|owner| owner.0))?;
    values.add(wake_is_relative)?;
    inserted(statement.raw_execute())?;
    Ok(connection.last_insert_rowid())
}

/// Keeps an ended execution with its log: a new row, or in place of the one that `is_known`. Whole or not at all.
///
/// Most executions have only a row and a log. The store does more for one that has a journal, children, locks, messages or
/// waiters.
pub(super) fn end(connection: &Connection, execution: &Execution, log: &[LogLine], is_known: bool) -> Result<Ended> {
    if !is_known {
        return insert_ended(connection, execution, &Origin::default(), log).map(|()| Ended::default());
    }
    let live = find_live(connection, execution.id)?;
    if !live.has_ties {
        replace(connection, live.seq, execution)?;
        with_its_group(connection, || execution_log::append(connection, live.seq, log))?;
        return Ok(Ended::default());
    }
    in_savepoint(connection, |connection| {
        replace(connection, live.seq, execution)?;
        execution_log::append(connection, live.seq, log)?;
        let at = execution.ended_at.unwrap_or(execution.created_at);
        settle(connection, live.seq, execution.id, execution.status, at, live.owner)
    })
}

/// The row of an execution that has not ended.
struct LiveRow {
    seq: i64,
    owner: Option<OwnerId>,
    /// Whether other tables or rows have something for [`settle`] to do.
    has_ties: bool,
}

fn find_live(connection: &Connection, id: RecordId) -> Result<LiveRow> {
    // One look at all of them costs less than to change nothing in each.
    let mut statement = connection.prepare_cached(
        "SELECT seq, owner,
             EXISTS (SELECT 1 FROM execution_journal WHERE execution = own.seq)
                 OR EXISTS (SELECT 1 FROM awaited WHERE event = own.id)
                 OR EXISTS (SELECT 1 FROM awaited WHERE waiter = own.seq)
                 OR EXISTS (SELECT 1 FROM lock WHERE execution = own.seq)
                 OR EXISTS (SELECT 1 FROM open_message WHERE execution = own.seq)
                 OR EXISTS (SELECT 1 FROM execution INDEXED BY execution_by_parent WHERE parent_id = own.id AND status < 4)
         FROM execution AS own WHERE id = ? AND status < 4",
    )?;
    let found = statement.query_row([id.as_bytes()], |row| {
        Ok(LiveRow { seq: row.get(0)?, owner: row.get::<_, Option<_>>(1)?.map(OwnerId), has_ties: row.get(2)? })
    });
    found.optional()?.ok_or(Error::NotFound)
}

/// Drops what an execution that ended then needs no more, marks its children, closes its messages, releases its
/// locks, and wakes who waited for it or for one of these.
pub(super) fn settle(
    connection: &Connection,
    seq: i64,
    id: RecordId,
    status: Status,
    at: Timestamp,
    owner: Option<OwnerId>,
) -> Result<Ended> {
    journal::delete(connection, seq)?;
    waits::forget(connection, seq)?;
    let cancelled = children::cancel(connection, id)?;
    let mut woken = waits::happened(connection, id, status == Status::EndedSuccess, owner)?;
    messages::close_all(connection, seq, at)?;
    let (released, next) = locks::release_all(connection, seq, at, owner)?;
    woken.extend(next);
    // Those that are nobody's are found by who claims.
    Ok(Ended { woken: if owner.is_some() { woken } else { Vec::new() }, cancelled, released })
}

/// Keeps a new execution that has ended, with its log. Whole or not at all.
pub(super) fn insert_ended(
    connection: &Connection,
    execution: &Execution,
    origin: &Origin,
    log: &[LogLine],
) -> Result<()> {
    skew::allow(connection, execution.id, execution.created_at)?;
    let request = origin.request.as_ref().filter(|request| {
        request.body.len() <= KEPT_BODY_BYTES || requests::is_in_input(&request.body, execution.input_value.get())
    });
    let mut statement = connection.prepare_cached(&INSERT_ENDED)?;
    let mut values = Values::new(&mut statement);
    values.add_execution(execution)?;
    values.add_origin(execution, request, origin.actor.as_ref())?;
    inserted(statement.raw_execute())?;
    let seq = connection.last_insert_rowid();
    with_its_group(connection, || execution_log::insert(connection, seq, 0, log))
}

/// Binds the values of a statement's parameters, one after the other.
struct Values<'a, 'b> {
    statement: &'a mut Statement<'b>,
    count: usize,
}

impl<'a, 'b> Values<'a, 'b> {
    fn new(statement: &'a mut Statement<'b>) -> Self {
        Self { statement, count: 0 }
    }

    fn add(&mut self, value: impl ToSql) -> Result<()> {
        self.count += 1;
        Ok(self.statement.raw_bind_parameter(self.count, value)?)
    }

    /// Those of [`COLUMNS`].
    fn add_execution(&mut self, execution: &Execution) -> Result<()> {
        self.add(execution.id.as_bytes())?;
        self.add(status_number(execution.status))?;
        self.add(execution.flow.id.as_bytes())?;
        self.add(&execution.flow.name)?;
        self.add(execution.flow.version)?;
        self.add(execution.flow.digest.0)?;
        self.add(execution.webhook.as_ref().map(|webhook| webhook.id.as_bytes()))?;
        self.add(execution.webhook.as_ref().map(|webhook| &webhook.name))?;
        self.add(execution.project_id.as_ref().map(RecordId::as_bytes))?;
        self.add(execution.bundle_id.as_ref().map(RecordId::as_bytes))?;
        self.add(execution.created_by.as_ref().map(RecordId::as_bytes))?;
        self.add(execution.user_id.as_ref().map(RecordId::as_bytes))?;
        self.add(&execution.status_message)?;
        self.add(failure_json(execution)?)?;
        self.add(execution.is_productive)?;
        self.add(execution.is_durable)?;
        self.add(execution.attempt)?;
        self.add(execution.created_at.0)?;
        self.add(execution.started_at.map(Timestamp::as_micros))?;
        self.add(execution.ended_at.map(Timestamp::as_micros))?;
        self.add(execution.input_value.get())?;
        self.add(execution.output_value.get())?;
        self.add(execution.parent_id.as_ref().map(RecordId::as_bytes))?;
        self.add(priority_number(execution.priority))?;
        self.add(execution.wake_at.map(Timestamp::as_micros))?;
        self.add(execution.queue_wait_us.cast_signed())?;
        self.add(execution.run_time_us.cast_signed())
    }

    /// Those of [`ORIGIN_COLUMNS`].
    fn add_origin(
        &mut self,
        execution: &Execution,
        request: Option<&RequestRecord>,
        actor: Option<&Actor>,
    ) -> Result<()> {
        let input = execution.input_value.get();
        self.add(request.map(|request| &request.method))?;
        self.add(request.map(|request| &request.path))?;
        self.add(request.and_then(|request| request.query.as_ref()))?;
        self.add(request.map(|request| requests::headers_to_json(&request.headers)).transpose()?)?;
        self.add(request.map(|request| &*request.body).filter(|body| !requests::is_in_input(body, input)))?;
        self.add(request.map(|request| request.body_is_exact))?;
        self.add(actor.map(|actor| actors::kind_number(actor.kind)))?;
        self.add(actor.map(|actor| actor.id.as_bytes()))
    }
}

fn inserted(outcome: rusqlite::Result<usize>) -> Result<()> {
    match outcome {
        Ok(_) => Ok(()),
        Err(error) if is_duplicate(&error) => Err(Error::Conflict),
        Err(error) => Err(error.into()),
    }
}

/// Writes the end of an execution into its row.
fn replace(connection: &Connection, seq: i64, execution: &Execution) -> Result<()> {
    let mut statement = connection.prepare_cached(&REPLACE)?;
    statement.execute(params![
        seq,
        status_number(execution.status),
        execution.status_message,
        failure_json(execution)?,
        execution.attempt,
        execution.started_at.map(Timestamp::as_micros),
        execution.ended_at.map(Timestamp::as_micros),
        execution.input_value.get(),
        execution.output_value.get(),
        execution.is_durable,
        execution.wake_at.map(Timestamp::as_micros),
        execution.queue_wait_us.cast_signed(),
        execution.run_time_us.cast_signed(),
    ])?;
    Ok(())
}

static REPLACE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "UPDATE execution SET status = ?2, status_message = ?3, failure = ?4, attempt = ?5, started_at = ?6, ended_at = ?7,
             input_value = ?8, output_value = ?9, is_durable = ?10, wake_at = ?11, queue_wait_us = ?12, run_time_us = ?13,
             {}
         WHERE seq = ?1",
        *DROP_AGAIN
    )
});

/// Drops what it takes to go on with an execution, and a request that is too long to be kept, within the `SET` of an update.
/// Without its method there is no request.
pub(super) static DROP_AGAIN: LazyLock<String> = LazyLock::new(|| {
    let is_kept = format!("request_body IS NULL OR length(request_body) <= {KEPT_BODY_BYTES}");
    format!(
        "seed = NULL, deadline = NULL, request_method = iif({is_kept}, request_method, NULL),
             request_body = iif({is_kept}, request_body, NULL), concurrency_key = NULL, concurrency_limit = NULL,
             concurrency_project = NULL, owner = NULL"
    )
});

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

/// Marks an execution that has not ended as cancelled.
pub(super) fn mark_cancelled(connection: &Connection, id: RecordId) -> Result<()> {
    let mut statement =
        connection.prepare_cached("UPDATE execution SET is_cancelled = 1 WHERE id = ? AND status < 4")?;
    if statement.execute([id.as_bytes()])? == 1 { Ok(()) } else { Err(Error::NotFound) }
}

/// The columns of an execution in the order of [`from_row`].
pub(super) const COLUMNS: &str = "id, status, flow_id, flow_name, flow_version, flow_digest, webhook_id, webhook_name, \
     project_id, bundle_id, created_by, user_id, status_message, failure, is_productive, is_durable, attempt, created_at, \
     started_at, ended_at, input_value, output_value, parent_id, priority, wake_at, queue_wait_us, run_time_us";

/// How many columns that are.
pub(super) const COLUMN_COUNT: usize = 27;

/// The same, without what is not to be read.
pub(super) fn columns(parts: ExecutionParts) -> String {
    let left_out = [
        (parts.input, "input_value", "'null' AS input_value"),
        (parts.output, "output_value", "'{}' AS output_value"),
        (parts.failure, "failure", "NULL AS failure"),
    ];
    left_out
        .into_iter()
        .filter(|(is_read, ..)| !is_read)
        .fold(COLUMNS.to_owned(), |columns, (_, column, in_its_place)| columns.replace(column, in_its_place))
}

/// How many bytes an execution has, from [`COLUMNS`], but for what is small in each.
pub(super) fn bytes_of_row(row: &Row<'_>) -> Result<usize> {
    ["status_message", "failure", "input_value", "output_value"].into_iter().try_fold(0, |bytes, column| {
        Ok(bytes + row.get_ref(column)?.as_bytes_or_null().map_err(rusqlite::Error::from)?.map_or(0, <[u8]>::len))
    })
}

/// Where an execution came from.
const ORIGIN_COLUMNS: &str = "request_method, request_path, request_query, request_headers, request_body, \
     request_body_is_exact, actor_kind, actor_id";

/// What it takes to run an execution again: [`ORIGIN_COLUMNS`] from the third on.
const AGAIN_COLUMNS: &str = "seed, deadline, request_method, request_path, request_query, request_headers, request_body, \
     request_body_is_exact, actor_kind, actor_id, is_detached, depth, concurrency_key, concurrency_limit, \
     concurrency_project, owner";

/// How many columns that are.
const AGAIN_COLUMN_COUNT: usize = 16;

/// The execution with this id.
pub(super) fn execution(connection: &Connection, id: RecordId) -> Result<Option<Execution>> {
    let mut statement = connection.prepare_cached(&format!("SELECT {COLUMNS} FROM execution WHERE id = ?"))?;
    statement.query_row([id.as_bytes()], |row| Ok(from_row(row))).optional()?.transpose()
}

/// The executions with these ids.
pub(super) fn executions(connection: &Connection, ids: &[RecordId]) -> Result<Vec<Execution>> {
    let mut found = Vec::with_capacity(ids.len());
    for id in ids {
        found.extend(execution(connection, *id)?);
    }
    Ok(found)
}

/// An execution that has not ended, with all that it takes to run it.
pub(super) fn load(connection: &Connection, id: RecordId) -> Result<ExecutionRow> {
    // The journal is that of the row.
    let transaction = connection.unchecked_transaction()?;
    let mut statement = transaction.prepare_cached(&format!(
        "SELECT {COLUMNS}, {AGAIN_COLUMNS}, is_cancelled, deaths, seq FROM execution WHERE id = ? AND status < 4"
    ))?;
    let found = statement.query_row([id.as_bytes()], |row| Ok((row_from_row(row), row.get("seq")?))).optional()?;
    let (row, seq) = found.ok_or(Error::NotFound)?;
    let (journal, log_lines) =
        (journal::entries(&transaction, seq, id)?, execution_log::count_of_flow(&transaction, seq)?);
    Ok(ExecutionRow { journal, log_lines, ..row? })
}

/// An execution and what it takes to run it, but for its journal and its log, from [`COLUMNS`], [`AGAIN_COLUMNS`],
/// `is_cancelled` and `deaths`.
fn row_from_row(row: &Row<'_>) -> Result<ExecutionRow> {
    const FIRST: usize = COLUMN_COUNT;
    let execution = from_row(row)?;
    Ok(ExecutionRow {
        seed: row.get(FIRST)?,
        deadline: row.get::<_, Option<_>>(FIRST + 1)?.map(Timestamp),
        request: requests::from_row(row, FIRST + 2, execution.input_value.get())?,
        actor: actors::from_row(row, FIRST + 8)?,
        is_detached: row.get(FIRST + 10)?,
        depth: row.get(FIRST + 11)?,
        concurrency: tickets::concurrency_from_row(row, FIRST + 12)?,
        owner: row.get::<_, Option<_>>(FIRST + 15)?.map(OwnerId),
        is_cancelled: row.get(FIRST + AGAIN_COLUMN_COUNT)?,
        deaths: row.get(FIRST + AGAIN_COLUMN_COUNT + 1)?,
        journal: Vec::new(),
        log_lines: 0,
        execution,
    })
}

/// Where an execution came from.
pub(super) fn origin(connection: &Connection, id: RecordId) -> Result<Origin> {
    let mut statement =
        connection.prepare_cached(&format!("SELECT {ORIGIN_COLUMNS}, input_value FROM execution WHERE id = ?"))?;
    let of_row = |row: &Row<'_>| {
        let input: String = row.get("input_value")?;
        Ok(Origin { request: requests::from_row(row, 0, &input)?, actor: actors::from_row(row, 6)? })
    };
    statement.query_row([id.as_bytes()], |row| Ok(of_row(row))).optional()?.ok_or(Error::NotFound)?
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
        parent_id: record_id(22)?,
        priority: priority(id, row.get(23)?)?,
        wake_at: time(24)?,
        queue_wait_us: row.get::<_, i64>(25)?.cast_unsigned(),
        run_time_us: row.get::<_, i64>(26)?.cast_unsigned(),
    })
}

fn failure_json(execution: &Execution) -> Result<Option<String>> {
    execution
        .failure
        .as_ref()
        .map(|failure| serde_json::to_string(failure).map_err(|error| Error::Damaged(error.to_string())))
        .transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_counted() {
        assert_eq!(COLUMNS.split(',').count(), COLUMN_COUNT);
        assert_eq!(columns(ExecutionParts::NONE).split(',').count(), COLUMN_COUNT);
        assert_eq!(AGAIN_COLUMNS.split(',').count(), AGAIN_COLUMN_COUNT);
        assert!(AGAIN_COLUMNS.starts_with(&format!("seed, deadline, {ORIGIN_COLUMNS}, ")));
    }

    #[test]
    fn numbers_stand_for_what_they_say() {
        assert!(PRIORITIES.into_iter().zip(0..).all(|(priority, number)| priority_number(priority) == number));
        // Lists compare them by the places of their names.
        assert!(Status::ALL.into_iter().zip(0..).all(|(status, number)| status_number(status) == number));
    }
}
