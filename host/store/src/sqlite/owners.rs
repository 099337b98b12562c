//! Processes that own executions.

use flowhost_model::Timestamp;
use rusqlite::{Connection, params};

use crate::{Error, OwnerId, Result};

/// Makes a new owner, or extends the lease of one.
pub(super) fn hold_lease(connection: &Connection, owner: Option<OwnerId>, until: Timestamp) -> Result<OwnerId> {
    let Some(owner) = owner else {
        connection.prepare_cached("INSERT INTO owner (lease_until) VALUES (?)")?.execute([until.0])?;
        return Ok(OwnerId(connection.last_insert_rowid()));
    };
    let mut statement = connection.prepare_cached("UPDATE owner SET lease_until = ?2 WHERE id = ?1")?;
    if statement.execute(params![owner.0, until.0])? == 1 { Ok(owner) } else { Err(Error::NotFound) }
}

/// Removes all owners.
pub(super) fn delete(connection: &Connection) -> Result<()> {
    connection.execute("DELETE FROM owner", [])?;
    Ok(())
}

/// Lets others claim what an owner has in its queue, and ends its lease.
pub(super) fn release(connection: &Connection, owner: OwnerId) -> Result<()> {
    connection.execute(
        "UPDATE execution INDEXED BY execution_by_owner SET owner = NULL
         WHERE owner = ? AND owner IS NOT NULL AND status < 3 AND status = 0",
        [owner.0],
    )?;
    connection.execute("DELETE FROM owner WHERE id = ?", [owner.0])?;
    Ok(())
}
