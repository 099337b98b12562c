//! The tables, and how older ones become the present ones.

use std::path::Path;

use rusqlite::Connection;
use rusqlite_migration::{M, Migrations};

use crate::{Error, Result};

const STEPS: &[M<'static>] =
    &[M::up(include_str!("../../migrations/01-first.sql")), M::up(include_str!("../../migrations/02-durable.sql"))];

/// The newest version of the tables that this program knows.
pub(super) const VERSION: i64 = STEPS.len() as i64;

/// Refuses data of a newer program, without a change to them.
pub(super) fn refuse_newer(connection: &Connection, folder: &Path) -> Result<i64> {
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found > VERSION {
        return Err(Error::TooNew { folder: folder.display().to_string(), found, known: VERSION });
    }
    Ok(found)
}

/// Brings the tables to [`VERSION`], in one transaction.
pub(super) fn migrate(connection: &mut Connection) -> Result<()> {
    Migrations::from_slice(STEPS)
        .to_latest(connection)
        .map_err(|error| Error::Storage(format!("migration of the data: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_are_valid() {
        Migrations::from_slice(STEPS).validate().unwrap();
    }
}
