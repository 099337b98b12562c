//! The one thread that writes, and how several writes share a commit.
//!
//! A write is a closure over the writing connection. The thread takes the first that comes and all that are queued behind
//! it, runs them in one transaction, commits once, and only then answers each. So one sync of the disk pays for all.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Instant;

use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::checkpoint::Checkpoints;
use crate::{Error, Result};

/// The most writes that wait for the thread. Who comes later waits for room.
const QUEUE_LIMIT: usize = 1024;

/// The most writes that share a commit. At this size the sync costs each of them next to nothing; more would only let the
/// first wait longer.
const GROUP_LIMIT: usize = 256;

/// The name of the thread, as `top -H` shows it.
const THREAD_NAME: &str = "flowhost-store";

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
}

/// The way to the thread.
pub(super) struct Writer {
    queue: mpsc::Sender<Message>,
    room: Arc<Semaphore>,
    metrics: Arc<Metrics>,
}

enum Message {
    Job(Box<dyn Job>),
    Close(oneshot::Sender<Result<()>>),
}

impl Writer {
    /// Starts the thread. It owns the connection and the folder's lock, and lets go of both at its end.
    ///
    /// It aborts the process after commit `abort_after`.
    pub(super) fn start(
        connection: Connection,
        checkpoints: Checkpoints,
        lock: File,
        abort_after: Option<u64>,
    ) -> Result<Self> {
        let (queue, messages) = mpsc::channel();
        let metrics = Arc::new(Metrics::default());
        let worker = Worker {
            connection,
            checkpoints,
            messages,
            group: Vec::with_capacity(GROUP_LIMIT),
            is_failing: false,
            abort_after,
            metrics: metrics.clone(),
        };
        thread::Builder::new().name(THREAD_NAME.to_owned()).spawn(move || worker.work(lock))?;
        Ok(Self { queue, room: Arc::new(Semaphore::new(QUEUE_LIMIT)), metrics })
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

    /// How many writes wait for the thread.
    pub(super) fn queued(&self) -> u64 {
        QUEUE_LIMIT.saturating_sub(self.room.available_permits()) as u64
    }
}

/// A write in the queue.
trait Job: Send {
    /// It has left the queue; gives the time since it was handed in.
    fn take(&mut self) -> std::time::Duration;
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
    fn take(&mut self) -> std::time::Duration {
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

fn statement(connection: &Connection, sql: &str) -> Result<()> {
    connection.prepare_cached(sql)?.execute([])?;
    Ok(())
}

struct Worker {
    connection: Connection,
    checkpoints: Checkpoints,
    messages: mpsc::Receiver<Message>,
    group: Vec<Box<dyn Job>>,
    /// Whether the last group was not kept.
    is_failing: bool,
    abort_after: Option<u64>,
    metrics: Arc<Metrics>,
}

impl Worker {
    fn work(mut self, lock: File) {
        let closing = self.serve();
        let outcome = self.checkpoints.at_end(&self.connection);
        let outcome = self.connection.close().map_err(|(_, error)| error.into()).and(outcome);
        // Only now may another owner open the data.
        drop(lock);
        // Who waits in the queue learns that the store is closed before the answer says so.
        drop(self.messages);
        if let Some(answer) = closing {
            let _ = answer.send(outcome);
        }
    }

    /// Until somebody closes the store, or nobody is left to send anything.
    fn serve(&mut self) -> Option<oneshot::Sender<Result<()>>> {
        loop {
            let message = match self.checkpoints.idle_after() {
                Some(patience) => self.messages.recv_timeout(patience),
                None => self.messages.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            let mut closing = None;
            match message {
                Ok(Message::Job(job)) => {
                    self.take(job);
                    closing = self.take_queued();
                    self.write_group();
                    if self.is_failing {
                        self.checkpoints.after_failure(&self.connection);
                    } else {
                        self.checkpoints.after_commit(&self.connection);
                    }
                }
                Ok(Message::Close(answer)) => return Some(answer),
                Err(RecvTimeoutError::Timeout) => self.checkpoints.when_idle(&self.connection),
                Err(RecvTimeoutError::Disconnected) => return None,
            }
            if closing.is_some() {
                return closing;
            }
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
        let outcome = self.transaction();
        match outcome {
            Ok(writes) => {
                if std::mem::take(&mut self.is_failing) {
                    tracing::info!("writes are kept again");
                }
                self.metrics.writes.fetch_add(writes, Ordering::Relaxed);
                let commits = self.metrics.commits.fetch_add(1, Ordering::Relaxed) + 1;
                if self.abort_after == Some(commits) {
                    std::process::abort();
                }
            }
            Err(ref error) => {
                // Once, and not for each of the thousands that a full disk refuses.
                if !std::mem::replace(&mut self.is_failing, true) {
                    tracing::error!(%error, "writes are not kept");
                }
                if !self.connection.is_autocommit()
                    && let Err(error) = statement(&self.connection, "ROLLBACK")
                {
                    tracing::error!(%error, "cannot roll back");
                }
            }
        }
        let outcome = outcome.map(|_| ());
        for job in self.group.drain(..) {
            job.answer(&outcome);
        }
    }

    /// Runs the group in one transaction; gives how many of it succeeded.
    fn transaction(&mut self) -> Result<u64> {
        statement(&self.connection, "BEGIN IMMEDIATE")?;
        let mut writes = 0;
        for job in &mut self.group {
            if job.run(&self.connection) {
                writes += 1;
            } else if self.connection.is_autocommit() {
                // No room, no memory or an I/O error: SQLite has rolled back everything, so nothing of the group is kept.
                return Err(job.failure().unwrap_or(Error::Closed));
            }
        }
        let began = Instant::now();
        statement(&self.connection, "COMMIT")?;
        let took = began.elapsed().as_micros() as u64;
        self.metrics.commit_us.fetch_add(took, Ordering::Relaxed);
        self.metrics.commit_max_us.fetch_max(took, Ordering::Relaxed);
        Ok(writes)
    }
}
