//! What a host lets its callers and flows use.

use std::time::Duration;

pub use flowhost_engine::{Budget, CompileLimits};

/// The limits of a host. The defaults are those of the wire contract.
#[derive(Clone, Debug)]
pub struct Limits {
    /// What one execution may use.
    pub budget: Budget,
    /// Executions at once.
    pub executions: u32,
    /// Accepted asynchronous executions that wait for their turn; beyond it a call is refused as `host.busy`.
    pub queued: u32,
    /// How long a call waits for a free slot before it is refused as `host.busy`.
    pub admission_wait: Duration,
    /// How long a synchronous call waits for the end of its execution.
    pub wait: Duration,
    /// How long a caller may take nothing of an answer that a flow writes while it is sent.
    pub body_stall: Duration,
    /// How long a flow may wait without writing to the caller that reads its answer. It stays in memory meanwhile; then it may leave,
    /// and the answer is cut off. Nobody sees before that whether the caller is still there.
    pub body_silence: Duration,
    /// The largest body of a request, in bytes.
    pub body_bytes: u64,
    /// How long an execution that waits stays in memory before it leaves its slot to others.
    pub unload: Duration,
    /// Children that one execution may start.
    pub children: u32,
    /// How many parents, parents of parents and so on an execution may have.
    pub child_depth: u32,
    /// What one compilation may use.
    pub compile: CompileLimits,
    /// The most bytes that the store may take on disk; no limit but the disk unless set. A host that has reached it answers
    /// as one whose disk is full.
    pub data_bytes: Option<u64>,
    /// The largest file, in bytes.
    pub file_bytes: u64,
    /// How long a list may be worked on before its caller is answered `request.too-costly`.
    pub list: Duration,
    /// How long the ticket of an asynchronous call can be used.
    pub ticket: Duration,
    /// How long a login lasts.
    pub session: Duration,
    /// How long after their last activity a user's executions in development mode still start.
    pub development: Duration,
    /// What requests of flows to the outside may use.
    pub http: HttpLimits,
}

/// What requests of flows to the outside may use.
#[derive(Clone, Debug)]
pub struct HttpLimits {
    /// The largest body of a request, and of a response, in bytes. A response is part of its execution's journal.
    pub body_bytes: u64,
    /// How long one exchange takes at most, from the turn of its execution's own to the end of the response, redirects included.
    pub time: Duration,
    /// How long the exchanges of one execution take at most together, each counted by itself, while it stays in memory.
    pub total: Duration,
    /// How long a connection takes at most until it is there.
    pub connect: Duration,
    /// Requests that one execution may send.
    pub requests: u32,
    /// Exchanges of one execution at once; more wait for their turn.
    pub parallel: u32,
    /// Exchanges of all executions at once; more wait for their turn.
    pub host_parallel: u32,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            // A quarter of what a journal holds.
            body_bytes: 4 << 20,
            time: Duration::from_secs(30),
            // An execution holds its slot meanwhile. Hundreds of slow answers fit, a thousand that never come do not.
            total: Duration::from_secs(3600),
            connect: Duration::from_secs(10),
            requests: 1_000,
            parallel: 8,
            host_parallel: 256,
        }
    }
}

/// The most that a webhook may set as its largest body: a body is held in memory as long as its execution.
pub const BODY_BYTES_CAP: u64 = 16 << 20;

impl Default for Limits {
    fn default() -> Self {
        Self {
            budget: Budget::default(),
            executions: 200,
            queued: 10_000,
            admission_wait: Duration::from_secs(5),
            wait: Duration::from_secs(30),
            body_stall: Duration::from_secs(30),
            body_silence: Duration::from_secs(300),
            body_bytes: 1 << 20,
            // Long enough for most calls that are answered at once elsewhere, short beside what is worth waiting for unloaded.
            unload: Duration::from_secs(10),
            children: 1_000,
            child_depth: 10,
            compile: CompileLimits::default(),
            data_bytes: None,
            // What goes through memory as a whole where a client sends it.
            file_bytes: 64 << 20,
            // A list without a filter takes milliseconds, also of millions.
            list: Duration::from_secs(2),
            ticket: Duration::from_secs(24 * 3600),
            // As in the modelled system.
            session: Duration::from_secs(30 * 24 * 3600),
            development: Duration::from_secs(24 * 3600),
            http: HttpLimits::default(),
        }
    }
}
