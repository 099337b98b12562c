//! The tables, and how older ones become the present ones.

use rusqlite::{Connection, Transaction};
use rusqlite_migration::{HookResult, M, Migrations};

use super::files;
use super::open::Files;
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
    (include_str!("../../migrations/07-requests.sql"), None),
    (include_str!("../../migrations/08-deaths.sql"), None),
];

/// The newest version of the tables that this program knows.
pub(super) const VERSION: i64 = STEPS.len() as i64;

/// The mark in the header of a file that says that it is flowhost's: `flow` in ASCII.
pub(super) const APPLICATION_ID: i32 = 0x666c_6f77;

/// A table that every version has. Files of versions that did not mark them are known by it.
const FIRST_TABLE: &str = "execution";

/// What a file holds that is SQLite's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// Nothing yet.
    Nothing,
    /// Data of this program, or of an earlier version of it. Those before the mark have none.
    Own { is_marked: bool },
}

/// Looks at what a file holds, and refuses what this version cannot have, without a change to it.
pub(super) fn check(connection: &Connection, files: &Files) -> Result<Content> {
    let number = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let (mark, found) = (number("application_id")?, number("user_version")?);
    let is_marked = mark == i64::from(APPLICATION_ID);
    if !is_marked {
        let tables: i64 = connection.query_one("SELECT COUNT(*) FROM sqlite_schema", [], |row| row.get(0))?;
        if (mark, found, tables) == (0, 0, 0) {
            return Ok(Content::Nothing);
        }
        let has_first = "SELECT COUNT(*) FROM sqlite_schema WHERE type = 'table' AND name = ?";
        let has_first: i64 = connection.query_one(has_first, [FIRST_TABLE], |row| row.get(0))?;
        if mark != 0 || found == 0 || has_first == 0 {
            let reason = "it is an SQLite database of another program".to_owned();
            return Err(Error::Foreign { file: files.data.display().to_string(), reason });
        }
    }
    if found > VERSION {
        return Err(Error::TooNew { folder: files.folder.display().to_string(), found, known: VERSION });
    }
    Ok(if found == 0 { Content::Nothing } else { Content::Own { is_marked } })
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
    migrations().to_latest(connection).map_err(|error| match error {
        rusqlite_migration::Error::RusqliteError { err, .. } => err.into(),
        other => Error::Storage(format!("migration of the data: {other}")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_are_valid() {
        migrations().validate().unwrap();
    }
}
