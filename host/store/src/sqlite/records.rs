//! Records, their revisions, and what changed since when.

use flowhost_model::{Meta, RecordId, RecordType, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::failure::{is_duplicate, is_duplicate_key};
use super::{activity, blobs, executions, files, flow_versions, history, journal, locks, messages};
use crate::{Change, Error, Expected, HistoryEntry, HistoryOperation, RecordWrite, Result, StoredRecord, Write};

/// Makes all changes; those of records at one new revision. The caller sees to it that it is all or nothing.
pub(super) fn write(connection: &Connection, changes: &[Write]) -> Result<u64> {
    let is_of_records = |change: &Write| match change {
        Write::Record(_) | Write::DeleteRecord { .. } | Write::FileContent { .. } | Write::FlowVersion { .. } => true,
        Write::Execution(_)
        | Write::Cancel(_)
        | Write::Journal(_)
        | Write::AcquireLock { .. }
        | Write::OpenMessage { .. }
        | Write::SettleMessage(_)
        | Write::ReleaseLock { .. } => false,
    };
    let revision = if changes.iter().any(is_of_records) { next_revision(connection)? } else { revision(connection)? };
    for change in changes {
        match change {
            Write::Record(change) => {
                let operation = match change.expected {
                    Expected::Absent => insert(connection, &change.record, revision.cast_signed())?,
                    Expected::Revision(expected) => {
                        replace(connection, &change.record, expected, revision.cast_signed())?
                    }
                };
                if change.is_remembered {
                    remember(connection, change, operation, revision)?;
                }
            }
            Write::DeleteRecord { id, expected, by, at, commit_message, is_remembered } => {
                delete(connection, *id, *expected, revision.cast_signed())?;
                if *is_remembered {
                    let (operation, commit_message) = (HistoryOperation::Deleted, commit_message.clone());
                    let entry = HistoryEntry { revision, at: *at, by: *by, operation, commit_message };
                    history::append(connection, *id, &entry)?;
                }
            }
            Write::Execution(row) => executions::insert(connection, row, false).map(drop)?,
            Write::Cancel(id) => match executions::mark_cancelled(connection, *id) {
                Err(Error::NotFound) => {}
                marked => marked?,
            },
            Write::AcquireLock { key, execution, at } => locks::acquire(connection, key, *execution, *at)?,
            Write::ReleaseLock { key, execution, at } => locks::release(connection, key, *execution, *at)?,
            Write::OpenMessage { message, execution } => messages::open(connection, *message, *execution)?,
            Write::SettleMessage(message) => messages::settle(connection, *message)?,
            Write::Journal(more) => journal::write(connection, more)?,
            Write::FileContent { file, content } => files::write(connection, *file, content)?,
            Write::FlowVersion { version, component } => flow_versions::insert(connection, version, component)?,
        }
    }
    Ok(revision)
}

fn insert(connection: &Connection, record: &StoredRecord, revision: i64) -> Result<HistoryOperation> {
    let meta = &record.meta;
    let mut statement = connection.prepare_cached(
        "INSERT INTO record (id, record_type, name, description, project_id, bundle_id, is_readonly, created_at, created_by,
             modified_at, modified_by, deleted_at, deleted_by, body, revision)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )?;
    let outcome = statement.execute(params![
        meta.id.as_bytes(),
        record.record_type.as_str(),
        meta.name,
        meta.description,
        meta.project_id.as_ref().map(RecordId::as_bytes),
        meta.bundle_id.as_ref().map(RecordId::as_bytes),
        meta.is_readonly,
        meta.created_at.0,
        meta.created_by.as_ref().map(RecordId::as_bytes),
        meta.modified_at.0,
        meta.modified_by.as_ref().map(RecordId::as_bytes),
        meta.deleted_at.map(Timestamp::as_micros),
        meta.deleted_by.as_ref().map(RecordId::as_bytes),
        record.body,
        revision,
    ]);
    outcome.map_err(|error| refusal(error, record))?;
    connection.prepare_cached("DELETE FROM deleted_record WHERE id = ?")?.execute([meta.id.as_bytes()])?;
    Ok(HistoryOperation::Created)
}

fn replace(connection: &Connection, record: &StoredRecord, expected: u64, revision: i64) -> Result<HistoryOperation> {
    let meta = &record.meta;
    let was_in_trash = check(connection, meta.id, Expected::Revision(expected))?;
    let mut statement = connection.prepare_cached(
        "UPDATE record SET name = ?3, description = ?4, project_id = ?5, bundle_id = ?6, is_readonly = ?7, created_at = ?8,
             created_by = ?9, modified_at = ?10, modified_by = ?11, deleted_at = ?12, deleted_by = ?13, body = ?14,
             revision = ?15
         WHERE id = ?1 AND record_type = ?2",
    )?;
    let outcome = statement.execute(params![
        meta.id.as_bytes(),
        record.record_type.as_str(),
        meta.name,
        meta.description,
        meta.project_id.as_ref().map(RecordId::as_bytes),
        meta.bundle_id.as_ref().map(RecordId::as_bytes),
        meta.is_readonly,
        meta.created_at.0,
        meta.created_by.as_ref().map(RecordId::as_bytes),
        meta.modified_at.0,
        meta.modified_by.as_ref().map(RecordId::as_bytes),
        meta.deleted_at.map(Timestamp::as_micros),
        meta.deleted_by.as_ref().map(RecordId::as_bytes),
        record.body,
        revision,
    ]);
    if outcome.map_err(|error| refusal(error, record))? == 0 {
        // A record keeps its type.
        return Err(Error::Conflict);
    }
    Ok(match (was_in_trash, meta.deleted_at.is_some()) {
        (false, true) => HistoryOperation::Trashed,
        (true, false) => HistoryOperation::Restored,
        _ => HistoryOperation::Updated,
    })
}

/// That the record is there as expected; gives whether it is in the trash.
fn check(connection: &Connection, id: RecordId, expected: Expected) -> Result<bool> {
    let mut statement =
        connection.prepare_cached("SELECT revision, deleted_at IS NOT NULL FROM record WHERE id = ?")?;
    let found: Option<(i64, bool)> =
        statement.query_row([id.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let (revision, is_in_trash) = found.ok_or(Error::NotFound)?;
    if expected == Expected::Revision(revision.cast_unsigned()) { Ok(is_in_trash) } else { Err(Error::Conflict) }
}

/// Adds a write to the record's history.
fn remember(connection: &Connection, change: &RecordWrite, operation: HistoryOperation, revision: u64) -> Result<()> {
    let meta = &change.record.meta;
    let (at, by) = match (operation, meta.deleted_at) {
        (HistoryOperation::Trashed, Some(deleted_at)) => (deleted_at, meta.deleted_by),
        _ => (meta.modified_at, meta.modified_by),
    };
    let commit_message = change.commit_message.clone();
    history::append(connection, meta.id, &HistoryEntry { revision, at, by, operation, commit_message })
}

fn refusal(error: rusqlite::Error, record: &StoredRecord) -> Error {
    if is_duplicate(&error) {
        Error::NameTaken { record_type: record.record_type, name: record.meta.name.clone() }
    } else if is_duplicate_key(&error) {
        Error::Conflict
    } else {
        error.into()
    }
}

fn delete(connection: &Connection, id: RecordId, expected: Expected, revision: i64) -> Result<()> {
    check(connection, id, expected)?;
    // The versions of a flow go with it, and their bytes unless another version has the same.
    let orphans = flow_versions::blobs_of(connection, id)?;
    let mut statement = connection.prepare_cached("DELETE FROM record WHERE id = ? RETURNING record_type")?;
    let record_type: Option<String> = statement.query_row([id.as_bytes()], |row| row.get(0)).optional()?;
    let record_type = record_type.ok_or(Error::NotFound)?;
    blobs::delete_unused(connection, &orphans)?;
    activity::delete(connection, id)?;
    connection
        .prepare_cached("INSERT INTO deleted_record (id, record_type, revision) VALUES (?, ?, ?)")?
        .execute(params![id.as_bytes(), record_type, revision])?;
    Ok(())
}

pub(super) fn next_revision(connection: &Connection) -> Result<u64> {
    let mut statement = connection.prepare_cached("UPDATE revision SET value = value + 1 RETURNING value")?;
    let revision: i64 = statement.query_one([], |row| row.get(0))?;
    Ok(revision.cast_unsigned())
}

/// The number of the last write.
pub(super) fn revision(connection: &Connection) -> Result<u64> {
    let revision: i64 = connection.prepare_cached("SELECT value FROM revision")?.query_one([], |row| row.get(0))?;
    Ok(revision.cast_unsigned())
}

/// The columns of a record in the order of [`from_row`].
pub(super) const COLUMNS: &str = "id, record_type, name, description, project_id, bundle_id, is_readonly, created_at, \
     created_by, modified_at, modified_by, deleted_at, deleted_by, body, revision";

/// How many columns that are.
pub(super) const COLUMN_COUNT: usize = 15;

fn select(rest: &str) -> String {
    format!("SELECT {COLUMNS} FROM record {rest}")
}

/// The record with this id, also from the trash.
pub(super) fn record(connection: &Connection, id: RecordId) -> Result<Option<StoredRecord>> {
    let mut statement = connection.prepare_cached(&select("WHERE id = ?"))?;
    statement.query_row([id.as_bytes()], |row| Ok(from_row(row))).optional()?.transpose()
}

/// The record of this type and name that is not in the trash.
pub(super) fn record_by_name(
    connection: &Connection,
    record_type: RecordType,
    name: &str,
) -> Result<Option<StoredRecord>> {
    let mut statement =
        connection.prepare_cached(&select("WHERE record_type = ? AND name = ? AND deleted_at IS NULL"))?;
    statement.query_row([record_type.as_str(), name], |row| Ok(from_row(row))).optional()?.transpose()
}

/// All records of a type that are not in the trash, by name.
pub(super) fn records(connection: &Connection, record_type: RecordType) -> Result<Vec<StoredRecord>> {
    let mut statement =
        connection.prepare_cached(&select("WHERE record_type = ? AND deleted_at IS NULL ORDER BY name"))?;
    statement.query_and_then([record_type.as_str()], from_row)?.collect()
}

/// What was written or deleted after the revision, oldest first. What one write deleted or put into the trash comes before
/// what else it wrote, so that a name which passed from one record to another is free when it is needed.
pub(super) fn changes_since(connection: &Connection, since: u64) -> Result<Vec<Change>> {
    // Both lists as of one moment.
    let transaction = connection.unchecked_transaction()?;
    let since = i64::try_from(since).unwrap_or(i64::MAX);
    let mut changes = Vec::new();
    let mut statement =
        transaction.prepare_cached("SELECT id, record_type, revision FROM deleted_record WHERE revision > ?")?;
    let mut rows = statement.query([since])?;
    while let Some(row) = rows.next()? {
        let record_type = record_type(row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?)?;
        let revision = row.get::<_, i64>(2)?.cast_unsigned();
        changes.push(Change::Deleted { record_type, id: RecordId::from_bytes(row.get(0)?), revision });
    }
    let mut statement = transaction.prepare_cached(&select("WHERE revision > ?"))?;
    for record in statement.query_and_then([since], from_row)? {
        changes.push(Change::Written(record?));
    }
    changes.sort_by_key(|change| match change {
        Change::Deleted { revision, .. } => (*revision, 0),
        Change::Written(record) if record.meta.deleted_at.is_some() => (record.revision, 1),
        Change::Written(record) => (record.revision, 2),
    });
    Ok(changes)
}

/// A record, from [`COLUMNS`].
pub(super) fn from_row(row: &Row<'_>) -> Result<StoredRecord> {
    let id = |index| row.get::<_, Option<[u8; 16]>>(index).map(|bytes| bytes.map(RecordId::from_bytes));
    Ok(StoredRecord {
        record_type: record_type(row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?)?,
        meta: Meta {
            id: RecordId::from_bytes(row.get(0)?),
            name: row.get(2)?,
            description: row.get(3)?,
            project_id: id(4)?,
            bundle_id: id(5)?,
            is_readonly: row.get(6)?,
            created_at: Timestamp(row.get(7)?),
            created_by: id(8)?,
            modified_at: Timestamp(row.get(9)?),
            modified_by: id(10)?,
            deleted_at: row.get::<_, Option<_>>(11)?.map(Timestamp),
            deleted_by: id(12)?,
        },
        body: row.get(13)?,
        revision: row.get::<_, i64>(14)?.cast_unsigned(),
    })
}

/// How many bytes a record has, but for what is small in each.
pub(super) fn bytes(record: &StoredRecord) -> usize {
    record.body.len() + record.meta.description.as_ref().map_or(0, String::len)
}

fn record_type(text: &str) -> Result<RecordType> {
    text.parse().map_err(|_| Error::Damaged(format!("`{text}` is no type of record")))
}
