//! What one run of an execution may use of the outside.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use flowhost_engine::{HeldMemory, HostMemory};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, MaybeDone, maybe_done};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::exchange::Response;
use super::failure::Failure;
use crate::limits::HttpLimits;

/// What the entry of a response in the journal takes beside the response's texts and bytes, in bytes: its call, its number and
/// the names of its parts. More than it is, so that a refusal still fits behind the last response that does.
const ENTRY_BYTES: usize = 1_000;

/// What a header takes in the journal beside its texts, in bytes.
const HEADER_BYTES: usize = 8;

/// What one run of an execution may use of the outside.
pub(crate) struct Share {
    turns: Arc<Semaphore>,
    /// How many bytes of its journal responses may still fill.
    room: AtomicUsize,
    /// Microseconds that its exchanges may still take, together.
    time: AtomicU64,
    /// For the responses that are read.
    memory: HostMemory,
}

/// A turn that may have to be waited for; dropping it gives the place up.
pub(crate) struct Turn(Pin<Box<MaybeDone<BoxFuture<'static, Option<OwnedSemaphorePermit>>>>>);

impl Turn {
    /// Ready when it has come; none where there are no turns any more.
    pub(super) async fn come(mut self) -> Option<OwnedSemaphorePermit> {
        self.0.as_mut().await;
        self.0.as_mut().take_output().flatten()
    }
}

/// An exchange under way; dropping it counts the time that it took.
pub(super) struct Spending<'a> {
    share: &'a Share,
    since: Instant,
}

impl Share {
    pub(crate) fn new(limits: &HttpLimits, room: usize, memory: HostMemory) -> Self {
        Self {
            turns: Arc::new(Semaphore::new(limits.parallel as usize)),
            room: AtomicUsize::new(room),
            time: AtomicU64::new(micros(limits.total)),
            memory,
        }
    }

    /// The journal has no more room than this.
    pub(crate) fn lower_room(&self, bytes: usize) {
        self.room.fetch_min(bytes, Ordering::Relaxed);
    }

    /// Takes the room that a response will fill in the journal.
    pub(super) fn take_room(&self, response: &Response) -> Result<(), Failure> {
        let bytes = journal_bytes(response);
        let taken = self.room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |room| room.checked_sub(bytes));
        taken.map(drop).map_err(|_| {
            let message = "the responses of this execution together are more than its journal holds (`journal_bytes`)";
            Failure::new(Failure::TOO_LARGE, message)
        })
    }

    /// The memory of a response while it is read: none yet.
    pub(super) fn memory(&self) -> HeldMemory {
        self.memory.held()
    }

    /// A turn. Those who ask first have theirs first, whenever they wait for it.
    pub(crate) fn turn(&self) -> Turn {
        let mut turn = Box::pin(maybe_done(self.turns.clone().acquire_owned().map(Result::ok).boxed()));
        // Takes its place among those who wait.
        let _later = turn.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        Turn(turn)
    }

    /// The time that is left, and what counts it from now on.
    pub(super) fn spend(&self) -> (Duration, Spending<'_>) {
        let left = Duration::from_micros(self.time.load(Ordering::Relaxed));
        (left, Spending { share: self, since: Instant::now() })
    }
}

impl Drop for Spending<'_> {
    fn drop(&mut self) {
        let spent = micros(self.since.elapsed());
        let left = |time: u64| Some(time.saturating_sub(spent));
        let _always = self.share.time.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left);
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// What a response takes in the journal at most, where its bytes are base64 in JSON.
fn journal_bytes(response: &Response) -> usize {
    let base64 = |bytes: usize| bytes.div_ceil(3).saturating_mul(4);
    let headers = response.headers.iter().map(|(name, value)| name.len() + base64(value.0.len()) + HEADER_BYTES);
    // A backslash in an address is two in JSON.
    let texts = 2 * response.url.len() + headers.sum::<usize>();
    base64(response.body.0.len()).saturating_add(texts).saturating_add(ENTRY_BYTES)
}

#[cfg(test)]
mod tests {
    use super::super::base64_bytes::Base64Bytes;
    use super::*;

    fn response(body: usize) -> Response {
        Response {
            status: 200,
            url: r"https://a.example/?\\\\".to_owned(),
            headers: vec![("x-a".to_owned(), Base64Bytes(vec![b'x'; 100])); 10],
            body: Base64Bytes(vec![0; body]),
        }
    }

    #[test]
    fn a_response_takes_at_least_the_room_that_it_fills_in_the_journal() {
        for body in [0, 1, 2, 3, 1_000, 100_000] {
            let response = response(body);
            let kept = serde_json::to_string(&Ok::<_, Failure>(&response)).unwrap();
            let counted = journal_bytes(&response);
            assert!(kept.len() < counted && counted < kept.len() + ENTRY_BYTES + 100, "{} {counted}", kept.len());
        }
    }

    #[test]
    fn room_is_what_the_journal_has_and_is_taken_by_responses() {
        let share = Share::new(&HttpLimits::default(), 1_000_000, HostMemory::unlimited());
        share.take_room(&response(300_000)).unwrap();
        share.lower_room(2_000_000);
        share.take_room(&response(300_000)).unwrap();
        assert_eq!(share.take_room(&response(300_000)).unwrap_err().code, Failure::TOO_LARGE);
        share.lower_room(10);
        assert_eq!(share.take_room(&response(0)).unwrap_err().code, Failure::TOO_LARGE);
    }

    #[tokio::test]
    async fn turns_come_in_the_order_in_which_they_were_asked_for() {
        let share = Share::new(&HttpLimits { parallel: 1, ..HttpLimits::default() }, 0, HostMemory::unlimited());
        let [first, second, third] = [share.turn(), share.turn(), share.turn()];
        assert!(third.come().now_or_never().is_none());
        let third = share.turn();
        let taken = first.come().await.unwrap();
        drop(taken);
        assert!(third.come().now_or_never().is_none());
        assert!(second.come().now_or_never().flatten().is_some());
    }

    #[test]
    fn the_time_of_exchanges_is_counted() {
        let limits = HttpLimits { total: Duration::from_millis(1), ..HttpLimits::default() };
        let share = Share::new(&limits, 0, HostMemory::unlimited());
        let (left, spending) = share.spend();
        assert_eq!(left, Duration::from_millis(1));
        while spending.since.elapsed() < Duration::from_millis(1) {
            std::hint::spin_loop();
        }
        drop(spending);
        assert_eq!(share.spend().0, Duration::ZERO);
    }
}
