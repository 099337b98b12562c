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

/// The longest pause between two attempts to keep it where that fails.
const KEEP_PAUSE: Duration = Duration::from_secs(60);

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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WaitLimit {
    /// For as long as it takes.
    #[default]
    None,
    /// For a length of time, whatever is done to the clock. Of a wait that began before, what is left of it.
    For(Duration),
    /// Until the clock shows a time.
    Until(Timestamp),
}

impl WaitLimit {
    /// How long that is, by the clock's present.
    fn left(self, present: Timestamp) -> Option<Duration> {
        match self {
            Self::None => None,
            Self::For(left) => Some(left),
            Self::Until(time) => Some(time.since(present)),
        }
    }
}

/// Something that a call waits for, as the host can look it up.
///
/// A wait looks at least once, and once more after its time is over, before it ends without the event: what happened while
/// the host could not notice it is no timeout.
pub trait Event: Send {
    /// What has happened. It must not be written as JSON's null, which stands for the time.
    type Output: Serialize + DeserializeOwned + Send;

    /// Looks whether it has happened. May be dropped while it looks.
    fn look(&mut self) -> impl Future<Output = Option<Self::Output>> + Send;

    /// Returns when another look is worth it.
    fn changed(&mut self) -> impl Future<Output = ()> + Send;
}

impl<E: Event> Event for &mut E {
    type Output = E::Output;

    fn look(&mut self) -> impl Future<Output = Option<E::Output>> + Send {
        (**self).look()
    }

    fn changed(&mut self) -> impl Future<Output = ()> + Send {
        (**self).changed()
    }
}

/// An event that only its own future knows of.
struct Awaited<F: Future> {
    future: Pin<Box<F>>,
    output: Option<F::Output>,
}

impl<F> Event for Awaited<F>
where
    F: Future<Output: Serialize + DeserializeOwned + Send> + Send,
{
    type Output = F::Output;

    async fn look(&mut self) -> Option<F::Output> {
        match self.output.take() {
            Some(output) => Some(output),
            None => {
                poll_fn(|context| match self.future.as_mut().poll(context) {
                    Poll::Ready(output) => Poll::Ready(Some(output)),
                    Poll::Pending => Poll::Ready(None),
                })
                .await
            }
        }
    }

    async fn changed(&mut self) {
        self.output = Some(self.future.as_mut().await);
    }
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

/// Ready after a length of time, however long that is.
async fn sleep_for(whole: Duration) {
    let begun = tokio::time::Instant::now();
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

/// Looks at an event. The call does not leave memory meanwhile: under pressure it would come and go without ever having seen it.
async fn look<E: Event>(meter: &Meter, event: &mut E) -> Option<E::Output> {
    meter.begin_wait();
    let _attending = Attending(meter);
    event.look().await
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

    /// Waits for an event that only its future knows of, or for a time: [`State::wait_for`].
    pub async fn wait<T: Serialize + DeserializeOwned + Send>(
        &mut self,
        call: Call,
        limit: WaitLimit,
        event: impl Future<Output = T> + Send,
    ) -> wasmtime::Result<Waited<T>> {
        self.wait_for(call, limit, Awaited { future: Box::pin(event), output: None }).await
    }

    /// Waits for an event, or for a time. This is a journal point: `call` names it, the way it ended is told again when the
    /// flow is run again. The flow's limits do not count the time.
    ///
    /// Error: the call leaves memory, or its journal does not fit; to be returned to wasmtime at once.
    pub async fn wait_for<E: Event>(
        &mut self,
        call: Call,
        limit: WaitLimit,
        mut event: E,
    ) -> wasmtime::Result<Waited<E::Output>> {
        let since = self.journal.now();
        if let Some(told) = self.replay::<Option<E::Output>>(&call)? {
            self.journal.note_wait(since);
            return Ok(told.map_or(Waited::Time, Waited::Event));
        }
        let clock = self.journal.clock();
        let left = limit.left(clock.now());
        let due = left.and_then(|left| Instant::now().checked_add(left));
        let is_over = (self.journal.take_woken() && left.is_some()) || left == Some(Duration::ZERO);
        let stayed = match look(&self.meter, &mut event).await {
            Some(happened) => Some(Some(happened)),
            None if is_over => Some(None),
            None => match self.stay_for(limit, clock, &mut event).await {
                // It may have happened just before the time was over, and have gone unnoticed.
                Some(None) => Some(look(&self.meter, &mut event).await),
                stayed => stayed,
            },
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

    /// Waits for an event or for a time; none where the call is to leave memory before both.
    async fn stay_for<E: Event>(
        &mut self,
        limit: WaitLimit,
        clock: Arc<dyn Clock>,
        event: &mut E,
    ) -> Option<Option<E::Output>> {
        let timer = async {
            match limit {
                WaitLimit::None => std::future::pending().await,
                WaitLimit::For(left) => sleep_for(left).await,
                WaitLimit::Until(time) => clock_shows(time, clock).await,
            }
        };
        let happening = async {
            loop {
                event.changed().await;
                if let Some(happened) = event.look().await {
                    return happened;
                }
            }
        };
        let either = async {
            tokio::select! {
                biased;
                happened = happening => Some(happened),
                () = timer => None,
            }
        };
        let mut stay = pin!(stay(&self.residence, &self.meter, &self.holds, either));
        let mut pause = KEEP_AFTER;
        loop {
            tokio::select! {
                biased;
                stayed = &mut stay => return stayed,
                () = tokio::time::sleep(pause) => {}
            }
            let (first, entries) = self.journal.pending();
            let count = entries.len();
            // As a whole, since the store alone would know what it has.
            if count == 0 || self.residence.keep(first, entries).await {
                self.journal.note_kept(count);
                return stay.await;
            }
            pause = pause.saturating_mul(2).min(KEEP_PAUSE);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::budget::Budget;
    use crate::clock::SystemClock;
    use crate::invoke::Invocation;
    use crate::journal::Kept;
    use crate::log::Log;
    use crate::memory::{FlowMemory, GuestMemory};
    use crate::state::Slots;

    /// Becomes true while it is looked at, at the look of a number, and wakes no waiter.
    struct Quiet {
        at_look: usize,
        looks: usize,
    }

    impl Event for Quiet {
        type Output = usize;

        async fn look(&mut self) -> Option<usize> {
            self.looks += 1;
            // As a read of the store does, it takes longer than the first poll.
            tokio::time::sleep(Duration::from_millis(1)).await;
            (self.looks >= self.at_look).then_some(self.looks)
        }

        async fn changed(&mut self) {
            std::future::pending().await
        }
    }

    fn state(kept: Kept, residence: Arc<dyn Residence>) -> State {
        let invocation = Invocation {
            budget: Budget::default(),
            log: Arc::new(Log::new(1_000, Arc::new(SystemClock))),
            seed: [0; 32],
            slots: Slots::new(),
            clock: Arc::new(SystemClock),
            kept,
            residence,
        };
        let flow_memory = Arc::new(FlowMemory::new(Arc::new(GuestMemory::new(u64::MAX, 1))));
        State::new(invocation, Arc::new(Meter::new()), flow_memory)
    }

    async fn waited(limit: WaitLimit, is_woken: bool, at_look: usize) -> Waited<usize> {
        let mut state = state(Kept { is_woken, ..Kept::default() }, Arc::new(StaysInMemory));
        let event = Quiet { at_look, looks: 0 };
        state.wait_for(Call::new("wait", &()), limit, event).await.unwrap()
    }

    const OVER: WaitLimit = WaitLimit::For(Duration::ZERO);

    #[tokio::test]
    async fn event_before_the_wait_wins_over_its_time() {
        let hour = WaitLimit::For(Duration::from_secs(3600));
        for (limit, is_woken) in [(OVER, false), (WaitLimit::Until(Timestamp(0)), false), (hour, true)] {
            assert_eq!(waited(limit, is_woken, 1).await, Waited::Event(1));
            assert_eq!(waited(limit, is_woken, 2).await, Waited::Time);
        }
    }

    #[tokio::test]
    async fn event_that_went_unnoticed_wins_over_the_time() {
        let limit = WaitLimit::For(Duration::from_millis(20));
        assert_eq!(waited(limit, false, 2).await, Waited::Event(2));
        assert_eq!(waited(limit, false, 3).await, Waited::Time);
    }

    /// Wants the call out of memory at once.
    struct Pressed;

    #[async_trait]
    impl Residence for Pressed {
        fn wait_begins(&self) {}

        fn wait_ends(&self) {}

        async fn unload(&self) {}

        async fn keep(&self, _first: u64, _entries: Vec<JournalEntry>) -> bool {
            false
        }
    }

    #[tokio::test]
    async fn call_under_pressure_looks_before_it_leaves() {
        let mut state = state(Kept { is_woken: true, ..Kept::default() }, Arc::new(Pressed));
        let wait = state.wait_for(Call::new("wait", &()), OVER, Quiet { at_look: 2, looks: 0 });
        assert_eq!(wait.await.unwrap(), Waited::Time);
        let wait = state.wait_for(Call::new("wait", &()), WaitLimit::None, Quiet { at_look: 2, looks: 0 });
        assert!(wait.await.is_err() && state.is_suspended());
    }

    #[tokio::test]
    async fn call_after_a_retry_is_not_over_because_it_was_woken() {
        let mut state = state(Kept { is_woken: true, ..Kept::default() }, Arc::new(StaysInMemory));
        state.record(Call::new("step", &()), &()).unwrap();
        let began = tokio::time::Instant::now();
        let limit = WaitLimit::For(Duration::from_millis(50));
        let wait = state.wait_for(Call::new("wait", &()), limit, Quiet { at_look: 9, looks: 0 });
        assert_eq!(wait.await.unwrap(), Waited::Time);
        assert!(began.elapsed() >= Duration::from_millis(50));
    }

    /// Keeps nothing for some times.
    struct Failing(Mutex<Vec<u64>>);

    #[async_trait]
    impl Residence for Failing {
        fn wait_begins(&self) {}

        fn wait_ends(&self) {}

        async fn unload(&self) {
            std::future::pending().await
        }

        async fn keep(&self, first: u64, _entries: Vec<JournalEntry>) -> bool {
            let mut asked = self.0.lock().unwrap();
            asked.push(first);
            asked.len() >= 2
        }
    }

    #[tokio::test]
    async fn journal_of_a_long_wait_is_kept_though_it_fails_at_first() {
        let residence = Arc::new(Failing(Mutex::default()));
        let mut state = state(Kept::default(), residence.clone());
        state.record(Call::new("begin", &()), &()).unwrap();
        let limit = WaitLimit::For(KEEP_AFTER * 7 / 2);
        state.wait_for(Call::new("wait", &()), limit, Quiet { at_look: 9, looks: 0 }).await.unwrap();
        assert_eq!(*residence.0.lock().unwrap(), [0, 0]);
        assert_eq!(state.journal.pending().0, 1);
    }
}
