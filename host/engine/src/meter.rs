//! The CPU time of one call.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// Counts the time that a call's future spends being polled.
///
/// Epochs tick in wall time, also while the guest waits for the host; polls are when it really runs.
#[derive(Debug)]
pub(crate) struct Meter {
    base: Instant,
    /// Nanoseconds of finished polls.
    spent: AtomicU64,
    /// When the poll under way began, in nanoseconds since `base`; only read from within that poll.
    poll_began: AtomicU64,
}

impl Meter {
    pub(crate) fn new() -> Self {
        Self { base: Instant::now(), spent: AtomicU64::new(0), poll_began: AtomicU64::new(0) }
    }

    /// The time spent in finished polls.
    pub(crate) fn spent(&self) -> Duration {
        Duration::from_nanos(self.spent.load(Ordering::Relaxed))
    }

    /// The time spent, with the poll under way. To be called from within a poll.
    pub(crate) fn spent_in_poll(&self) -> Duration {
        let poll = self.elapsed().saturating_sub(self.poll_began.load(Ordering::Relaxed));
        self.spent() + Duration::from_nanos(poll)
    }

    fn elapsed(&self) -> u64 {
        u64::try_from(self.base.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn begin_poll(&self) {
        self.poll_began.store(self.elapsed(), Ordering::Relaxed);
    }

    fn end_poll(&self) {
        let poll = self.elapsed().saturating_sub(self.poll_began.load(Ordering::Relaxed));
        self.spent.fetch_add(poll, Ordering::Relaxed);
    }
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

    #[tokio::test]
    async fn waiting_is_not_spending() {
        let meter = Arc::new(Meter::new());
        let work = Duration::from_millis(20);
        let call = Box::pin(async {
            let began = Instant::now();
            while began.elapsed() < work {
                std::hint::spin_loop();
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        });
        Metered { meter: meter.clone(), call }.await;
        assert!(meter.spent() >= work, "{:?}", meter.spent());
        assert!(meter.base.elapsed() >= work + Duration::from_millis(200));
        assert!(meter.base.elapsed() - meter.spent() >= Duration::from_millis(150));
    }
}
