//! Values of the host's own.

use rusqlite::{Connection, OptionalExtension, params};

use crate::Result;

/// The value kept under the name.
pub(super) fn host_value(connection: &Connection, name: &str) -> Result<Option<Vec<u8>>> {
    let mut statement = connection.prepare_cached("SELECT value FROM host_value WHERE name = ?")?;
    Ok(statement.query_row([name], |row| row.get(0)).optional()?)
}

/// Keeps the value unless there is one; gives the one that is kept.
pub(super) fn host_value_or_insert(connection: &Connection, name: &str, value: Vec<u8>) -> Result<Vec<u8>> {
    let mut statement =
        connection.prepare_cached("INSERT INTO host_value (name, value) VALUES (?, ?) ON CONFLICT DO NOTHING")?;
    statement.execute(params![name, value])?;
    Ok(host_value(connection, name)?.unwrap_or(value))
}
