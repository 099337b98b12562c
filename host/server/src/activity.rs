//! What a connection is in the middle of.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// The requests under way on a connection, when it last did something, and whether anything is on its way in or out.
///
/// The task of the connection writes everything but the count and the time, which the tasks of HTTP/2 streams write as well.
#[derive(Debug)]
pub(crate) struct Activity {
    opened: Instant,
    running: AtomicUsize,
    /// When a request ended, or when some of an answer was last taken, in milliseconds after `opened`.
    last_moved: AtomicU64,
    /// A head has arrived in part.
    has_begun: AtomicBool,
    /// Something was written and may not be whole.
    is_writing: AtomicBool,
    /// A request was begun, and its answer is not written yet to its last byte.
    is_answering: AtomicBool,
    /// Bodies of answers that may have more.
    bodies: AtomicUsize,
    /// The last that was done was to wait for a request, with nothing left to write.
    is_quiet: AtomicBool,
}

impl Activity {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            opened: Instant::now(),
            running: AtomicUsize::new(0),
            last_moved: AtomicU64::new(0),
            has_begun: AtomicBool::new(false),
            is_writing: AtomicBool::new(false),
            is_answering: AtomicBool::new(false),
            bodies: AtomicUsize::new(0),
            is_quiet: AtomicBool::new(false),
        })
    }

    /// Begins a request.
    pub(crate) fn begin(self: &Arc<Self>) -> Running {
        self.running.fetch_add(1, Ordering::Relaxed);
        self.has_begun.store(false, Ordering::Relaxed);
        self.is_answering.store(true, Ordering::Relaxed);
        Running(self.clone())
    }

    /// Begins an answer's body that does not come whole.
    pub(crate) fn begin_body(self: &Arc<Self>) -> BodyUnderWay {
        self.bodies.fetch_add(1, Ordering::Relaxed);
        BodyUnderWay(self.clone())
    }

    /// Whether what is written now may be part of an answer to a request.
    pub(crate) fn is_answering(&self) -> bool {
        self.is_answering.load(Ordering::Relaxed)
    }

    fn end(&self) {
        self.has_moved();
        self.running.fetch_sub(1, Ordering::Relaxed);
    }

    /// The client has taken some of an answer.
    pub(crate) fn has_moved(&self) {
        let now = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_moved.store(now, Ordering::Relaxed);
    }

    fn is_running(&self) -> bool {
        self.running.load(Ordering::Relaxed) > 0
    }

    /// Returns when the connection will have been idle for `limit` if nothing happens until then.
    pub(crate) fn idle_at(&self, limit: Duration) -> Instant {
        if self.is_running() {
            return Instant::now() + limit;
        }
        self.opened + Duration::from_millis(self.last_moved.load(Ordering::Relaxed)) + limit
    }

    /// Whether no request is under way and no answer, so that it can be ended: at most half a head gets lost.
    pub(crate) fn is_resting(&self) -> bool {
        !self.is_running() && !self.is_writing.load(Ordering::Relaxed)
    }

    /// Whether nothing is on its way, so that the next byte begins a request.
    pub(crate) fn is_quiet(&self) -> bool {
        !self.is_running() && self.is_quiet.load(Ordering::Relaxed)
    }

    /// Returns whether the next byte that is read begins a request, unless that of another follows it at once.
    pub(crate) fn begins(&self) -> bool {
        !self.is_running() && !self.has_begun.load(Ordering::Relaxed)
    }

    /// Bytes were read, or the client has said that there are no more.
    pub(crate) fn has_read(&self) {
        self.is_quiet.store(false, Ordering::Relaxed);
        if !self.is_running() {
            self.has_begun.store(true, Ordering::Relaxed);
        }
    }

    /// More bytes were asked for, and there are none yet.
    pub(crate) fn waits_to_read(&self) {
        let is_busy = self.has_begun.load(Ordering::Relaxed) || self.is_writing.load(Ordering::Relaxed);
        self.is_quiet.store(!is_busy, Ordering::Relaxed);
    }

    /// Something is written.
    pub(crate) fn writes(&self) {
        self.is_quiet.store(false, Ordering::Relaxed);
        self.is_writing.store(true, Ordering::Relaxed);
    }

    /// All that there is was written.
    pub(crate) fn has_written(&self) {
        self.is_writing.store(false, Ordering::Relaxed);
        if !self.is_running() && self.bodies.load(Ordering::Relaxed) == 0 {
            self.is_answering.store(false, Ordering::Relaxed);
        }
    }
}

/// A request under way. Dropped at its end, also when its stream is reset.
pub(crate) struct Running(Arc<Activity>);

impl Running {
    /// Returns what the connection is in the middle of.
    pub(crate) fn activity(&self) -> Arc<Activity> {
        self.0.clone()
    }

    /// Returns another part of the same request, which ends with its last part.
    pub(crate) fn part(&self) -> Self {
        self.0.running.fetch_add(1, Ordering::Relaxed);
        Self(self.0.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// A body of which more may come. Dropped when the connection has taken the last of it.
pub(crate) struct BodyUnderWay(Arc<Activity>);

impl Drop for BodyUnderWay {
    fn drop(&mut self) {
        self.0.bodies.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connection_is_quiet_between_whole_requests() {
        let activity = Activity::new();
        activity.waits_to_read();
        assert!(activity.is_quiet());
        activity.has_read();
        activity.waits_to_read();
        assert!(!activity.is_quiet(), "half a head");
        activity.has_read();
        let running = activity.begin();
        activity.waits_to_read();
        assert!(!activity.is_quiet(), "a request under way");
        drop(running);
        activity.writes();
        activity.waits_to_read();
        assert!(!activity.is_quiet(), "an answer that its client does not take");
        activity.has_written();
        activity.waits_to_read();
        assert!(activity.is_quiet());
    }
    #[test]
    fn answer_is_under_way_until_its_last_byte_is_written() {
        let activity = Activity::new();
        assert!(!activity.is_answering());
        let running = activity.begin();
        let body = activity.begin_body();
        drop(running);
        activity.writes();
        activity.has_written();
        assert!(activity.is_answering(), "the next piece of the body");
        drop(body);
        activity.writes();
        assert!(activity.is_answering(), "the last piece");
        activity.has_written();
        assert!(!activity.is_answering());
    }
}
