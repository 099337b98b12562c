//! Records, their revisions, and what changed since when.

use flowhost_model::{Meta, RecordId, RecordType, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::failure::{is_duplicate, is_duplicate_key};
use super::{blobs, flow_versions};
use crate::{Change, Error, Expected, RecordWrite, Result, StoredRecord, Write};

const TYPES: [RecordType; 5] =
    [RecordType::Workspace, RecordType::Flow, RecordType::Webhook, RecordType::Setting, RecordType::User];

/// Makes all changes at one new revision. The caller sees to it that it is all or nothing.
pub(super) fn write(connection: &Connection, changes: &[Write]) -> Result<u64> {
    if changes.is_empty() {
        return revision(connection);
    }
    let mut statement = connection.prepare_cached("UPDATE revision SET value = value + 1 RETURNING value")?;
    let revision: i64 = statement.query_one([], |row| row.get(0))?;
    for change in changes {
        match change {
            Write::Record(RecordWrite { record, expected: Expected::Absent }) => insert(connection, record, revision)?,
            Write::Record(RecordWrite { record, expected: Expected::Revision(expected) }) => {
                replace(connection, record, *expected, revision)?;
            }
            Write::DeleteRecord(id) => delete(connection, *id, revision)?,
            Write::FlowVersion { version, component } => flow_versions::insert(connection, version, component)?,
        }
    }
    Ok(revision.cast_unsigned())
}

fn insert(connection: &Connection, record: &StoredRecord, revision: i64) -> Result<()> {
    let meta = &record.meta;
    let mut statement = connection.prepare_cached(
        "INSERT INTO record (id, record_type, name, description, created_at, created_by, modified_at, modified_by, body,
             revision)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )?;
    let outcome = statement.execute(params![
        meta.id.as_bytes(),
        record.record_type.as_str(),
        meta.name,
        meta.description,
        meta.created_at.0,
        meta.created_by.as_ref().map(RecordId::as_bytes),
        meta.modified_at.0,
        meta.modified_by.as_ref().map(RecordId::as_bytes),
        record.body,
        revision,
    ]);
    outcome.map_err(|error| refusal(error, record))?;
    connection.prepare_cached("DELETE FROM deleted_record WHERE id = ?")?.execute([meta.id.as_bytes()])?;
    Ok(())
}

fn replace(connection: &Connection, record: &StoredRecord, expected: u64, revision: i64) -> Result<()> {
    let meta = &record.meta;
    let mut statement = connection.prepare_cached(
        "UPDATE record SET name = ?4, description = ?5, created_at = ?6, created_by = ?7, modified_at = ?8, modified_by = ?9,
             body = ?10, revision = ?11
         WHERE id = ?1 AND record_type = ?2 AND revision = ?3",
    )?;
    let outcome = statement.execute(params![
        meta.id.as_bytes(),
        record.record_type.as_str(),
        expected.cast_signed(),
        meta.name,
        meta.description,
        meta.created_at.0,
        meta.created_by.as_ref().map(RecordId::as_bytes),
        meta.modified_at.0,
        meta.modified_by.as_ref().map(RecordId::as_bytes),
        record.body,
        revision,
    ]);
    if outcome.map_err(|error| refusal(error, record))? == 1 {
        return Ok(());
    }
    let mut statement = connection.prepare_cached("SELECT 1 FROM record WHERE id = ?")?;
    Err(if statement.exists([meta.id.as_bytes()])? { Error::Conflict } else { Error::NotFound })
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

fn delete(connection: &Connection, id: RecordId, revision: i64) -> Result<()> {
    // The versions of a flow go with it, and their bytes unless another version has the same.
    let orphans = flow_versions::blobs_of(connection, id)?;
    let mut statement = connection.prepare_cached("DELETE FROM record WHERE id = ? RETURNING record_type")?;
    let record_type: Option<String> = statement.query_row([id.as_bytes()], |row| row.get(0)).optional()?;
    let record_type = record_type.ok_or(Error::NotFound)?;
    blobs::delete_unused(connection, &orphans)?;
    connection
        .prepare_cached("INSERT INTO deleted_record (id, record_type, revision) VALUES (?, ?, ?)")?
        .execute(params![id.as_bytes(), record_type, revision])?;
    Ok(())
}

/// The number of the last write.
pub(super) fn revision(connection: &Connection) -> Result<u64> {
    let revision: i64 = connection.prepare_cached("SELECT value FROM revision")?.query_one([], |row| row.get(0))?;
    Ok(revision.cast_unsigned())
}

macro_rules! select_record {
    ($rest:literal) => {
        concat!(
            "SELECT id, record_type, name, description, created_at, created_by, modified_at, modified_by, body, revision ",
            "FROM record ",
            $rest
        )
    };
}

/// The record with this id.
pub(super) fn record(connection: &Connection, id: RecordId) -> Result<Option<StoredRecord>> {
    let mut statement = connection.prepare_cached(select_record!("WHERE id = ?"))?;
    statement.query_row([id.as_bytes()], |row| Ok(from_row(row))).optional()?.transpose()
}

/// The record of this type and name.
pub(super) fn record_by_name(
    connection: &Connection,
    record_type: RecordType,
    name: &str,
) -> Result<Option<StoredRecord>> {
    let mut statement = connection.prepare_cached(select_record!("WHERE record_type = ? AND name = ?"))?;
    statement.query_row([record_type.as_str(), name], |row| Ok(from_row(row))).optional()?.transpose()
}

/// All records of a type, by name.
pub(super) fn records(connection: &Connection, record_type: RecordType) -> Result<Vec<StoredRecord>> {
    let mut statement = connection.prepare_cached(select_record!("WHERE record_type = ? ORDER BY name"))?;
    statement.query_and_then([record_type.as_str()], from_row)?.collect()
}

/// What was written or deleted after the revision, oldest first. What one write deleted comes before what it wrote, so
/// that a name which passed from one record to another is free when it is needed.
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
    let mut statement = transaction.prepare_cached(select_record!("WHERE revision > ?"))?;
    for record in statement.query_and_then([since], from_row)? {
        changes.push(Change::Written(record?));
    }
    changes.sort_by_key(|change| match change {
        Change::Written(record) => record.revision,
        Change::Deleted { revision, .. } => *revision,
    });
    Ok(changes)
}

fn from_row(row: &Row<'_>) -> Result<StoredRecord> {
    let id = |index| row.get::<_, Option<[u8; 16]>>(index).map(|bytes| bytes.map(RecordId::from_bytes));
    Ok(StoredRecord {
        record_type: record_type(row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?)?,
        meta: Meta {
            id: RecordId::from_bytes(row.get(0)?),
            name: row.get(2)?,
            description: row.get(3)?,
            created_at: Timestamp(row.get(4)?),
            created_by: id(5)?,
            modified_at: Timestamp(row.get(6)?),
            modified_by: id(7)?,
        },
        body: row.get(8)?,
        revision: row.get::<_, i64>(9)?.cast_unsigned(),
    })
}

fn record_type(text: &str) -> Result<RecordType> {
    TYPES
        .into_iter()
        .find(|record_type| record_type.as_str() == text)
        .ok_or_else(|| Error::Damaged(format!("`{text}` is no type of record")))
}
