//! When identities were last active.

use flowhost_model::{RecordId, Timestamp};
use rusqlite::{Connection, params};

use crate::Result;

/// Keeps the later of what is kept and what is given, for each identity.
pub(super) fn save(connection: &Connection, activities: &[(RecordId, Timestamp)]) -> Result<()> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO activity (identity, at) VALUES (?, ?)
         ON CONFLICT (identity) DO UPDATE SET at = excluded.at WHERE excluded.at > at",
    )?;
    for (identity, at) in activities {
        statement.execute(params![identity.as_bytes(), at.0])?;
    }
    Ok(())
}

/// When each identity was last active.
pub(super) fn activities(connection: &Connection) -> Result<Vec<(RecordId, Timestamp)>> {
    let mut statement = connection.prepare_cached("SELECT identity, at FROM activity")?;
    let activities = statement.query_map([], |row| Ok((RecordId::from_bytes(row.get(0)?), Timestamp(row.get(1)?))))?;
    Ok(activities.collect::<rusqlite::Result<_>>()?)
}

/// Forgets an identity that was deleted.
pub(super) fn delete(connection: &Connection, identity: RecordId) -> Result<()> {
    connection.prepare_cached("DELETE FROM activity WHERE identity = ?")?.execute([identity.as_bytes()])?;
    Ok(())
}
