//! When the write-ahead log is folded back into the data.
//!
//! Most of it is done beside the writer (`folding`). The writing thread decides when, between two commits, and copies the
//! short rest itself. No other writer exists then, so it takes the whole log unless a reader still looks at an older state,
//! and the log starts over with the next write.
//!
//! A checkpoint that failed may have lost what it copied: Linux gives up pages that it could not write to the disk, and
//! marks them as written. The next checkpoint would not copy them again, and the log that has them would start over. So
//! after such a failure none is made until all connections have been closed and opened again, which makes SQLite begin with
//! the first page of the log.

use std::io;
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ffi};

use super::folding::{Folding, Outcome};
use super::open::LOCK_PATIENCE;
use crate::Error;

/// The length of the log, in pages, that is worth a checkpoint: 4 MiB, some 2,000 executions. Pages that change with every
/// commit, the ends of the indexes, are written back once for all of these. Four times as much saves no processor time that
/// could be measured, and made the longest wait of a write 14 to 30 ms in place of 5 to 10.
const PAGES: u64 = 1024;

/// The length of the log, in pages, from which on it should start over: 16 MiB. For that the writer has to copy the last of
/// it and to sync the data itself, and no call is kept meanwhile. So it does that when no write waits.
const PAGES_TO_START_OVER: u64 = 4096;

/// The length, in pages, at which it starts over though writes wait: 48 MiB, after some 24,000 executions. On a disk that
/// takes 20 ms for a sync those writes wait for 40 ms longer than others: for the sync of the data, and for that of the
/// log's new beginning.
const PAGES_TO_START_OVER_NOW: u64 = 12_288;

/// What the writer copies itself, in pages, though it could be done beside it: no more than a large commit.
const PAGES_FEW: u64 = 256;

/// How often the rest is copied beside the writer before it does that itself, whatever the length. On a disk that is
/// slower than the writes there would always be as much left.
const ROUNDS: u32 = 2;

/// The length, in pages, at which the writer waits for the one that copies beside it: 64 MiB, to which the file of the log
/// shrinks when it starts over.
const PAGES_TO_WAIT: u64 = 16_384;

/// The length, in pages, at which readers are waited for, so that the log can start over: 256 MiB. Only a reader that never
/// ends, such as a stopped backup, lets it come to that.
const PAGES_TOO_MANY: u64 = 65_536;

/// How long readers are waited for then; the writes wait as well.
const READER_PATIENCE: Duration = Duration::from_millis(100);

/// How long nobody must have written before what is in the log is folded back.
pub(super) const IDLE: Duration = Duration::from_secs(1);

/// The state of a checkpoint, in pages.
#[derive(Clone, Copy, Debug)]
pub(super) struct Progress {
    /// In the log.
    pub(super) log: u64,
    /// Of those, folded back.
    pub(super) done: u64,
}

/// Why a checkpoint failed, and whether another may follow on the same connections.
#[derive(Clone, Debug)]
pub(super) struct Failed {
    error: Error,
    may_be_repeated: bool,
}

/// Why all connections must be closed and opened again before the next checkpoint.
#[derive(Debug)]
pub(super) enum MustReopen {
    /// A checkpoint failed, and what it had copied may be lost.
    Failed(Error),
    /// Another program had the data open when they were opened last.
    HeldByOther,
}

/// The modes of SQLite's checkpoints that are used here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Does nothing but tell the state.
    Noop,
    /// Copies what can be copied without waiting for anybody.
    Passive,
    /// Waits for readers and writers, copies everything, and cuts the log off.
    Truncate,
}

/// Decides on checkpoints.
pub(super) struct Checkpoints {
    /// Beside the writer. None where another program, a replication, makes all checkpoints.
    folding: Option<Folding>,
    /// The length of the log that calls for the next one.
    due_at: u64,
    /// The length from which on it may start over when no write waits.
    starts_over_at: u64,
    /// Rounds that were made beside the writer since the log last started over.
    rounds: u32,
    /// Whether something was committed since the last one.
    is_pending: bool,
    attempted_at: Option<Instant>,
    /// Before that the disk is left alone, since the last checkpoint on it failed.
    not_before: Option<Instant>,
    /// Another program keeps the state of the log that must not be gone on with.
    is_held_by_other: bool,
    has_succeeded: bool,
    /// For how long the writer made the last one itself.
    held_up: Option<Duration>,
}

/// What is to be done after a round beside the writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// Nothing: a reader held it up, or nothing is left.
    Later { due_at: u64 },
    /// Another round beside the writer.
    Beside,
    /// The writer copies the rest.
    Here,
}

impl Next {
    /// `progress` is what the round came to, `log` the length of the log now.
    fn after(progress: Progress, log: u64, rounds: u32) -> Self {
        if progress.done < progress.log {
            // A reader held it up: not again after each commit, but when as much has come anew.
            return Self::Later { due_at: log + PAGES };
        }
        // A log that has started over meanwhile is shorter.
        match log.saturating_sub(progress.done) {
            0 => Self::Later { due_at: PAGES },
            _ if log < PAGES_TO_START_OVER_NOW => Self::Later { due_at: progress.done + PAGES },
            rest if rest > PAGES_FEW && rounds < ROUNDS => Self::Beside,
            _ => Self::Here,
        }
    }
}

impl Checkpoints {
    /// None at all without `folding`: then another program, a replication, makes them. None `before` a time.
    ///
    /// The connections must have been opened just now.
    pub(super) fn new(
        connection: &Connection,
        folding: Option<Folding>,
        before: Option<Instant>,
    ) -> crate::Result<Self> {
        // Who opens the data first reads the log anew, and nothing of it counts as folded back then.
        let is_held_by_other = folding.is_some() && checkpoint(connection, Mode::Noop).map_err(|f| f.error)?.done > 0;
        Ok(Self {
            // The log may hold something from before an unclean stop.
            is_pending: folding.is_some(),
            folding,
            due_at: PAGES,
            starts_over_at: PAGES_TO_START_OVER,
            rounds: 0,
            attempted_at: None,
            not_before: before,
            is_held_by_other,
            has_succeeded: false,
            held_up: None,
        })
    }

    /// Whether another program has the data open and with it a state of the log that cannot be trusted after a stop that was
    /// not in order. There are no checkpoints then; when the log has grown, its connections are to be opened again.
    pub(super) fn is_held_by_other(&self) -> bool {
        self.is_held_by_other
    }

    /// Whether a checkpoint has synced what it copied since the data were opened.
    pub(super) fn has_succeeded(&self) -> bool {
        self.has_succeeded
    }

    /// For how long the writer made a checkpoint itself, if it has done so since this was asked last.
    pub(super) fn take_held_up(&mut self) -> Option<Duration> {
        self.held_up.take()
    }

    /// How long to wait for writes before [`when_idle`](Self::when_idle); none where there is nothing to do.
    pub(super) fn idle_after(&self) -> Option<Duration> {
        let is_busy = self.folding.as_ref().is_some_and(Folding::is_busy);
        (self.is_pending || is_busy).then_some(IDLE)
    }

    /// After each commit. `is_quiet` says that no write waits.
    pub(super) fn after_commit(&mut self, connection: &Connection, is_quiet: bool) -> Result<(), MustReopen> {
        let Some(folding) = &mut self.folding else { return Ok(()) };
        self.is_pending = true;
        let Progress { log, done } = match checkpoint(connection, Mode::Noop) {
            Ok(progress) => progress,
            Err(failed) => {
                tracing::warn!(error = %failed.error, "the length of the write-ahead log is not known");
                return Ok(());
            }
        };
        let outcome = if log >= PAGES_TO_WAIT { folding.wait() } else { folding.ended() };
        match outcome {
            Some(outcome) => self.after_round(connection, outcome, log),
            None if folding.is_busy() => Ok(()),
            None if is_quiet && may_start_over(Progress { log, done }, self.starts_over_at) => {
                self.here(connection, false)
            }
            None if log < self.due_at => Ok(()),
            None if log >= PAGES_TOO_MANY => self.here(connection, true),
            None => self.beside(log),
        }
    }

    /// After a group of writes that was not kept. Where the log has filled the disk, folding it back makes room.
    pub(super) fn after_failure(&mut self, connection: &Connection) -> Result<(), MustReopen> {
        if self.attempted_at.is_some_and(|at| at.elapsed() < IDLE) {
            return Ok(());
        }
        self.is_pending = true;
        self.when_idle(connection)
    }

    /// When nobody has written for [`IDLE`].
    pub(super) fn when_idle(&mut self, connection: &Connection) -> Result<(), MustReopen> {
        let Some(folding) = &mut self.folding else { return Ok(()) };
        let outcome = folding.ended();
        if outcome.is_none() && (folding.is_busy() || !self.is_pending) {
            return Ok(());
        }
        let log = match checkpoint(connection, Mode::Noop) {
            Ok(progress) => progress.log,
            // It is tried again with the next write.
            Err(_) => 0,
        };
        if let Some(outcome) = outcome {
            return self.after_round(connection, outcome, log);
        }
        if self.is_postponed() {
            return Ok(());
        }
        self.is_pending = false;
        self.beside(log)
    }

    /// At the end: everything is folded back, and SQLite removes the log as it closes.
    pub(super) fn at_end(&mut self, connection: &Connection) -> crate::Result<()> {
        let Some(mut folding) = self.folding.take() else { return Ok(()) };
        let outcome = folding.wait();
        drop(folding);
        let not_folded = |error: Error| {
            Error::Storage(format!(
                "the write-ahead log could not be folded back ({error}); the next start does that, nothing is lost"
            ))
        };
        if let Some(Err(failed)) = outcome
            && !failed.may_be_repeated
        {
            return Err(not_folded(failed.error));
        }
        if self.is_held_by_other {
            return Err(not_folded(Error::Storage("another program has the data open".to_owned())));
        }
        checkpoint(connection, Mode::Truncate).map_err(|failed| not_folded(failed.error))?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
        Ok(())
    }

    /// Whether checkpoints are made at all.
    pub(super) fn are_made(&self) -> bool {
        self.folding.is_some()
    }

    fn is_postponed(&self) -> bool {
        self.not_before.is_some_and(|at| Instant::now() < at)
    }

    /// Begins a round beside the writer, unless there must be none.
    fn beside(&mut self, log: u64) -> Result<(), MustReopen> {
        if self.is_postponed() && log < PAGES_TOO_MANY {
            return Ok(());
        }
        self.attempted_at = Some(Instant::now());
        if self.is_held_by_other {
            return Err(MustReopen::HeldByOther);
        }
        self.rounds += 1;
        if let Some(folding) = &mut self.folding {
            folding.begin();
        }
        Ok(())
    }

    fn after_round(&mut self, connection: &Connection, outcome: Outcome, log: u64) -> Result<(), MustReopen> {
        let progress = match outcome {
            Ok(progress) => progress,
            Err(failed) => return self.failed(failed),
        };
        self.has_succeeded = true;
        match Next::after(progress, log, self.rounds) {
            Next::Later { due_at } => {
                (self.due_at, self.rounds) = (due_at, 0);
                Ok(())
            }
            Next::Beside => self.beside(log),
            Next::Here => self.here(connection, log >= PAGES_TOO_MANY),
        }
    }

    /// The writer copies what there is.
    fn here(&mut self, connection: &Connection, is_urgent: bool) -> Result<(), MustReopen> {
        let Some(folding) = &self.folding else { return Ok(()) };
        if self.is_postponed() && !is_urgent {
            return Ok(());
        }
        self.attempted_at = Some(Instant::now());
        if self.is_held_by_other {
            return Err(MustReopen::HeldByOther);
        }
        self.rounds = 0;
        let outcome = if is_urgent { with_patience(connection) } else { folding.copy_rest(connection) };
        self.held_up = self.attempted_at.map(|at| at.elapsed());
        match outcome {
            // A reader held it up: not again after each commit, but when as much has come anew.
            Ok(progress) if progress.done < progress.log => {
                self.due_at = self.due_at.max(progress.log) + PAGES;
                self.starts_over_at = progress.log + PAGES;
            }
            Ok(_) => {
                (self.due_at, self.starts_over_at) = (PAGES, PAGES_TO_START_OVER);
                self.has_succeeded = true;
            }
            Err(failed) => return self.failed(failed),
        }
        Ok(())
    }

    fn failed(&mut self, failed: Failed) -> Result<(), MustReopen> {
        self.rounds = 0;
        if !failed.may_be_repeated {
            return Err(MustReopen::Failed(failed.error));
        }
        self.due_at += PAGES;
        tracing::warn!(error = %failed.error, "the write-ahead log could not be folded back; it is tried again");
        Ok(())
    }
}

impl Failed {
    /// A sync of the data failed.
    pub(super) fn of_sync(error: io::Error) -> Self {
        Self { error: error.into(), may_be_repeated: false }
    }

    /// The writer's connection is in a state that it should not be in.
    pub(super) fn of_writer(error: rusqlite::Error) -> Self {
        Self { error: error.into(), may_be_repeated: false }
    }

    /// The thread that should have made it is gone, and what it did is not known.
    pub(super) fn gone() -> Self {
        Self {
            error: Error::Storage("the thread that folds the log back has ended".to_owned()),
            may_be_repeated: false,
        }
    }
}

impl From<rusqlite::Error> for Failed {
    fn from(error: rusqlite::Error) -> Self {
        let code = error.sqlite_error().map(|error| error.extended_code);
        let error = Error::from(error);
        // Without room for a page, or with others in the way, nothing counts as done that was not. After anything else it
        // is not known what the disk has.
        let may_be_repeated = match code {
            // SQLite knows a quota that is used up as a write that failed.
            Some(ffi::SQLITE_IOERR_WRITE) => matches!(error, Error::Full),
            Some(code) => {
                [ffi::SQLITE_FULL, ffi::SQLITE_BUSY, ffi::SQLITE_LOCKED, ffi::SQLITE_NOMEM, ffi::SQLITE_INTERRUPT]
                    .contains(&(code & 0xff))
            }
            None => false,
        };
        Self { error, may_be_repeated }
    }
}

/// Whether the log is worth starting over from this length on, and the rest is short.
fn may_start_over(progress: Progress, from: u64) -> bool {
    progress.log >= from && progress.log.saturating_sub(progress.done) <= PAGES_FEW
}

fn with_patience(connection: &Connection) -> Result<Progress, Failed> {
    connection.busy_timeout(READER_PATIENCE)?;
    let outcome = checkpoint(connection, Mode::Truncate);
    connection.busy_timeout(LOCK_PATIENCE)?;
    outcome
}

/// Makes a checkpoint.
pub(super) fn checkpoint(connection: &Connection, mode: Mode) -> Result<Progress, Failed> {
    let sql = match mode {
        Mode::Noop => "PRAGMA wal_checkpoint(NOOP)",
        Mode::Passive => "PRAGMA wal_checkpoint(PASSIVE)",
        Mode::Truncate => "PRAGMA wal_checkpoint(TRUNCATE)",
    };
    let (log, done): (i64, i64) =
        connection.prepare_cached(sql)?.query_row([], |row| Ok((row.get(1)?, row.get(2)?)))?;
    // Negative where another program makes a checkpoint at this moment: nothing was done.
    let log = u64::try_from(log).unwrap_or(u64::from(mode != Mode::Noop));
    Ok(Progress { log, done: u64::try_from(done).unwrap_or(0) })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs::File;
    use std::sync::Arc;

    use rusqlite::Error::SqliteFailure;
    use rusqlite::ErrorCode;

    use super::super::folding::copy_rest;
    use super::super::{SqliteOptions, open};
    use super::*;

    #[test]
    fn checkpoint_is_repeated_only_if_nothing_can_be_lost() {
        for (code, may_be_repeated) in [
            (ffi::SQLITE_FULL, true),
            (ffi::SQLITE_BUSY, true),
            (ffi::SQLITE_BUSY_SNAPSHOT, true),
            (ffi::SQLITE_NOMEM, true),
            (ffi::SQLITE_IOERR_FSYNC, false),
            (ffi::SQLITE_IOERR_WRITE, false),
            (ffi::SQLITE_IOERR_READ, false),
            (ffi::SQLITE_IOERR_TRUNCATE, false),
            (ffi::SQLITE_IOERR_NOMEM, false),
            (ffi::SQLITE_CORRUPT, false),
        ] {
            let failed = Failed::from(SqliteFailure(ffi::Error::new(code), None));
            assert_eq!(failed.may_be_repeated, may_be_repeated, "{code}");
        }
        assert!(!Failed::of_sync(io::Error::from(io::ErrorKind::StorageFull)).may_be_repeated);
        assert!(!Failed::gone().may_be_repeated);
    }

    #[test]
    fn rest_is_copied_by_the_writer_when_the_log_is_long() {
        let done = |done| Progress { log: done, done };
        assert_eq!(Next::after(done(1024), 1024, 1), Next::Later { due_at: PAGES });
        assert_eq!(Next::after(done(1024), 1025, 1), Next::Later { due_at: 2 * PAGES }, "it is short yet");
        let long = PAGES_TO_START_OVER_NOW;
        assert_eq!(Next::after(done(long - 1), long - 1 + PAGES_FEW, 1), Next::Here);
        assert_eq!(Next::after(done(long), long + 1 + PAGES_FEW, 1), Next::Beside);
        assert_eq!(Next::after(done(long), 2 * long, ROUNDS), Next::Here, "it would never end");
        assert_eq!(Next::after(done(1024), 7, 1), Next::Later { due_at: PAGES }, "the log has started over");
        let held_up = Progress { log: 1024, done: 10 };
        assert_eq!(Next::after(held_up, 1100, 1), Next::Later { due_at: 1100 + PAGES });
    }

    #[test]
    fn quiet_moment_is_used_when_the_rest_is_short() {
        let may = |log, done| may_start_over(Progress { log, done }, PAGES_TO_START_OVER);
        assert!(may(4096, 4096) && may(4096, 4096 - PAGES_FEW));
        assert!(!may(4095, 4095), "the log is short");
        assert!(!may(4097, 4096 - PAGES_FEW), "too much is left to copy");
    }

    /// A data folder with one write in its log.
    fn written(folder: &std::path::Path) -> (open::Files, Connection, open::Folders) {
        let files = open::Files::new(folder);
        // Makes it where there is none.
        let _data = open::data_file(&files).unwrap();
        let writer = open::writer(&files, &SqliteOptions::default()).unwrap();
        writer.execute_batch("INSERT INTO host_value (name, value) VALUES ('a', zeroblob(9))").unwrap();
        let folders = open::folders(&files).unwrap();
        (files, writer, folders)
    }

    #[test]
    fn log_starts_over_when_the_rest_is_copied() {
        let folder = tempfile::tempdir().unwrap();
        let data = Arc::new(open::data_file(&open::Files::new(folder.path())).unwrap());
        let (_, writer, folders) = written(folder.path());
        let folding = Folding::start(folders, data).unwrap();
        let copied = folding.copy_rest(&writer).unwrap();
        assert!(copied.done == copied.log && copied.log > 1, "{copied:?}");
        writer.execute_batch("DELETE FROM host_value WHERE name = 'a'").unwrap();
        assert!(checkpoint(&writer, Mode::Noop).unwrap().log < copied.log);
    }

    #[test]
    fn rest_that_cannot_be_synced_is_not_copied_again() {
        let folder = tempfile::tempdir().unwrap();
        let (_, writer, folders) = written(folder.path());
        // It cannot be synced.
        let data = Arc::new(File::open("/dev/null").unwrap());
        let folding = Folding::start(folders, data).unwrap();
        let failed = folding.copy_rest(&writer).unwrap_err();
        assert!(!failed.may_be_repeated, "{failed:?}");
        assert!(writer.is_autocommit());
    }

    #[test]
    fn log_does_not_start_over_before_the_rest_is_synced() {
        let folder = tempfile::tempdir().unwrap();
        let data = Arc::new(open::data_file(&open::Files::new(folder.path())).unwrap());
        let (files, writer, folders) = written(folder.path());
        let other = open::writer(&files, &SqliteOptions::default()).unwrap();
        other.busy_timeout(Duration::ZERO).unwrap();
        let sync = || {
            let refused = other.execute_batch("DELETE FROM host_value WHERE name = 'a'").unwrap_err();
            assert_eq!(refused.sqlite_error_code(), Some(ErrorCode::DatabaseBusy));
            data.sync_data()
        };
        copy_rest(&writer, &folders.unsynced, sync).unwrap();
        other.execute_batch("DELETE FROM host_value WHERE name = 'a'").unwrap();
    }
}
