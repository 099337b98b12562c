//! Where guests compute: in the thread that calls them as long as that takes a moment, else on threads of their own.
//!
//! A host answers calls, timers and signals on a few threads. A guest that held one of them would hold up every neighbour, so
//! one that computes for longer moves to threads that only guests use, of which there are as many as processors and which
//! yield to all others. A call that takes a few microseconds never moves: waking another thread would cost more than it does.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::meter::Meter;
use crate::outcome::Report;

/// CPU time up to which a call is short: it may be made in the thread that asks for it. A hundred times what a small flow
/// takes, and little beside what a neighbour notices.
const SHORT: Duration = Duration::from_millis(1);

/// How many short calls in a row it takes until a program that made a long one is trusted again.
const TRUSTED_AFTER: u32 = 32;

/// By how much guests yield to the host's own threads, as `nice` has it.
const NICENESS: i32 = 10;

/// How soon a call that is to end is looked at again while it computes. A slice of its time is a tick of the epoch.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// A call to its end: its instance, its limits, its report.
pub(crate) type Call = Pin<Box<dyn Future<Output = Report> + Send>>;

/// The threads on which guests compute that need more than a moment.
pub(crate) struct GuestThreads {
    /// Taken at the end.
    runtime: Option<Runtime>,
}

/// What a call and the task that drives it tell each other.
#[derive(Debug, Default)]
pub(crate) struct Signals {
    /// Set at a tick of the epoch that met a call which is not short: the guest would go on computing.
    is_interrupted: AtomicBool,
    is_cancelled: AtomicBool,
}

impl Signals {
    pub(crate) fn interrupt(&self) {
        self.is_interrupted.store(true, Ordering::Relaxed);
    }

    fn take_interrupted(&self) -> bool {
        self.is_interrupted.swap(false, Ordering::Relaxed)
    }

    /// Ready when the call is to end. The task that cancels a call polls it next, so that nothing needs to be woken.
    pub(crate) async fn cancelled(&self) {
        poll_fn(|_| if self.is_cancelled() { Poll::Ready(()) } else { Poll::Pending }).await;
    }

    fn is_cancelled(&self) -> bool {
        self.is_cancelled.load(Ordering::SeqCst)
    }

    fn cancel(&self) {
        self.is_cancelled.store(true, Ordering::SeqCst);
    }
}

/// How long the calls of one program take, as far as it matters where they are made.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// Short calls to come until the program is trusted.
    distrust: AtomicU32,
}

impl Pace {
    fn is_trusted(&self) -> bool {
        self.distrust.load(Ordering::Relaxed) == 0
    }

    fn note_long(&self) {
        self.distrust.store(TRUSTED_AFTER, Ordering::Relaxed);
    }

    fn note(&self, spent: Duration) {
        if !is_short(spent) {
            self.note_long();
        } else if !self.is_trusted() {
            let fewer = |left: u32| Some(left.saturating_sub(1));
            let _always = self.distrust.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fewer);
        }
    }
}

/// Whether a call that has spent so much CPU time is short.
pub(crate) fn is_short(spent: Duration) -> bool {
    spent <= SHORT
}

impl GuestThreads {
    /// Starts the threads: as many as there are processors.
    pub(crate) fn start() -> std::io::Result<Self> {
        let count = std::thread::available_parallelism().map_or(1, usize::from);
        let runtime = Builder::new_multi_thread()
            .worker_threads(count)
            .thread_name("flowhost-guest")
            .on_thread_start(|| {
                // For the calling thread alone, on Linux. Guests compute all the same where it is refused.
                let _may_fail = rustix::process::setpriority_process(None, NICENESS);
            })
            .build()?;
        Ok(Self { runtime: Some(runtime) })
    }

    /// Makes a call, wherever it fits, until it ends. It ends soon after `cancelled` is ready, however busy the threads are.
    pub(crate) async fn run(
        &self,
        mut call: Call,
        signals: &Arc<Signals>,
        meter: &Meter,
        pace: &Pace,
        cancelled: impl Future<Output = ()>,
    ) -> Report {
        let mut cancelled = pin!(cancelled);
        if pace.is_trusted() {
            let ended = poll_fn(|context| {
                if !signals.is_cancelled() && cancelled.as_mut().poll(context).is_ready() {
                    signals.cancel();
                }
                match call.as_mut().poll(context) {
                    Poll::Ready(report) => Poll::Ready(Some(report)),
                    Poll::Pending if signals.take_interrupted() => Poll::Ready(None),
                    Poll::Pending => Poll::Pending,
                }
            });
            if let Some(report) = ended.await {
                pace.note(meter.spent());
                return report;
            }
            // Before it has ended: others of this program are not to take as long here.
            pace.note_long();
        }
        let report = self.run_away(call, signals, cancelled).await;
        pace.note(meter.spent());
        report
    }

    /// Makes a call on the guests' threads.
    async fn run_away(&self, call: Call, signals: &Arc<Signals>, cancelled: impl Future<Output = ()>) -> Report {
        let Some(runtime) = &self.runtime else { return call.await };
        let turn = Arc::new(Turn { call: Mutex::new(Some(call)) });
        let (done, mut report) = oneshot::channel();
        let task = runtime.spawn(compute(turn.clone(), signals.clone(), Handle::current(), done));
        let away = Away { turn, task };
        tokio::select! {
            biased;
            report = &mut report => return taken(report),
            () = cancelled => signals.cancel(),
        }
        // Its turn among the guests may be far: it ends here, unless it computes right now.
        loop {
            if let Some(call) = away.turn.take() {
                return call.await;
            }
            tokio::select! {
                biased;
                report = &mut report => return taken(report),
                () = tokio::time::sleep(LOOK_AGAIN) => {}
            }
        }
    }
}

impl Drop for GuestThreads {
    fn drop(&mut self) {
        // Waiting for the threads would block, which async code must not.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// How a call on the guests' threads ended: its report, or a panic of the host.
type Done = Result<Report, Box<dyn Any + Send>>;

fn taken(report: Result<Done, oneshot::error::RecvError>) -> Report {
    match report {
        Ok(Ok(report)) => report,
        // As if it had been made here.
        Ok(Err(panic)) => resume_unwind(panic),
        Err(gone) => resume_unwind(Box::new(gone)),
    }
}

/// A call on the guests' threads, until it ends or is taken back.
struct Turn {
    call: Mutex<Option<Call>>,
}

impl Turn {
    fn lock(&self) -> MutexGuard<'_, Option<Call>> {
        self.call.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The call, unless it computes at the moment or has ended.
    fn take(&self) -> Option<Call> {
        self.call.try_lock().ok().and_then(|mut call| call.take())
    }
}

/// A call that was sent away. Dropping it drops the call.
struct Away {
    turn: Arc<Turn>,
    task: JoinHandle<()>,
}

impl Drop for Away {
    fn drop(&mut self) {
        self.task.abort();
        drop(self.turn.lock().take());
    }
}

/// Drives a call on the guests' threads. What it starts belongs to the threads that it came from.
async fn compute(turn: Arc<Turn>, signals: Arc<Signals>, home: Handle, done: oneshot::Sender<Done>) {
    let ended = poll_fn(|context: &mut Context<'_>| {
        let _home = home.enter();
        let mut held = turn.lock();
        let Some(call) = held.as_mut() else { return Poll::Ready(None) };
        loop {
            match catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(context))) {
                // The task that cancelled it waits for its end, which the next poll brings.
                Ok(Poll::Pending) if signals.is_cancelled() => {}
                Ok(Poll::Pending) => return Poll::Pending,
                Ok(Poll::Ready(report)) => {
                    *held = None;
                    return Poll::Ready(Some(Ok(report)));
                }
                Err(panic) => {
                    *held = None;
                    return Poll::Ready(Some(Err(panic)));
                }
            }
        }
    });
    if let Some(ended) = ended.await {
        // The task that waited may have gone.
        let _gone = done.send(ended);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_call_costs_the_trust_of_many_short_ones() {
        let pace = Pace::default();
        pace.note(SHORT);
        assert!(pace.is_trusted());
        pace.note(SHORT * 2);
        for _ in 0..TRUSTED_AFTER {
            assert!(!pace.is_trusted());
            pace.note(SHORT);
        }
        assert!(pace.is_trusted());
    }
}
