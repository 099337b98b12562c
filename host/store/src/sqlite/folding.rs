//! Folding the write-ahead log back beside the writer.
//!
//! A thread with a connection of its own copies pages from the log to the data and syncs them, while the writer goes on
//! adding to the log. On a slow disk this is most of the work of a checkpoint. What was added meanwhile is copied by the
//! writer's own thread, see [`Folding::copy_rest`].

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, TryRecvError};
use std::thread::{self, JoinHandle};

use rusqlite::Connection;

use super::checkpoint::{Failed, Mode, Progress, checkpoint};
use super::open::Folders;
use crate::Result;

/// The name of the thread, as `top -H` shows it.
const THREAD_NAME: &str = "flowhost-fold";

/// What became of one round.
pub(super) type Outcome = std::result::Result<Progress, Failed>;

/// The thread that folds the log back when it is told to.
pub(super) struct Folding {
    /// Dropped to end the thread.
    rounds: Option<mpsc::Sender<()>>,
    outcomes: mpsc::Receiver<Outcome>,
    is_busy: bool,
    thread: Option<JoinHandle<()>>,
    /// Copies without a sync.
    unsynced: Connection,
    data: Arc<File>,
}

impl Folding {
    /// Starts the thread, which does nothing yet. `data` is the file of the data.
    pub(super) fn start(connections: Folders, data: Arc<File>) -> Result<Self> {
        let (rounds, tasks) = mpsc::channel();
        let (done, outcomes) = mpsc::channel();
        let Folders { synced, unsynced } = connections;
        let file = data.clone();
        let work = move || {
            while tasks.recv().is_ok() {
                if done.send(fold(&synced, &file)).is_err() {
                    break;
                }
            }
        };
        let thread = thread::Builder::new().name(THREAD_NAME.to_owned()).spawn(work)?;
        Ok(Self { rounds: Some(rounds), outcomes, is_busy: false, thread: Some(thread), unsynced, data })
    }

    /// Copies the rest of the log on the calling thread, which is the writer's: no write is committed meanwhile.
    pub(super) fn copy_rest(&self, writer: &Connection) -> Outcome {
        copy_rest(writer, &self.unsynced, || self.data.sync_data())
    }

    /// Whether a round has begun whose outcome nobody has seen.
    pub(super) fn is_busy(&self) -> bool {
        self.is_busy
    }

    /// Begins a round.
    pub(super) fn begin(&mut self) {
        self.is_busy = self.rounds.as_ref().is_some_and(|rounds| rounds.send(()).is_ok());
    }

    /// The outcome of the round under way, if it has ended.
    pub(super) fn ended(&mut self) -> Option<Outcome> {
        if !self.is_busy {
            return None;
        }
        let outcome = match self.outcomes.try_recv() {
            Ok(outcome) => outcome,
            Err(TryRecvError::Empty) => return None,
            Err(TryRecvError::Disconnected) => Err(Failed::gone()),
        };
        self.is_busy = false;
        Some(outcome)
    }

    /// Waits for the round under way, if there is one.
    pub(super) fn wait(&mut self) -> Option<Outcome> {
        if !self.is_busy {
            return None;
        }
        self.is_busy = false;
        Some(self.outcomes.recv().unwrap_or_else(|_| Err(Failed::gone())))
    }
}

impl Drop for Folding {
    fn drop(&mut self) {
        self.rounds = None;
        // The connection is closed when this returns. A thread that panicked has said so.
        if let Some(thread) = self.thread.take() {
            let _ended = thread.join();
        }
    }
}

/// Copies what the readers allow, and syncs it: SQLite itself does so only if it has copied everything, and nearly never
/// has while others write. What is left for the writer to sync is then what it has to copy itself.
fn fold(connection: &Connection, data: &File) -> Outcome {
    let progress = checkpoint(connection, Mode::Passive)?;
    data.sync_data().map_err(Failed::of_sync)?;
    Ok(progress)
}

/// Copies all that the readers allow by a connection that does not sync, and syncs the data then.
///
/// SQLite would sync the log before as well. Every commit has done that. Until the data are synced the write lock is held,
/// so that the log cannot start over: its pages may be the only ones on the disk.
pub(super) fn copy_rest(writer: &Connection, unsynced: &Connection, sync: impl FnOnce() -> io::Result<()>) -> Outcome {
    writer.execute_batch("BEGIN IMMEDIATE")?;
    let outcome = checkpoint(unsynced, Mode::Passive).and_then(|progress| {
        sync().map_err(Failed::of_sync)?;
        Ok(progress)
    });
    // Nothing was written. The error that comes first says more.
    let ended = writer.execute_batch("COMMIT").map_err(Failed::of_writer);
    outcome.and_then(|progress| ended.map(|()| progress))
}
