//! How a call waits for something outside: its limits stand still, and it may have to leave memory meanwhile.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use flowhost_model::{JournalEntry, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Notify;

use crate::State;
use crate::clock::Clock;
use crate::journal::Call;
use crate::meter::Meter;
use crate::outcome::{Outcome, Suspended};

/// How long a call waits before what it was told is kept, so that a crash does not lengthen its wait. Shorter waits end sooner
/// than a run again would.
const KEEP_AFTER: Duration = Duration::from_secs(1);

/// The longest time that a timer in memory is set to; what waits longer is looked at again then.
const LONGEST_TIMER: Duration = Duration::from_secs(24 * 3600);

/// Decides how long a call that waits stays in memory.
#[async_trait]
pub trait Residence: Send + Sync + 'static {
    /// The call begins to wait.
    fn wait_begins(&self);

    /// The call goes on, or has been dropped.
    fn wait_ends(&self);

    /// Ready when the call is to leave memory. Asked for anew at each wait.
    async fn unload(&self);

    /// Keeps what the call was told, from the entry of this number on, while it waits. Gives whether it is kept.
    async fn keep(&self, first: u64, entries: Vec<JournalEntry>) -> bool;
}

/// Keeps every call in memory until its end.
#[derive(Clone, Copy, Debug, Default)]
pub struct StaysInMemory;

#[async_trait]
impl Residence for StaysInMemory {
    fn wait_begins(&self) {}

    fn wait_ends(&self) {}

    async fn unload(&self) {
        std::future::pending().await
    }

    async fn keep(&self, _first: u64, _entries: Vec<JournalEntry>) -> bool {
        false
    }
}

/// Until when a call waits at the most.
#[derive(Clone, Copy, Debug, Default)]
pub struct WaitLimit {
    /// The time; none for as long as it takes.
    pub until: Option<Timestamp>,
    /// Whether it is meant as some time from the wait's beginning, so that it moves with a clock that jumps.
    pub is_relative: bool,
}

/// How a wait ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Waited<T> {
    /// What was waited for has happened.
    Event(T),
    /// The time is over.
    Time,
}

/// A wait under way; dropping it ends the wait.
struct Waiting<'a> {
    residence: &'a dyn Residence,
    meter: &'a Meter,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.meter.end_wait();
        self.residence.wait_ends();
    }
}

/// What would be lost if a call left memory.
#[derive(Debug, Default)]
pub(crate) struct Holds {
    count: AtomicUsize,
    released: Notify,
}

/// Keeps a call in memory while it waits, until it is dropped.
#[derive(Debug)]
pub struct Hold(Arc<Holds>);

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::SeqCst);
        self.0.released.notify_waiters();
    }
}

/// Makes holds of a call.
#[derive(Clone, Debug)]
pub struct Holder(Arc<Holds>);

impl Holder {
    /// Keeps the call in memory from now on, also while it waits for something else, until the value is dropped.
    pub fn hold(&self) -> Hold {
        self.0.count.fetch_add(1, Ordering::SeqCst);
        Hold(self.0.clone())
    }
}

impl Holds {
    /// Waits for an event as long as anything is held; none where nothing is, any more, and it has not happened. A flow's limits
    /// do not count the time.
    pub(crate) async fn stay<T>(&self, meter: &Meter, mut event: Pin<&mut impl Future<Output = T>>) -> Option<T> {
        if self.count.load(Ordering::SeqCst) == 0 {
            return None;
        }
        meter.begin_wait();
        let _attending = Attending(meter);
        loop {
            let released = self.released.notified();
            if self.count.load(Ordering::SeqCst) == 0 {
                return None;
            }
            tokio::select! {
                biased;
                happened = event.as_mut() => return Some(happened),
                () = released => {}
            }
        }
    }
}

/// Waits for an event; none where the call is to leave memory before it. What has happened already is no wait.
pub(crate) async fn stay<T>(
    residence: &Arc<dyn Residence>,
    meter: &Arc<Meter>,
    holds: &Arc<Holds>,
    event: impl Future<Output = T>,
) -> Option<T> {
    let mut event = pin!(event);
    if let Poll::Ready(happened) = poll_fn(|context| Poll::Ready(event.as_mut().poll(context))).await {
        return Some(happened);
    }
    if let Some(happened) = holds.stay(meter, event.as_mut()).await {
        return Some(happened);
    }
    residence.wait_begins();
    meter.begin_wait();
    let waiting = Waiting { residence: &**residence, meter };
    let stayed = tokio::select! {
        biased;
        happened = event => Some(happened),
        () = waiting.residence.unload() => None,
    };
    drop(waiting);
    stayed
}

/// Ready at a time by the clock of the moment in which this is called: a jump of the clock changes nothing any more.
pub(crate) async fn sleep_until(until: Timestamp, present: Timestamp) {
    let begun = tokio::time::Instant::now();
    let whole = until.since(present);
    loop {
        let left = whole.saturating_sub(begun.elapsed());
        if left.is_zero() {
            return;
        }
        tokio::time::sleep(left.min(LONGEST_TIMER)).await;
    }
}

/// Ready when the clock shows a time, however it comes to.
async fn clock_shows(until: Timestamp, clock: Arc<dyn Clock>) {
    /// How soon a jump of the clock is noticed.
    const LOOK: Duration = Duration::from_secs(1);
    loop {
        let left = until.since(clock.now());
        if left.is_zero() {
            return;
        }
        tokio::time::sleep(left.min(LOOK)).await;
    }
}

/// A wait that the call spends in memory, however long it takes; dropping it ends the wait.
struct Attending<'a>(&'a Meter);

impl Drop for Attending<'_> {
    fn drop(&mut self) {
        self.0.end_wait();
    }
}

impl State {
    /// What makes holds of this call.
    pub fn holder(&self) -> Holder {
        Holder(self.holds.clone())
    }

    /// Waits for an event that would be lost if the call left memory. The flow's limits do not count the time. This is no
    /// journal point: whoever calls it makes one of what it gives.
    pub async fn attend<T>(&mut self, event: impl Future<Output = T> + Send) -> T {
        self.meter.begin_wait();
        let _attending = Attending(&self.meter);
        event.await
    }

    /// Waits for an event, or for a time. This is a journal point: `call` names it, the way it ended is told again when the
    /// flow is run again. The flow's limits do not count the time. `T` must not be written as JSON's null, which stands for
    /// the time.
    ///
    /// Error: the call leaves memory, or its journal does not fit; to be returned to wasmtime at once.
    pub async fn wait<T: Serialize + DeserializeOwned>(
        &mut self,
        call: Call,
        limit: WaitLimit,
        event: impl Future<Output = T> + Send,
    ) -> wasmtime::Result<Waited<T>> {
        let since = self.journal.now();
        if let Some(told) = self.replay::<Option<T>>(&call)? {
            self.journal.note_wait(since);
            return Ok(told.map_or(Waited::Time, Waited::Event));
        }
        let is_over = self.journal.take_woken() && limit.until.is_some();
        let clock = self.journal.clock();
        let due = limit.until.and_then(|until| Instant::now().checked_add(until.since(clock.now())));
        let timer = async {
            match limit.until {
                _ if is_over => {}
                None => std::future::pending().await,
                Some(until) if limit.is_relative => sleep_until(until, clock.now()).await,
                Some(until) => clock_shows(until, clock.clone()).await,
            }
        };
        let either = async {
            tokio::select! {
                biased;
                happened = event => Some(happened),
                () = timer => None,
            }
        };
        let stayed = {
            let mut stay = pin!(stay(&self.residence, &self.meter, &self.holds, either));
            tokio::select! {
                biased;
                stayed = &mut stay => stayed,
                () = tokio::time::sleep(KEEP_AFTER) => {
                    let (first, entries) = self.journal.pending();
                    let count = entries.len();
                    if count > 0 && self.residence.keep(first, entries).await {
                        self.journal.note_kept(count);
                    }
                    stay.await
                }
            }
        };
        match stayed {
            Some(told) => {
                self.record(call, &told)?;
                self.journal.note_wait(since);
                Ok(told.map_or(Waited::Time, Waited::Event))
            }
            None => Err(self.end(Outcome::Suspended(Suspended { limit, due }))),
        }
    }
}
