//! Connections that only read, used on tokio's blocking threads.
//!
//! A read sees all that was committed before it began, and never waits for the writer.

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use rusqlite::{Connection, InterruptHandle};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{Error, Result};

/// How long reads under way may take when the data are to be opened again. Writes wait for them.
const END_WITHIN: Duration = Duration::from_secs(5);

/// A pool of connections. Cheap to clone; all clones are the same pool.
#[derive(Clone)]
pub(super) struct Readers {
    count: u32,
    /// As many permits as there are connections.
    free: Arc<Semaphore>,
    pool: Arc<Mutex<Pool>>,
}

struct Pool {
    idle: Vec<Connection>,
    /// Of all connections, also of those that read.
    interrupts: Vec<InterruptHandle>,
    /// Why there are no connections.
    missing: Error,
}

impl Readers {
    pub(super) fn new(connections: Vec<Connection>) -> Self {
        let count = u32::try_from(connections.len()).unwrap_or(u32::MAX);
        let pool = Pool::new(connections, Error::Closed);
        Self { count, free: Arc::new(Semaphore::new(count as usize)), pool: Arc::new(Mutex::new(pool)) }
    }

    /// Does `work` with one of the connections. `work` should be short: the log cannot start over while it reads.
    pub(super) async fn read<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        let permit = self.free.clone().acquire_owned().await.map_err(|_| Error::Closed)?;
        let pool = self.pool.clone();
        let task = tokio::task::spawn_blocking(move || {
            let connection = {
                let mut pool = lock(&pool);
                pool.idle.pop().ok_or_else(|| pool.missing.clone())?
            };
            let outcome = work(&connection);
            lock(&pool).idle.push(connection);
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
            *lock(&self.pool) = Pool::new(Vec::new(), Error::Closed);
            drop(all);
        }
    }

    /// Waits for the reads under way, interrupts those that take too long, and drops the connections. Reads that come later
    /// wait until [`Paused::resume`]. Blocks.
    pub(super) fn pause(&self) -> Paused<'_> {
        let all = match wait(self.free.clone().acquire_many_owned(self.count), || self.interrupt()) {
            Ok(all) => {
                *lock(&self.pool) = Pool::new(Vec::new(), Error::Closed);
                Some(all)
            }
            // They are closed.
            Err(_) => None,
        };
        Paused { readers: self, all }
    }

    fn interrupt(&self) {
        lock(&self.pool).interrupts.iter().for_each(InterruptHandle::interrupt);
    }
}

/// A pool without connections, in which nothing is read.
pub(super) struct Paused<'a> {
    readers: &'a Readers,
    /// None where the pool is closed, and stays so.
    all: Option<OwnedSemaphorePermit>,
}

impl Paused<'_> {
    /// Lets reads go on, or fail so where the data could not be opened.
    pub(super) fn resume(self, connections: Result<Vec<Connection>>) {
        if self.all.is_some() {
            *lock(&self.readers.pool) = match connections {
                Ok(connections) => Pool::new(connections, Error::Closed),
                Err(error) => Pool::new(Vec::new(), error),
            };
        }
    }
}

impl Pool {
    fn new(idle: Vec<Connection>, missing: Error) -> Self {
        let interrupts = idle.iter().map(Connection::get_interrupt_handle).collect();
        Self { idle, interrupts, missing }
    }
}

/// Blocks this thread until the future is ready; calls `impatient` again and again once it has taken too long.
fn wait<F: Future>(future: F, impatient: impl Fn()) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    let mut patience = Instant::now() + END_WITHIN;
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        let rest = patience.saturating_duration_since(Instant::now());
        if rest.is_zero() {
            impatient();
            patience = Instant::now() + Duration::from_millis(100);
        } else {
            thread::park_timeout(rest);
        }
    }
}

fn lock(pool: &Mutex<Pool>) -> MutexGuard<'_, Pool> {
    // A list of connections is whole at any time.
    pool.lock().unwrap_or_else(PoisonError::into_inner)
}
