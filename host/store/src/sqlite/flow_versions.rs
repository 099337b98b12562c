//! The versions of flows.

use flowhost_model::{Digest, FlowVersion, RecordId, RecordType, Timestamp};
use rusqlite::{Connection, Row, params};

use super::blobs;
use crate::{Error, Result};

/// Adds a version, which must be the next of its flow, and keeps the bytes.
pub(super) fn insert(connection: &Connection, version: &FlowVersion, component: &[u8]) -> Result<()> {
    let flow_id = version.flow_id.as_bytes();
    let mut statement = connection.prepare_cached("SELECT 1 FROM record WHERE id = ? AND record_type = ?")?;
    if !statement.exists(params![flow_id, RecordType::Flow.as_str()])? {
        return Err(Error::NotFound);
    }
    let mut statement =
        connection.prepare_cached("SELECT COALESCE(MAX(version), 0) + 1 FROM flow_version WHERE flow_id = ?")?;
    let next: u32 = statement.query_one([flow_id], |row| row.get(0))?;
    if version.version != next {
        return Err(Error::Conflict);
    }
    let blob = blobs::insert(connection, version.digest, component)?;
    let metadata = version.metadata.as_ref().map(serde_json::to_string).transpose();
    let metadata = metadata.map_err(|error| Error::Damaged(error.to_string()))?;
    let mut statement = connection.prepare_cached(
        "INSERT INTO flow_version (flow_id, version, blob, size, created_at, created_by, metadata)
         VALUES (?, ?, ?, ?, ?, ?, ?)",
    )?;
    statement.execute(params![
        flow_id,
        version.version,
        blob,
        version.size.cast_signed(),
        version.created_at.0,
        version.created_by.as_ref().map(RecordId::as_bytes),
        metadata,
    ])?;
    Ok(())
}

/// The versions of a flow, newest first.
pub(super) fn flow_versions(connection: &Connection, flow_id: RecordId) -> Result<Vec<FlowVersion>> {
    let mut statement = connection.prepare_cached(
        "SELECT version, digest, flow_version.size, created_at, created_by, metadata
         FROM flow_version JOIN blob ON blob.key = flow_version.blob
         WHERE flow_id = ? ORDER BY version DESC",
    )?;
    let versions = statement.query_and_then([flow_id.as_bytes()], |row| version_of(flow_id, row))?;
    versions.collect()
}

/// One version of a flow.
pub(super) fn flow_version(connection: &Connection, flow_id: RecordId, version: u32) -> Result<Option<FlowVersion>> {
    let mut statement = connection.prepare_cached(
        "SELECT version, digest, flow_version.size, created_at, created_by, metadata
         FROM flow_version JOIN blob ON blob.key = flow_version.blob
         WHERE flow_id = ? AND version = ?",
    )?;
    let mut found = statement.query_and_then(params![flow_id.as_bytes(), version], |row| version_of(flow_id, row))?;
    found.next().transpose()
}

/// The number of the newest version of a flow.
pub(super) fn last_flow_version(connection: &Connection, flow_id: RecordId) -> Result<Option<u32>> {
    let mut statement = connection.prepare_cached("SELECT MAX(version) FROM flow_version WHERE flow_id = ?")?;
    Ok(statement.query_one([flow_id.as_bytes()], |row| row.get(0))?)
}

fn version_of(flow_id: RecordId, row: &Row<'_>) -> Result<FlowVersion> {
    let metadata: Option<String> = row.get(5)?;
    let metadata = metadata.map(|json| serde_json::from_str(&json)).transpose();
    Ok(FlowVersion {
        flow_id,
        version: row.get(0)?,
        digest: Digest(row.get(1)?),
        size: row.get::<_, i64>(2)?.cast_unsigned(),
        created_at: Timestamp(row.get(3)?),
        created_by: row.get::<_, Option<_>>(4)?.map(RecordId::from_bytes),
        metadata: metadata.map_err(|error| Error::Damaged(error.to_string()))?,
    })
}

/// The keys of the blobs that the versions of a flow name.
pub(super) fn blobs_of(connection: &Connection, flow_id: RecordId) -> Result<Vec<i64>> {
    let mut statement = connection.prepare_cached("SELECT blob FROM flow_version WHERE flow_id = ?")?;
    let keys = statement.query_map([flow_id.as_bytes()], |row| row.get(0))?;
    Ok(keys.collect::<rusqlite::Result<_>>()?)
}
