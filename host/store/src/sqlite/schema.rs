//! The tables, and how older ones become the present ones.

use std::path::Path;

use rusqlite::{Connection, Transaction};
use rusqlite_migration::{HookResult, M, Migrations};

use super::files;
use crate::{Error, Result};

/// What is to be done beside a step's statements.
type Hook = fn(&Transaction<'_>) -> HookResult;

const STEPS: &[(&str, Option<Hook>)] = &[
    (include_str!("../../migrations/01-first.sql"), None),
    (include_str!("../../migrations/02-durable.sql"), None),
    (include_str!("../../migrations/03-locks-and-messages.sql"), None),
    (include_str!("../../migrations/04-files.sql"), Some(files::move_out_of_bodies)),
    (include_str!("../../migrations/05-metadata.sql"), None),
    (include_str!("../../migrations/06-names-of-projects.sql"), None),
];

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

fn migrations() -> Migrations<'static> {
    let steps = STEPS.iter().map(|(statements, hook)| match hook {
        Some(hook) => M::up_with_hook(statements, *hook),
        None => M::up(statements),
    });
    Migrations::new(steps.collect())
}

/// Brings the tables to [`VERSION`], in one transaction.
pub(super) fn migrate(connection: &mut Connection) -> Result<()> {
    migrations().to_latest(connection).map_err(|error| Error::Storage(format!("migration of the data: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_are_valid() {
        migrations().validate().unwrap();
    }
}
