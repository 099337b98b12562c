//! The connections to the data: opened together, closed together.

use std::fs::File;
use std::sync::Arc;
use std::time::Instant;

use rusqlite::Connection;

use super::SqliteOptions;
use super::checkpoint::Checkpoints;
use super::folding::Folding;
use super::open::{self, Files};
use crate::Result;

/// What it takes to open the data, again and again.
pub(super) struct Source {
    pub(super) files: Files,
    pub(super) options: SqliteOptions,
    /// The file of the data. Closed after all connections, see [`open::data_file`].
    pub(super) data: Arc<File>,
}

/// What writes. Dropped in this order: the connections that fold the log back are closed before the writer's.
pub(super) struct Writing {
    pub(super) checkpoints: Checkpoints,
    pub(super) connection: Connection,
}

impl Source {
    /// Opens all connections; gives those that read beside. There is no checkpoint before a time.
    pub(super) fn open(&self, before: Option<Instant>) -> Result<(Writing, Vec<Connection>)> {
        let connection = open::writer(&self.files, &self.options)?;
        let folding = if self.options.makes_checkpoints {
            Some(Folding::start(open::folders(&self.files)?, self.data.clone())?)
        } else {
            None
        };
        let checkpoints = Checkpoints::new(&connection, folding, before)?;
        let readers = (0..self.options.readers.max(1)).map(|_| open::reader(&self.files)).collect::<Result<_>>()?;
        if checkpoints.is_held_by_other() {
            tracing::warn!(
                database = %self.files.data.display(),
                "another program has the database open, and its state of the write-ahead log cannot be trusted: the log \
                 grows until that program has closed the database"
            );
        }
        Ok((Writing { checkpoints, connection }, readers))
    }
}
