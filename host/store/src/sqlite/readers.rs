//! Connections that only read, used on tokio's blocking threads.
//!
//! A read sees all that was committed before it began, and never waits for the writer.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use crate::{Error, Result};

/// A pool of connections.
pub(super) struct Readers {
    count: u32,
    /// As many permits as there are connections.
    free: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<Connection>>>,
}

impl Readers {
    pub(super) fn new(connections: Vec<Connection>) -> Self {
        let count = u32::try_from(connections.len()).unwrap_or(u32::MAX);
        Self { count, free: Arc::new(Semaphore::new(connections.len())), idle: Arc::new(Mutex::new(connections)) }
    }

    /// Does `work` with one of the connections. `work` should be short: the log cannot start over while it reads.
    pub(super) async fn read<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        let permit = self.free.clone().acquire_owned().await.map_err(|_| Error::Closed)?;
        let idle = self.idle.clone();
        let task = tokio::task::spawn_blocking(move || {
            let connection = lock(&idle).pop().ok_or(Error::Closed)?;
            let outcome = work(&connection);
            lock(&idle).push(connection);
            drop(permit);
            outcome
        });
        task.await.map_err(|error| Error::Storage(format!("a read did not end: {error}")))?
    }

    /// Waits for the reads under way and drops the connections.
    pub(super) async fn close(&self) {
        // An error says that somebody else has closed them.
        if let Ok(all) = self.free.acquire_many(self.count).await {
            self.free.close();
            lock(&self.idle).clear();
            drop(all);
        }
    }
}

fn lock(idle: &Mutex<Vec<Connection>>) -> MutexGuard<'_, Vec<Connection>> {
    // A list of connections is whole at any time.
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}
