//! What the last owner left behind.

use flowhost_model::{Failure, LogLevel, LogSource, Status, Timestamp};
use rusqlite::{Connection, params};

use super::execution_log::{level_number, source_number};
use super::executions::{AGAIN_COLUMNS, COLUMNS, row_from_row, status_number};
use crate::{Error, Recovered, Result};

const INTERRUPTED: &str = "The host stopped before the execution had ended.";

/// Ends what cannot run again, and gives back what can. Both get a line in their log.
///
/// Paused executions, whose status is 3, stay as they are. What has ended has greater numbers and is not read.
pub(super) fn recover(connection: &Connection, now: Timestamp) -> Result<Recovered> {
    connection.execute(
        "INSERT INTO execution_log (execution, line, at, level, source, message)
         SELECT seq, (SELECT COALESCE(MAX(line) + 1, 0) FROM execution_log WHERE execution = seq), ?1, ?2, ?3,
             CASE WHEN is_durable
                 THEN 'The host stopped before attempt ' || attempt || ' had ended. It is run again.'
                 ELSE 'The host stopped before the execution had ended.' END
         FROM execution INDEXED BY execution_by_status WHERE status < 3",
        params![now.0, level_number(LogLevel::Warn), source_number(LogSource::Host)],
    )?;
    let failure = Failure {
        code: "execution.interrupted".to_owned(),
        message: INTERRUPTED.to_owned(),
        flow_code: None,
        details: None,
        retryable: true,
        trace: None,
    };
    let failure = serde_json::to_string(&failure).map_err(|error| Error::Damaged(error.to_string()))?;
    let interrupted = connection.execute(
        "UPDATE execution INDEXED BY execution_by_status SET status = ?1, status_message = ?2, failure = ?3, ended_at = ?4, seed = NULL, deadline = NULL,
             request_method = NULL, request_path = NULL, request_query = NULL, request_headers = NULL, request_body = NULL,
             request_body_is_exact = NULL
         WHERE status < 3 AND NOT is_durable",
        params![status_number(Status::EndedError), INTERRUPTED, failure, now.0],
    )?;
    connection.execute(
        "UPDATE execution INDEXED BY execution_by_status SET status = ?1, attempt = attempt + 1 WHERE status < 3",
        [status_number(Status::Scheduled)],
    )?;
    let mut statement = connection.prepare(&format!(
        "SELECT {COLUMNS}, {AGAIN_COLUMNS}
         FROM execution INDEXED BY execution_by_status WHERE status < 3 ORDER BY id"
    ))?;
    let again = statement.query_and_then([], row_from_row)?.collect::<Result<_>>()?;
    let paused: i64 = connection.query_one(
        "SELECT COUNT(*) FROM execution INDEXED BY execution_by_status WHERE status = ?",
        [status_number(Status::Paused)],
        |row| row.get(0),
    )?;
    Ok(Recovered { again, interrupted: interrupted as u64, paused: paused.cast_unsigned() })
}
