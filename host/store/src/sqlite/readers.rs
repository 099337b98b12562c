//! Connections that only read, used on tokio's blocking threads.
//!
//! A read sees all that was committed before it began, and never waits for the writer. Lists, which callers shape, have a
//! limit of time and at most half of the connections, so that what the host itself reads never waits for them.

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use rusqlite::{Connection, InterruptHandle};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::failure::forget_last_error;
use crate::{Error, Result};

/// How long reads under way may take when the data are to be opened again. Writes wait for them.
const END_WITHIN: Duration = Duration::from_secs(5);

/// How long a list waits for a connection that other lists have.
const LIST_PATIENCE: Duration = Duration::from_secs(5);

/// When a read that is to end is interrupted again: SQLite forgets an interruption that comes between two statements.
const INTERRUPT_AGAIN: Duration = Duration::from_millis(5);

/// A pool of connections. Cheap to clone; all clones are the same pool.
#[derive(Clone)]
pub(super) struct Readers {
    count: u32,
    /// As many permits as there are connections.
    free: Arc<Semaphore>,
    /// The part of them that lists may have.
    for_lists: Arc<Semaphore>,
    list_limit: Duration,
    pool: Arc<Mutex<Pool>>,
    under_way: UnderWay,
}

/// The connections in which nothing is read at the moment.
struct Pool {
    idle: Vec<Connection>,
    /// Why there are no connections.
    missing: Error,
}

/// The reads that have not ended.
type UnderWay = Arc<Mutex<Vec<Arc<Reading>>>>;

impl Readers {
    /// A pool of these connections. `list_limit` is how long a list may take.
    pub(super) fn new(connections: Vec<Connection>, list_limit: Duration) -> Self {
        let (all, half) = (connections.len(), (connections.len() / 2).max(1));
        Self {
            count: u32::try_from(all).unwrap_or(u32::MAX),
            free: Arc::new(Semaphore::new(all)),
            for_lists: Arc::new(Semaphore::new(half)),
            list_limit,
            pool: Arc::new(Mutex::new(Pool { idle: connections, missing: Error::Closed })),
            under_way: UnderWay::default(),
        }
    }

    /// Does `work` with one of the connections. `work` should be short: the log cannot start over while it reads. It is
    /// interrupted when the future is dropped.
    pub(super) async fn read<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        let permit = taken(&self.free).await?;
        Started::new(self, vec![permit], work).ended().await
    }

    /// Does `work`, which a caller has shaped and which may take long, with one of the connections.
    ///
    /// # Errors
    /// [`Error::TooCostly`] when it has not ended within its limit, [`Error::Busy`] when other lists leave it no connection.
    pub(super) async fn list<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        let share = tokio::time::timeout(LIST_PATIENCE, taken(&self.for_lists)).await.map_err(|_| Error::Busy)??;
        let permit = taken(&self.free).await?;
        let started = Started::new(self, vec![share, permit], work);
        // At its limit it is dropped, which interrupts it.
        tokio::time::timeout(self.list_limit, started.ended()).await.map_err(|_| Error::TooCostly)?
    }

    /// Interrupts the reads under way, waits for their ends, and drops the connections.
    pub(super) async fn close(&self) {
        self.for_lists.close();
        self.free.close();
        loop {
            let left: Vec<_> = locked(&self.under_way).clone();
            if left.is_empty() {
                break;
            }
            for reading in left {
                let _has_more = reading.stop(Error::Closed);
            }
            tokio::time::sleep(INTERRUPT_AGAIN).await;
        }
        locked(&self.pool).idle.clear();
    }

    /// Waits for the reads under way, interrupts those that take too long, and drops the connections. Reads that come later
    /// wait until [`Paused::resume`]. Blocks.
    pub(super) fn pause(&self) -> Paused<'_> {
        let all = match wait(self.free.clone().acquire_many_owned(self.count), || self.interrupt()) {
            Ok(all) => {
                locked(&self.pool).idle.clear();
                Some(all)
            }
            // They are closed.
            Err(_) => None,
        };
        Paused { readers: self, all }
    }

    fn interrupt(&self) {
        let left: Vec<_> = locked(&self.under_way).clone();
        for reading in left {
            let _has_more = reading.stop(Error::Storage("the data are opened again; try again".to_owned()));
        }
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
        // Where the pool was closed meanwhile it stays so.
        if self.all.is_some() && !self.readers.free.is_closed() {
            *locked(&self.readers.pool) = match connections {
                Ok(idle) => Pool { idle, missing: Error::Closed },
                Err(missing) => Pool { idle: Vec::new(), missing },
            };
        }
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

async fn taken(permits: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit> {
    permits.clone().acquire_owned().await.map_err(|_| Error::Closed)
}

/// One read, and how it is stopped before its end.
#[derive(Default)]
struct Reading(Mutex<Progress>);

#[derive(Default)]
struct Progress {
    /// Interrupts the connection, as long as that works for this read and for no other.
    interrupt: Option<InterruptHandle>,
    /// Why it is to end.
    stopped: Option<Error>,
    has_ended: bool,
}

impl Reading {
    /// Does `work` unless it was stopped before.
    fn run<T>(&self, connection: &Connection, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        {
            let mut progress = locked(&self.0);
            if let Some(reason) = &progress.stopped {
                return Err(reason.clone());
            }
            progress.interrupt = Some(connection.get_interrupt_handle());
        }
        forget_last_error();
        let outcome = work(connection);
        let mut progress = locked(&self.0);
        progress.interrupt = None;
        match (outcome, &progress.stopped) {
            (Err(_), Some(reason)) => Err(reason.clone()),
            (outcome, _) => outcome,
        }
    }

    /// Interrupts it. Returns whether it has not ended yet: then it may have to be interrupted again.
    fn stop(&self, reason: Error) -> bool {
        let mut progress = locked(&self.0);
        progress.stopped.get_or_insert(reason);
        if let Some(interrupt) = &progress.interrupt {
            interrupt.interrupt();
        }
        !progress.has_ended
    }
}

/// A read on a thread of its own. Dropping it before its end interrupts it.
struct Started<T> {
    reading: Arc<Reading>,
    task: Option<tokio::task::JoinHandle<Result<T>>>,
}

impl<T: Send + 'static> Started<T> {
    fn new<F>(readers: &Readers, permits: Vec<OwnedSemaphorePermit>, work: F) -> Self
    where
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        let (pool, reading) = (readers.pool.clone(), Arc::new(Reading::default()));
        let ending = Ending { reading: reading.clone(), under_way: readers.under_way.clone() };
        locked(&ending.under_way).push(reading.clone());
        let own = reading.clone();
        let task = tokio::task::spawn_blocking(move || {
            let connection = {
                let mut pool = locked(&pool);
                pool.idle.pop().ok_or_else(|| pool.missing.clone())?
            };
            let outcome = own.run(&connection, work);
            locked(&pool).idle.push(connection);
            drop((ending, permits));
            outcome
        });
        Self { reading, task: Some(task) }
    }

    async fn ended(mut self) -> Result<T> {
        let Some(task) = self.task.as_mut() else { return Err(Error::Closed) };
        let ended = task.await.map_err(|error| Error::Storage(format!("a read did not end: {error}")));
        self.task = None;
        ended?
    }
}

impl<T> Drop for Started<T> {
    fn drop(&mut self) {
        // No caller is left to be told the reason.
        if self.task.is_none() || !self.reading.stop(Error::Closed) {
            return;
        }
        // Without a runtime the host is about to end, and so are its threads.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let reading = self.reading.clone();
        runtime.spawn(async move {
            while reading.stop(Error::Closed) {
                tokio::time::sleep(INTERRUPT_AGAIN).await;
            }
        });
    }
}

/// Takes a read from those under way when it ends, in whatever way.
struct Ending {
    reading: Arc<Reading>,
    under_way: UnderWay,
}

impl Drop for Ending {
    fn drop(&mut self) {
        locked(&self.reading.0).has_ended = true;
        locked(&self.under_way).retain(|known| !Arc::ptr_eq(known, &self.reading));
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Lists of connections and of reads, and the progress of one, are whole at any time.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    /// A query without an end.
    const ENDLESS: &str =
        "WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number) SELECT max(n) FROM number";

    fn readers(count: usize, list_limit: Duration) -> Readers {
        let connections = (0..count).map(|_| Connection::open_in_memory().unwrap()).collect();
        Readers::new(connections, list_limit)
    }

    fn endless(connection: &Connection) -> Result<i64> {
        Ok(connection.query_one(ENDLESS, [], |row| row.get(0))?)
    }

    /// The work of a read that never ends by itself, and the news that it has begun.
    fn begun() -> (impl FnOnce(&Connection) -> Result<i64> + Send + 'static, oneshot::Receiver<()>) {
        let (tell, begun) = oneshot::channel();
        let work = move |connection: &Connection| {
            let _told = tell.send(());
            endless(connection)
        };
        (work, begun)
    }

    fn one(connection: &Connection) -> Result<i64> {
        Ok(connection.query_one("SELECT 1", [], |row| row.get(0))?)
    }

    #[tokio::test]
    async fn list_beyond_its_limit_is_too_costly() {
        let readers = readers(1, Duration::from_millis(20));
        assert!(matches!(readers.list(endless).await, Err(Error::TooCostly)));
        // Its connection is another's.
        assert_eq!(readers.read(one).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn read_whose_caller_leaves_is_interrupted() {
        let readers = readers(1, Duration::from_secs(3600));
        let (work, begun) = begun();
        {
            let read = readers.list(work);
            tokio::select! {
                _never = read => panic!("an endless query ended"),
                begun = begun => begun.unwrap(),
            }
        }
        assert_eq!(readers.read(one).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn close_interrupts_reads_under_way() {
        let readers = Arc::new(readers(2, Duration::from_secs(3600)));
        let (list, list_begun) = begun();
        let (read, read_begun) = begun();
        let (of_list, of_read) = (readers.clone(), readers.clone());
        let list = tokio::spawn(async move { of_list.list(list).await });
        let read = tokio::spawn(async move { of_read.read(read).await });
        list_begun.await.unwrap();
        read_begun.await.unwrap();
        readers.close().await;
        assert!(matches!(list.await.unwrap(), Err(Error::Closed)));
        assert!(matches!(read.await.unwrap(), Err(Error::Closed)));
        assert!(matches!(readers.read(one).await, Err(Error::Closed)));
    }

    #[tokio::test]
    async fn lists_leave_half_of_the_connections_to_other_reads() {
        let readers = readers(4, Duration::from_secs(3600));
        let (first, first_begun) = begun();
        let (second, second_begun) = begun();
        let mut lists = Box::pin(async { tokio::join!(readers.list(first), readers.list(second)) });
        tokio::select! {
            _never = &mut lists => panic!("an endless query ended"),
            _begun = async { tokio::join!(first_begun, second_begun) } => {}
        }
        let refused = tokio::time::timeout(Duration::ZERO, readers.list(one)).await;
        assert!(refused.is_err(), "a third list found a connection");
        assert_eq!(readers.read(one).await.unwrap(), 1);
    }
}
