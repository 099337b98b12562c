//! What one call may use.

use std::time::Duration;

/// The limits of one call. Each ends the call with an outcome of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Time that the call's future spends being polled.
    pub cpu: Duration,
    /// Time from the start of the call to its end.
    pub wall: Duration,
    /// Bytes of all memories and tables of the instance together.
    pub memory_bytes: usize,
    /// Bytes of JSON that the flow gives back.
    pub output_bytes: usize,
    /// Bytes of all log lines together, standard output and standard error included.
    pub log_bytes: usize,
    /// Handles to host resources that the flow holds at once.
    pub handles: usize,
    /// Calls of the flow that read or change something outside of it.
    pub journal_entries: u64,
    /// Bytes of what these calls asked and were told.
    pub journal_bytes: usize,
}

impl Default for Budget {
    /// The defaults of the wire contract: 1 s of CPU, 60 s, 128 MiB, 1 MiB of outputs, 256 KiB of log.
    ///
    /// A flow needs a handful of handles (a request, two streams, a timer). 10,000 leaves room for libraries that give none back:
    /// JavaScript's `fetch` keeps seven of each exchange, and one of each 8 KiB of a response. A handle takes some hundred bytes of the host's memory. What stands behind it is limited whatever the number of
    /// handles: the runtime counts the bytes of all that a flow has not sent or started yet.
    fn default() -> Self {
        Self {
            cpu: Duration::from_secs(1),
            wall: Duration::from_secs(60),
            memory_bytes: 128 << 20,
            output_bytes: 1 << 20,
            log_bytes: 256 << 10,
            handles: 10_000,
            // A run of the flow again reads all of it, so it bounds the time that takes.
            journal_entries: 10_000,
            journal_bytes: 16 << 20,
        }
    }
}
