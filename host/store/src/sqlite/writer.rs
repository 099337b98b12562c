//! The one thread that writes, and how several writes share a commit.
//!
//! A write is a closure over the writing connection. The thread takes the first that comes and all that are queued behind
//! it, runs them in one transaction, commits once, and only then answers each. So one sync of the disk pays for all.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::checkpoint::{IDLE, MustReopen};
use super::connections::{Source, Writing};
use super::failure::forget_last_error;
use super::folder_lock::FolderLock;
use super::health::Health;
use super::readers::Readers;
use crate::{Error, Result};

/// The most writes that wait for the thread. Who comes later waits for room.
const QUEUE_LIMIT: usize = 1024;

/// The most writes that share a commit. At this size the sync costs each of them next to nothing; more would only let the
/// first wait longer.
const GROUP_LIMIT: usize = 256;

/// The name of the thread, as `top -H` shows it.
const THREAD_NAME: &str = "flowhost-store";

/// The bytes that are written to see whether the disk takes them: as many as a call without much input.
const PROBE_BYTES: i32 = 16 << 10;

/// How long at most the disk is left alone after a checkpoint has failed.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How much a write does, which decides how it is kept whole within its group.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// At most one statement that changes something, which SQLite makes whole by itself, or work that sees to its wholeness.
    Statement,
    /// Several statements: a savepoint makes them one.
    Several,
}

/// What the thread has done, for [`StoreStats`](crate::StoreStats).
#[derive(Default)]
pub(super) struct Metrics {
    pub(super) writes: AtomicU64,
    pub(super) commits: AtomicU64,
    pub(super) queue_wait_us: AtomicU64,
    pub(super) commit_us: AtomicU64,
    pub(super) commit_max_us: AtomicU64,
    pub(super) checkpoints: AtomicU64,
    pub(super) checkpoint_max_us: AtomicU64,
}

/// The way to the thread.
pub(super) struct Writer {
    queue: mpsc::Sender<Message>,
    room: Arc<Semaphore>,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
}

enum Message {
    Job(Box<dyn Job>),
    Close(oneshot::Sender<Result<()>>),
}

impl Writer {
    /// Starts the thread. It owns the connections and the folder's lock, and lets go of both at its end. When it must open
    /// the data again, it does so for the readers as well.
    pub(super) fn start(source: Source, writing: Writing, readers: Readers, lock: FolderLock) -> Result<Self> {
        let (queue, messages) = mpsc::channel();
        let room = Arc::new(Semaphore::new(QUEUE_LIMIT));
        let metrics = Arc::new(Metrics::default());
        let health = Arc::new(Health::new(source.files.folder.clone()));
        let worker = Worker {
            abort_after: source.options.abort_after_commits,
            source,
            writing: Some(writing),
            readers,
            lock,
            messages,
            room: room.clone(),
            group: Vec::with_capacity(GROUP_LIMIT),
            is_failing: false,
            retry_at: None,
            reopened: 0,
            metrics: metrics.clone(),
            health: health.clone(),
        };
        thread::Builder::new().name(THREAD_NAME.to_owned()).spawn(move || worker.work())?;
        Ok(Self { queue, room, metrics, health })
    }

    /// Has the thread do `work`; answers once that is durable. It is done even if the caller does not wait for it.
    pub(super) async fn write<T, F>(&self, extent: Extent, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        let queued_at = Instant::now();
        let room = self.room.clone().acquire_owned().await.map_err(|_| Error::Closed)?;
        let (answer, answered) = oneshot::channel();
        let task = Task { extent, queued_at, room: Some(room), work: Some(work), outcome: Err(Error::Closed), answer };
        self.queue.send(Message::Job(Box::new(task))).map_err(|_| Error::Closed)?;
        answered.await.map_err(|_| Error::Closed)?
    }

    /// Ends the thread, once it has done what was queued before.
    pub(super) async fn close(&self) -> Result<()> {
        let (answer, answered) = oneshot::channel();
        self.queue.send(Message::Close(answer)).map_err(|_| Error::Closed)?;
        let outcome = answered.await.map_err(|_| Error::Closed)?;
        self.room.close();
        outcome
    }

    pub(super) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Why nothing is kept at present, if so.
    pub(super) fn failure(&self) -> Option<Error> {
        self.health.failure()
    }

    /// How many writes wait for the thread.
    pub(super) fn queued(&self) -> u64 {
        QUEUE_LIMIT.saturating_sub(self.room.available_permits()) as u64
    }
}

/// A write in the queue.
trait Job: Send {
    /// It has left the queue; gives the time since it was handed in.
    fn take(&mut self) -> Duration;
    /// Does it, within the group's transaction; true where it succeeded.
    fn run(&mut self, connection: &Connection) -> bool;
    /// Why it failed, where it did.
    fn failure(&self) -> Option<Error>;
    /// Tells the caller, now that the group's commit has ended so.
    fn answer(self: Box<Self>, commit: &Result<()>);
}

struct Task<T, F> {
    extent: Extent,
    queued_at: Instant,
    room: Option<OwnedSemaphorePermit>,
    work: Option<F>,
    outcome: Result<T>,
    answer: oneshot::Sender<Result<T>>,
}

impl<T: Send, F: FnOnce(&Connection) -> Result<T> + Send> Job for Task<T, F> {
    fn take(&mut self) -> Duration {
        self.room = None;
        self.queued_at.elapsed()
    }

    fn run(&mut self, connection: &Connection) -> bool {
        if let Some(work) = self.work.take() {
            self.outcome = match self.extent {
                Extent::Statement => work(connection),
                Extent::Several => in_savepoint(connection, work),
            };
        }
        self.outcome.is_ok()
    }

    fn failure(&self) -> Option<Error> {
        self.outcome.as_ref().err().cloned()
    }

    fn answer(self: Box<Self>, commit: &Result<()>) {
        // Without the commit nothing holds, not even what a write found wrong: it may have met another of its group.
        let outcome = match commit {
            Ok(()) => self.outcome,
            Err(error) => Err(error.clone()),
        };
        // A caller that has gone away does not mind.
        let _ = self.answer.send(outcome);
    }
}

/// Does `work` whole or not at all, within the group's transaction.
pub(super) fn in_savepoint<T>(connection: &Connection, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
    statement(connection, "SAVEPOINT write")?;
    let outcome = work(connection);
    // Some errors make SQLite roll back the whole transaction, and the savepoint with it.
    if connection.is_autocommit() {
        return outcome;
    }
    if outcome.is_err() {
        statement(connection, "ROLLBACK TO write")?;
    }
    statement(connection, "RELEASE write")?;
    outcome
}

/// Does the rest of a write that has already changed something. If it fails, the whole group is rolled back.
///
/// Only for work that fails only if the storage fails. It replaces a savepoint, for which SQLite copies each page that the write
/// changes, at the cost of the write itself.
pub(super) fn with_its_group(connection: &Connection, rest: impl FnOnce() -> Result<()>) -> Result<()> {
    let outcome = rest();
    if outcome.is_err() && !connection.is_autocommit() {
        statement(connection, "ROLLBACK")?;
    }
    outcome
}

fn statement(connection: &Connection, sql: &str) -> Result<()> {
    connection.prepare_cached(sql)?.execute([])?;
    Ok(())
}

struct Worker {
    source: Source,
    /// None while the data could not be opened again.
    writing: Option<Writing>,
    readers: Readers,
    /// Goes last: then another owner may open the data.
    lock: FolderLock,
    messages: mpsc::Receiver<Message>,
    /// What of the queue is free.
    room: Arc<Semaphore>,
    group: Vec<Box<dyn Job>>,
    /// Whether the last group was not kept.
    is_failing: bool,
    /// Before that it is not tried again to open the data.
    retry_at: Option<Instant>,
    /// How often the data were opened again since a checkpoint last succeeded.
    reopened: u32,
    abort_after: Option<u64>,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
}

impl Worker {
    fn work(mut self) {
        let closing = self.serve();
        // Where the store was dropped and not closed, its readers are left.
        drop(self.readers.pause());
        let outcome = match self.writing.take() {
            Some(Writing { mut checkpoints, connection }) => {
                let is_folded = checkpoints.are_made();
                let outcome = checkpoints.at_end(&connection);
                // Before SQLite removes the log.
                if is_folded
                    && outcome.is_ok()
                    && let Err(error) = self.lock.mark_closed()
                {
                    tracing::debug!(%error, "the stop could not be noted");
                }
                drop(checkpoints);
                connection.close().map_err(|(_, error)| error.into()).and(outcome)
            }
            None => Ok(()),
        };
        // Only after the last connection, and only then may another owner open the data.
        drop(self.source);
        drop(self.lock);
        // Who waits in the queue learns that the store is closed before the answer says so.
        drop(self.messages);
        if let Some(answer) = closing {
            let _ = answer.send(outcome);
        }
    }

    /// Until somebody closes the store, or nobody is left to send anything.
    fn serve(&mut self) -> Option<oneshot::Sender<Result<()>>> {
        loop {
            let message = match self.patience() {
                Some(patience) => self.messages.recv_timeout(patience),
                None => self.messages.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            let mut closing = None;
            match message {
                Ok(Message::Job(job)) => {
                    self.take(job);
                    closing = self.take_queued();
                    self.write_group();
                    self.after_group();
                }
                Ok(Message::Close(answer)) => return Some(answer),
                Err(RecvTimeoutError::Timeout) => self.when_idle(),
                Err(RecvTimeoutError::Disconnected) => return None,
            }
            if closing.is_some() {
                return closing;
            }
        }
    }

    /// How long to wait for writes before [`when_idle`](Self::when_idle); none where there is nothing to do then.
    fn patience(&self) -> Option<Duration> {
        match &self.writing {
            Some(writing) if !self.is_failing => writing.checkpoints.idle_after(),
            _ => Some(IDLE),
        }
    }

    fn take(&mut self, mut job: Box<dyn Job>) {
        let waited = job.take();
        self.metrics.queue_wait_us.fetch_add(waited.as_micros() as u64, Ordering::Relaxed);
        self.group.push(job);
    }

    fn take_queued(&mut self) -> Option<oneshot::Sender<Result<()>>> {
        while self.group.len() < GROUP_LIMIT {
            match self.messages.try_recv() {
                Ok(Message::Job(job)) => self.take(job),
                Ok(Message::Close(answer)) => return Some(answer),
                Err(_) => break,
            }
        }
        None
    }

    fn write_group(&mut self) {
        if self.writing.is_none() {
            self.open_again();
        }
        let Some(Writing { connection, .. }) = &self.writing else {
            // As long as there is no connection, there is a reason.
            let outcome = Err(self.health.failure().unwrap_or(Error::Closed));
            return self.group.drain(..).for_each(|job| job.answer(&outcome));
        };
        let before = connection.total_changes();
        let outcome = transaction(connection, &mut self.group, &self.metrics);
        match &outcome {
            Ok(kept) => {
                let has_changed = connection.total_changes() != before;
                // A group that changed nothing says nothing about the disk, unless that is for want of room.
                match self.group.iter().find_map(|job| job.failure().filter(Error::is_of_storage)) {
                    Some(error) if *kept == 0 || !has_changed => {
                        self.health.failed(&error);
                        self.is_failing = true;
                    }
                    // What was rolled back counts as changed, too.
                    _ if has_changed && *kept > 0 => {
                        self.health.kept();
                        self.is_failing = false;
                    }
                    _ => {}
                }
                self.metrics.writes.fetch_add(*kept, Ordering::Relaxed);
                let commits = self.metrics.commits.fetch_add(1, Ordering::Relaxed) + 1;
                if self.abort_after == Some(commits) {
                    std::process::abort();
                }
            }
            Err(error) => {
                self.health.failed(error);
                self.is_failing = true;
                roll_back(connection);
            }
        }
        let outcome = outcome.map(|_| ());
        for job in self.group.drain(..) {
            job.answer(&outcome);
        }
    }

    fn after_group(&mut self) {
        let Some(Writing { checkpoints, connection }) = &mut self.writing else { return };
        let is_quiet = self.room.available_permits() == QUEUE_LIMIT;
        let outcome = if self.is_failing {
            checkpoints.after_failure(connection)
        } else {
            checkpoints.after_commit(connection, is_quiet)
        };
        if let Some(held_up) = checkpoints.take_held_up() {
            self.metrics.checkpoints.fetch_add(1, Ordering::Relaxed);
            self.metrics.checkpoint_max_us.fetch_max(held_up.as_micros() as u64, Ordering::Relaxed);
        }
        self.after_checkpoint(outcome);
    }

    fn when_idle(&mut self) {
        if self.writing.is_none() {
            self.open_again();
        }
        let Some(Writing { checkpoints, connection }) = &mut self.writing else { return };
        if self.is_failing {
            // Callers that ask whether the host is ready send nothing that could show that the disk works again.
            match probe(connection) {
                Ok(()) => {
                    self.health.kept();
                    self.is_failing = false;
                }
                Err(error) => {
                    self.health.failed(&error);
                    roll_back(connection);
                }
            }
        }
        let outcome = checkpoints.when_idle(connection);
        self.after_checkpoint(outcome);
    }

    fn after_checkpoint(&mut self, outcome: std::result::Result<(), MustReopen>) {
        let database = self.source.files.data.display();
        match outcome {
            Ok(()) => {
                let has_succeeded = |writing: &Writing| writing.checkpoints.has_succeeded();
                if self.reopened > 0 && self.writing.as_ref().is_some_and(has_succeeded) {
                    self.reopened = 0;
                    tracing::warn!(%database, "the write-ahead log is copied into the database again");
                }
                return;
            }
            Err(MustReopen::HeldByOther) => {}
            Err(MustReopen::Failed(Error::Full)) if self.reopened == 0 => tracing::warn!(
                %database,
                "the disk is full: the write-ahead log cannot be copied into the database; it is kept, nothing is lost"
            ),
            Err(MustReopen::Failed(error)) if self.reopened == 0 => tracing::error!(
                %database, %error,
                "the write-ahead log could not be copied into the database, and what was copied may not be on the disk; \
                 nothing is lost: the log is kept, the database is opened again, and all of the log is copied anew. \
                 Check the disk of the data folder (the system's log says what is wrong with it) and make a backup"
            ),
            Err(MustReopen::Failed(error)) => {
                tracing::debug!(%database, %error, "the write-ahead log could again not be copied into the database");
            }
        }
        self.open_again();
    }

    /// Closes all connections and opens them again, so that SQLite takes nothing of the log as copied. Where that fails,
    /// nothing is written or read until it succeeds.
    fn open_again(&mut self) {
        if self.retry_at.is_some_and(|at| Instant::now() < at) {
            return;
        }
        let pause = LONGEST_PAUSE.min(IDLE * 2_u32.saturating_pow(self.reopened));
        self.reopened = self.reopened.saturating_add(1);
        let paused = self.readers.pause();
        self.writing = None;
        match self.source.open(Some(Instant::now() + pause)) {
            Ok((writing, readers)) => {
                self.writing = Some(writing);
                self.retry_at = None;
                paused.resume(Ok(readers));
            }
            Err(error) => {
                let error = match error {
                    Error::Full => Error::Full,
                    error => Error::Storage(format!("the database could not be opened again: {error}")),
                };
                self.retry_at = Some(Instant::now() + IDLE);
                self.is_failing = true;
                self.health.failed(&error);
                paused.resume(Err(error));
            }
        }
    }
}

/// Runs the group in one transaction; gives how many of it succeeded.
fn transaction(connection: &Connection, group: &mut [Box<dyn Job>], metrics: &Metrics) -> Result<u64> {
    forget_last_error();
    statement(connection, "BEGIN IMMEDIATE")?;
    let mut writes = 0;
    for job in group {
        if job.run(connection) {
            writes += 1;
        } else if connection.is_autocommit() {
            // No room, no memory or an I/O error: everything is rolled back, so nothing of the group is kept.
            return Err(job.failure().unwrap_or(Error::Closed));
        }
    }
    let began = Instant::now();
    statement(connection, "COMMIT")?;
    let took = began.elapsed().as_micros() as u64;
    metrics.commit_us.fetch_add(took, Ordering::Relaxed);
    metrics.commit_max_us.fetch_max(took, Ordering::Relaxed);
    Ok(writes)
}

/// Writes something, which leaves nothing behind.
fn probe(connection: &Connection) -> Result<()> {
    statement(connection, "BEGIN IMMEDIATE")?;
    let mut insert = connection.prepare_cached("INSERT INTO host_value (name, value) VALUES ('probe', zeroblob(?))")?;
    insert.execute([PROBE_BYTES])?;
    statement(connection, "DELETE FROM host_value WHERE name = 'probe'")?;
    statement(connection, "COMMIT")
}

fn roll_back(connection: &Connection) {
    if !connection.is_autocommit()
        && let Err(error) = statement(connection, "ROLLBACK")
    {
        tracing::error!(%error, "cannot roll back");
    }
}
