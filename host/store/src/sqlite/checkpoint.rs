//! When the write-ahead log is folded back into the data.
//!
//! The writing thread does it between two commits, after the answers have gone out. No other writer exists then, so a
//! passive checkpoint, which waits for nobody, takes the whole log unless a reader still looks at an older state, and the
//! log starts over with the next write.

use std::time::{Duration, Instant};

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::open::LOCK_PATIENCE;
use crate::Result;

/// The length of the log, in pages, that is worth a checkpoint: 4 MiB, some 2,000 executions. Pages that change with every
/// commit, the ends of the indexes, are written back once for all of these. Four times as much saves no processor time that
/// could be measured, and made the longest wait of a write 14 to 30 ms in place of 5 to 10.
const PAGES: u64 = 1024;

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
    attempted_at: Option<Instant>,
}

impl Checkpoints {
    /// None at all unless `is_on`: then another program, a replication, makes them.
    pub(super) fn new(is_on: bool) -> Self {
        // The log may hold something from before an unclean stop.
        Self { is_on, due_at: PAGES, is_pending: is_on, attempted_at: None }
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

    /// After a group of writes that was not kept. Where the log has filled the disk, folding it back makes room.
    pub(super) fn after_failure(&mut self, connection: &Connection) {
        if self.is_on && self.attempted_at.is_none_or(|at| at.elapsed() >= IDLE) {
            self.attempt(connection, false);
        }
    }

    /// When nobody has written for [`IDLE`].
    pub(super) fn when_idle(&mut self, connection: &Connection) {
        self.is_pending = false;
        self.attempt(connection, false);
    }

    /// At the end: everything is folded back, and SQLite removes the log as it closes.
    pub(super) fn at_end(&mut self, connection: &Connection) -> Result<()> {
        if self.is_on {
            checkpoint(connection, "TRUNCATE")?;
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
        }
        Ok(())
    }

    fn attempt(&mut self, connection: &Connection, is_urgent: bool) {
        self.attempted_at = Some(Instant::now());
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
