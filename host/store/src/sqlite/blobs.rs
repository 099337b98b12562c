//! Bytes named by their digest, kept once and in chunks.

use flowhost_model::Digest;
use rusqlite::{Connection, OptionalExtension, params};

use crate::{Error, Result};

/// The size of a chunk, in bytes: a write copies one at a time, and 64 of SQLite's pages are still read at a stretch.
const CHUNK_BYTES: usize = 256 << 10;

/// Keeps the bytes unless some of this digest are kept; gives their key.
pub(super) fn insert(connection: &Connection, digest: Digest, bytes: &[u8]) -> Result<i64> {
    let mut statement = connection.prepare_cached("SELECT key FROM blob WHERE digest = ?")?;
    if let Some(key) = statement.query_row([digest.0], |row| row.get(0)).optional()? {
        return Ok(key);
    }
    connection
        .prepare_cached("INSERT INTO blob (digest, size) VALUES (?, ?)")?
        .execute(params![digest.0, bytes.len() as i64])?;
    let key = connection.last_insert_rowid();
    let mut statement = connection.prepare_cached("INSERT INTO blob_chunk (blob, chunk, bytes) VALUES (?, ?, ?)")?;
    for (number, chunk) in bytes.chunks(CHUNK_BYTES).enumerate() {
        statement.execute(params![key, number as i64, chunk])?;
    }
    Ok(key)
}

/// The bytes of this digest.
pub(super) fn blob(connection: &Connection, digest: Digest) -> Result<Option<Vec<u8>>> {
    // Both queries as of one moment.
    let transaction = connection.unchecked_transaction()?;
    let mut statement = transaction.prepare_cached("SELECT key, size FROM blob WHERE digest = ?")?;
    let found: Option<(i64, i64)> = statement.query_row([digest.0], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let Some((key, size)) = found else { return Ok(None) };
    let damaged = || Error::Damaged(format!("the bytes of {digest} are not whole"));
    let size = usize::try_from(size).map_err(|_| damaged())?;
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(size).map_err(|_| damaged())?;
    let mut statement = transaction.prepare_cached("SELECT bytes FROM blob_chunk WHERE blob = ? ORDER BY chunk")?;
    let mut rows = statement.query([key])?;
    while let Some(row) = rows.next()? {
        bytes.extend_from_slice(row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?);
    }
    if bytes.len() == size { Ok(Some(bytes)) } else { Err(damaged()) }
}

/// Removes those of the blobs that no flow version names.
pub(super) fn delete_unused(connection: &Connection, keys: &[i64]) -> Result<()> {
    let mut statement = connection.prepare_cached(
        "DELETE FROM blob WHERE key = ?1 AND NOT EXISTS (SELECT 1 FROM flow_version WHERE blob = ?1)",
    )?;
    for key in keys {
        statement.execute([key])?;
    }
    Ok(())
}
