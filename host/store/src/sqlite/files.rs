//! The bytes of files, in chunks of a fixed size.

use data_encoding::BASE64;
use flowhost_model::{File, RecordId, RecordType};
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use rusqlite_migration::{HookError, HookResult};
use serde::Deserialize;

use super::records;
use crate::{Error, FileContent, FilePiece, Result};

/// The size of a chunk, in bytes: what an addition rewrites at most, beside what it adds.
const CHUNK_BYTES: usize = 64 << 10;

/// Changes the bytes of a file, whose record is there.
pub(super) fn write(connection: &Connection, file: RecordId, content: &FileContent) -> Result<()> {
    let mut statement = connection.prepare_cached("SELECT 1 FROM record WHERE id = ? AND record_type = ?")?;
    if !statement.exists(params![file.as_bytes(), RecordType::File.as_str()])? {
        return Err(Error::NotFound);
    }
    match content {
        FileContent::Whole(bytes) => replace(connection, file, bytes),
        FileContent::Added { size, bytes } => append(connection, file, *size, bytes),
    }
}

fn replace(connection: &Connection, file: RecordId, bytes: &[u8]) -> Result<()> {
    connection.prepare_cached("DELETE FROM file_chunk WHERE file = ?")?.execute([file.as_bytes()])?;
    insert(connection, file, 0, bytes)
}

fn append(connection: &Connection, file: RecordId, size: u64, bytes: &[u8]) -> Result<()> {
    let mut statement = connection
        .prepare_cached("SELECT chunk, length(bytes) FROM file_chunk WHERE file = ? ORDER BY chunk DESC LIMIT 1")?;
    let last: Option<(i64, i64)> =
        statement.query_row([file.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let (chunk, length) = last.unwrap_or((0, 0));
    let length = usize::try_from(length).unwrap_or_default().min(CHUNK_BYTES);
    if chunk.cast_unsigned() * CHUNK_BYTES as u64 + length as u64 != size {
        return Err(Error::Conflict);
    }
    let room = if last.is_some() { CHUNK_BYTES - length } else { 0 };
    let (first, rest) = bytes.split_at(room.min(bytes.len()));
    if !first.is_empty() {
        let mut statement = connection.prepare_cached("SELECT bytes FROM file_chunk WHERE file = ? AND chunk = ?")?;
        let mut filled: Vec<u8> = statement.query_one(params![file.as_bytes(), chunk], |row| row.get(0))?;
        filled.extend_from_slice(first);
        connection
            .prepare_cached("UPDATE file_chunk SET bytes = ?3 WHERE file = ?1 AND chunk = ?2")?
            .execute(params![file.as_bytes(), chunk, filled])?;
    }
    insert(connection, file, if last.is_some() { chunk + 1 } else { 0 }, rest)
}

/// Keeps the bytes in chunks from this one on.
fn insert(connection: &Connection, file: RecordId, first: i64, bytes: &[u8]) -> Result<()> {
    let mut statement = connection.prepare_cached("INSERT INTO file_chunk (file, chunk, bytes) VALUES (?, ?, ?)")?;
    for (number, chunk) in (first..).zip(bytes.chunks(CHUNK_BYTES)) {
        statement.execute(params![file.as_bytes(), number, chunk])?;
    }
    Ok(())
}

/// Some bytes of a file; none where there is no such file.
pub(super) fn piece(connection: &Connection, file: RecordId, offset: u64, length: u64) -> Result<Option<FilePiece>> {
    // Record and chunks as of one moment.
    let transaction = connection.unchecked_transaction()?;
    let Some(record) = records::record(&transaction, file)?.filter(|found| found.record_type == RecordType::File)
    else {
        return Ok(None);
    };
    let revision = record.revision;
    let size = record.into_record::<File>()?.body.size;
    let (offset, end) = (offset.min(size), offset.saturating_add(length).min(size));
    let mut bytes = Vec::new();
    if offset < end {
        let chunk_bytes = CHUNK_BYTES as u64;
        let (first, last) = (offset / chunk_bytes, (end - 1) / chunk_bytes);
        let damaged = || Error::Damaged(format!("the bytes of the file {file} are not whole"));
        let wanted = usize::try_from(end - offset).map_err(|_| damaged())?;
        bytes.try_reserve_exact(wanted).map_err(|_| damaged())?;
        let mut statement = transaction
            .prepare_cached("SELECT bytes FROM file_chunk WHERE file = ? AND chunk BETWEEN ? AND ? ORDER BY chunk")?;
        let mut rows = statement.query(params![file.as_bytes(), first.cast_signed(), last.cast_signed()])?;
        // Less than a chunk, so that it fits.
        let mut skip = (offset % chunk_bytes) as usize;
        while let Some(row) = rows.next()? {
            let chunk = row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?;
            let until = chunk.len().min(skip + (wanted - bytes.len()));
            bytes.extend_from_slice(chunk.get(skip..until).ok_or_else(damaged)?);
            skip = 0;
        }
        if bytes.len() != wanted {
            return Err(damaged());
        }
    }
    Ok(Some(FilePiece { revision, bytes }))
}

/// A file's body when its content was a part of it.
#[derive(Deserialize)]
struct FormerFile {
    content: Option<String>,
    content_type: Option<String>,
    is_binary: Option<bool>,
}

/// Moves the content of files out of the bodies of their records, where it was kept before.
pub(super) fn move_out_of_bodies(transaction: &Transaction<'_>) -> HookResult {
    let mut files = transaction.prepare("SELECT id FROM record WHERE record_type = ?")?;
    let files = files.query_map([RecordType::File.as_str()], |row| row.get(0))?;
    for id in files.collect::<rusqlite::Result<Vec<[u8; 16]>>>()? {
        let body: String = transaction.query_one("SELECT body FROM record WHERE id = ?", [id], |row| row.get(0))?;
        let told =
            |error: &dyn std::fmt::Display| HookError::Hook(format!("file {}: {error}", RecordId::from_bytes(id)));
        let former: FormerFile = serde_json::from_str(&body).map_err(|error| told(&error))?;
        let content = former.content.unwrap_or_default();
        let is_binary = former.is_binary.unwrap_or_default();
        let decoded = is_binary.then(|| BASE64.decode(content.as_bytes()).ok()).flatten();
        let bytes = decoded.unwrap_or_else(|| content.into_bytes());
        let file = File { size: bytes.len() as u64, content_type: former.content_type, is_binary };
        let body = serde_json::to_string(&file).map_err(|error| told(&error))?;
        transaction.execute("UPDATE record SET body = ?2 WHERE id = ?1", params![id, body])?;
        insert(transaction, RecordId::from_bytes(id), 0, &bytes).map_err(|error| told(&error))?;
    }
    Ok(())
}
