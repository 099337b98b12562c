//! The logs of executions.

use flowhost_model::{LogLevel, LogLine, LogSource, RawValue, RecordId, Timestamp};
use rusqlite::{Connection, Row, params};

use crate::{Error, Result};

const LEVELS: [LogLevel; 5] = [LogLevel::Trace, LogLevel::Debug, LogLevel::Info, LogLevel::Warn, LogLevel::Error];
const SOURCES: [LogSource; 4] = [LogSource::Flow, LogSource::Stdout, LogSource::Stderr, LogSource::Host];

/// The number that stands for the level in the table.
pub(super) fn level_number(level: LogLevel) -> i64 {
    match level {
        LogLevel::Trace => 0,
        LogLevel::Debug => 1,
        LogLevel::Info => 2,
        LogLevel::Warn => 3,
        LogLevel::Error => 4,
    }
}

/// The number that stands for the source in the table.
pub(super) fn source_number(source: LogSource) -> i64 {
    match source {
        LogSource::Flow => 0,
        LogSource::Stdout => 1,
        LogSource::Stderr => 2,
        LogSource::Host => 3,
    }
}

/// Adds lines to the log of the execution in row `seq`, behind those it has.
pub(super) fn append(connection: &Connection, seq: i64, log: &[LogLine]) -> Result<()> {
    if log.is_empty() {
        return Ok(());
    }
    let mut statement =
        connection.prepare_cached("SELECT COALESCE(MAX(line) + 1, 0) FROM execution_log WHERE execution = ?")?;
    let next: i64 = statement.query_one([seq], |row| row.get(0))?;
    insert(connection, seq, next, log)
}

/// Adds lines with the numbers from `next` on to the log of the execution in row `seq`, which has none of these.
pub(super) fn insert(connection: &Connection, seq: i64, next: i64, log: &[LogLine]) -> Result<()> {
    if log.is_empty() {
        return Ok(());
    }
    let mut statement = connection.prepare_cached(
        "INSERT INTO execution_log (execution, line, at, level, source, message, fields) VALUES (?, ?, ?, ?, ?, ?, ?)",
    )?;
    for (number, line) in (next..).zip(log) {
        statement.execute(params![
            seq,
            number,
            line.at.0,
            level_number(line.level),
            source_number(line.source),
            line.message,
            line.fields.as_deref().map(RawValue::get),
        ])?;
    }
    Ok(())
}

/// Lines of an execution's log, oldest first.
pub(super) fn lines(connection: &Connection, id: RecordId, from: u64, limit: u32) -> Result<Vec<LogLine>> {
    let mut statement = connection.prepare_cached(
        "SELECT at, level, source, message, fields FROM execution_log
         WHERE execution = (SELECT seq FROM execution WHERE id = ?) AND line >= ? ORDER BY line LIMIT ?",
    )?;
    let from = i64::try_from(from).unwrap_or(i64::MAX);
    statement.query_and_then(params![id.as_bytes(), from, limit], from_row)?.collect()
}

/// How many lines of the log of the execution in row `seq` the host did not write.
pub(super) fn count_of_flow(connection: &Connection, seq: i64) -> Result<u64> {
    let mut statement =
        connection.prepare_cached("SELECT COUNT(*) FROM execution_log WHERE execution = ? AND source <> ?")?;
    let count: i64 = statement.query_one([seq, source_number(LogSource::Host)], |row| row.get(0))?;
    Ok(count.cast_unsigned())
}

fn from_row(row: &Row<'_>) -> Result<LogLine> {
    let damaged = |what: &str| Error::Damaged(format!("{what} of a log line"));
    let fields: Option<String> = row.get(4)?;
    Ok(LogLine {
        at: Timestamp(row.get(0)?),
        level: *LEVELS.get(usize::from(row.get::<_, u16>(1)?)).ok_or_else(|| damaged("level"))?,
        source: *SOURCES.get(usize::from(row.get::<_, u16>(2)?)).ok_or_else(|| damaged("source"))?,
        message: row.get(3)?,
        fields: fields.map(RawValue::from_string).transpose().map_err(|_| damaged("fields"))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_for_what_they_say() {
        assert!(LEVELS.into_iter().zip(0..).all(|(level, number)| level_number(level) == number));
        assert!(SOURCES.into_iter().zip(0..).all(|(source, number)| source_number(source) == number));
    }
}
