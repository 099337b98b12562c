//! When the write-ahead log is folded back into the data.
//!
//! The writing thread does it between two commits, after the answers have gone out. No other writer exists then, so a
//! passive checkpoint, which waits for nobody, takes the whole log unless a reader still looks at an older state, and the
//! log starts over with the next write.

use std::time::Duration;

use rusqlite::Connection;

use super::open::LOCK_PATIENCE;
use crate::Result;

/// The length of the log, in pages, that is worth a checkpoint: 16 MiB. Pages that change with every commit, the ends of the
/// indexes, are then written back once for many commits, and the thread is held up for some tens of milliseconds at most.
const PAGES: u64 = 4096;

/// The length, in pages, at which readers are waited for, so that the log can start over: 256 MiB. Only a reader that never
/// ends, such as a stopped backup, lets it come to that.
const PAGES_TOO_MANY: u64 = 65_536;

/// How long readers are waited for then; the writes wait as well.
const READER_PATIENCE: Duration = Duration::from_millis(100);

/// How long nobody must have written before what is in the log is folded back.
const IDLE: Duration = Duration::from_secs(1);

/// The state of a checkpoint, in pages.
struct Progress {
    /// In the log.
    log: u64,
    /// Of those, folded back.
    done: u64,
}

/// Decides on checkpoints.
pub(super) struct Checkpoints {
    is_on: bool,
    /// The length of the log that calls for the next one.
    due_at: u64,
    /// Whether something was committed since the last one.
    is_pending: bool,
}

impl Checkpoints {
    /// None at all unless `is_on`: then another program, a replication, makes them.
    pub(super) fn new(is_on: bool) -> Self {
        // The log may hold something from before an unclean stop.
        Self { is_on, due_at: PAGES, is_pending: is_on }
    }

    /// How long to wait for writes before [`when_idle`](Self::when_idle); none where there is nothing to do.
    pub(super) fn idle_after(&self) -> Option<Duration> {
        self.is_pending.then_some(IDLE)
    }

    /// After each commit.
    pub(super) fn after_commit(&mut self, connection: &Connection) {
        if !self.is_on {
            return;
        }
        self.is_pending = true;
        let log = match checkpoint(connection, "NOOP") {
            Ok(progress) => progress.log,
            Err(error) => return tracing::warn!(%error, "the length of the write-ahead log is not known"),
        };
        if log < self.due_at {
            return;
        }
        self.attempt(connection, log >= PAGES_TOO_MANY);
    }

    /// When nobody has written for [`IDLE`].
    pub(super) fn when_idle(&mut self, connection: &Connection) {
        self.is_pending = false;
        self.attempt(connection, false);
    }

    /// At the end: everything is folded back and the log is gone.
    pub(super) fn at_end(&mut self, connection: &Connection) -> Result<()> {
        if self.is_on {
            checkpoint(connection, "TRUNCATE")?;
        }
        Ok(())
    }

    fn attempt(&mut self, connection: &Connection, is_urgent: bool) {
        let outcome = if is_urgent { with_patience(connection) } else { checkpoint(connection, "PASSIVE") };
        match outcome {
            // A reader held it up: not again after each commit, but when as much has come anew.
            Ok(progress) if progress.done < progress.log => self.due_at = progress.log + PAGES,
            Ok(_) => self.due_at = PAGES,
            Err(error) => {
                self.due_at += PAGES;
                tracing::warn!(%error, "the write-ahead log could not be folded back");
            }
        }
    }
}

fn with_patience(connection: &Connection) -> Result<Progress> {
    connection.busy_timeout(READER_PATIENCE)?;
    let outcome = checkpoint(connection, "TRUNCATE");
    connection.busy_timeout(LOCK_PATIENCE)?;
    outcome
}

fn checkpoint(connection: &Connection, mode: &str) -> Result<Progress> {
    let sql = match mode {
        "NOOP" => "PRAGMA wal_checkpoint(NOOP)",
        "PASSIVE" => "PRAGMA wal_checkpoint(PASSIVE)",
        _ => "PRAGMA wal_checkpoint(TRUNCATE)",
    };
    let (log, done): (i64, i64) =
        connection.prepare_cached(sql)?.query_row([], |row| Ok((row.get(1)?, row.get(2)?)))?;
    Ok(Progress { log: u64::try_from(log).unwrap_or(0), done: u64::try_from(done).unwrap_or(0) })
}
