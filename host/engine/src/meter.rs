//! The CPU time of one call, and the time that it runs.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use tokio::sync::Notify;

/// Counts the CPU time that a call's future spends being polled.
///
/// Epochs tick in wall time, also while the guest waits for the host; polls are when it really runs. The time is the
/// thread's CPU time: a machine that is stopped, or busy with other processes, uses up no flow's budget.
#[derive(Debug)]
pub(crate) struct Meter {
    base: Instant,
    /// Nanoseconds of CPU time of finished polls.
    spent: AtomicU64,
    /// The thread's CPU time when the poll under way began, in nanoseconds; only read from within that poll.
    poll_began: AtomicU64,
    /// Nanoseconds of finished waits.
    waited: AtomicU64,
    /// When the wait under way began, in nanoseconds since `base`; 0 where there is none.
    wait_began: AtomicU64,
    wait_ended: Notify,
}

impl Meter {
    pub(crate) fn new() -> Self {
        Self {
            base: Instant::now(),
            spent: AtomicU64::new(0),
            poll_began: AtomicU64::new(0),
            waited: AtomicU64::new(0),
            wait_began: AtomicU64::new(0),
            wait_ended: Notify::new(),
        }
    }

    /// The call begins to wait for something outside. Waits do not overlap.
    pub(crate) fn begin_wait(&self) {
        self.wait_began.store(self.elapsed().max(1), Ordering::Relaxed);
    }

    /// The call goes on.
    pub(crate) fn end_wait(&self) {
        let began = self.wait_began.swap(0, Ordering::Relaxed);
        self.waited.fetch_add(self.elapsed().saturating_sub(began), Ordering::Relaxed);
        self.wait_ended.notify_waiters();
    }

    /// The time since the start that was not spent waiting.
    pub(crate) fn run_time(&self) -> Duration {
        let now = self.elapsed();
        let waiting = match self.wait_began.load(Ordering::Relaxed) {
            0 => 0,
            began => now.saturating_sub(began),
        };
        Duration::from_nanos(now.saturating_sub(waiting).saturating_sub(self.waited.load(Ordering::Relaxed)))
    }

    /// Ready when the call has run for so long, not counting the time that it waited.
    pub(crate) async fn has_run_for(&self, limit: Duration) {
        let mut left = limit;
        loop {
            tokio::time::sleep(left).await;
            let wait_ended = self.wait_ended.notified();
            left = limit.saturating_sub(self.run_time());
            if left.is_zero() {
                return;
            }
            if self.wait_began.load(Ordering::Relaxed) != 0 {
                wait_ended.await;
            }
        }
    }

    /// The CPU time of finished polls.
    pub(crate) fn spent(&self) -> Duration {
        Duration::from_nanos(self.spent.load(Ordering::Relaxed))
    }

    /// The CPU time spent, including the poll under way. To be called from within a poll.
    pub(crate) fn spent_in_poll(&self) -> Duration {
        let poll = thread_cpu_time().saturating_sub(self.poll_began.load(Ordering::Relaxed));
        self.spent() + Duration::from_nanos(poll)
    }

    fn elapsed(&self) -> u64 {
        u64::try_from(self.base.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn begin_poll(&self) {
        self.poll_began.store(thread_cpu_time(), Ordering::Relaxed);
    }

    fn end_poll(&self) {
        let poll = thread_cpu_time().saturating_sub(self.poll_began.load(Ordering::Relaxed));
        self.spent.fetch_add(poll, Ordering::Relaxed);
    }
}

/// The CPU time of the calling thread since its start, in nanoseconds.
fn thread_cpu_time() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    u64::try_from(time.tv_sec).unwrap_or(0).saturating_mul(1_000_000_000) + u64::try_from(time.tv_nsec).unwrap_or(0)
}

/// A future whose polls are metered.
pub(crate) struct Metered<F> {
    pub(crate) meter: Arc<Meter>,
    pub(crate) call: F,
}

impl<F: Future + Unpin> Future for Metered<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        self.meter.begin_poll();
        let poll = Pin::new(&mut self.call).poll(context);
        self.meter.end_poll();
        poll
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computes until the thread has used this much CPU time.
    fn compute(work: u64) {
        let began = thread_cpu_time();
        while thread_cpu_time() - began < work {
            std::hint::spin_loop();
        }
    }

    #[tokio::test]
    async fn computing_counts_and_waiting_does_not() {
        let meter = Arc::new(Meter::new());
        let work = Duration::from_millis(20);
        let call = Box::pin(async {
            compute(20_000_000);
            tokio::time::sleep(Duration::from_millis(50)).await;
        });
        let began = thread_cpu_time();
        Metered { meter: meter.clone(), call }.await;
        let used = Duration::from_nanos(thread_cpu_time() - began);
        assert!(meter.spent() >= work && meter.spent() <= used, "{:?} of {used:?}", meter.spent());
    }

    /// A poll in which the thread does not run stands for a machine that is stopped or busy elsewhere.
    #[tokio::test]
    async fn time_off_the_processor_in_a_poll_is_free() {
        let meter = Arc::new(Meter::new());
        let off = Duration::from_millis(200);
        let call = Box::pin(async { std::thread::sleep(off) });
        Metered { meter: meter.clone(), call }.await;
        assert!(meter.base.elapsed() >= off);
        assert!(meter.spent() < off / 4, "{:?}", meter.spent());
    }
}
