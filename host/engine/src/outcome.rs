//! How a call ended.

use std::fmt;
use std::time::{Duration, Instant};

use crate::journal::{Divergence, Journal};
use crate::wait::WaitLimit;

/// What a call left behind, beside its log.
#[derive(Debug)]
pub struct Report {
    /// How it ended.
    pub outcome: Outcome,
    /// CPU time it used.
    pub cpu: Duration,
    /// Time from its start to its end without the time that it waited for something outside.
    pub run_time: Duration,
    /// Bytes of memories and tables it used at the most.
    pub memory_bytes: usize,
    /// Its journal.
    pub journal: Journal,
}

/// The ways in which a call can end. The list is closed: whatever happens is one of these.
#[derive(Debug)]
pub enum Outcome {
    /// The flow returned this JSON text. It is not yet known to be JSON.
    Success(String),
    /// The flow returned an error.
    FlowError(FlowError),
    /// The flow ended itself, by a call that does not return. An error that it ended with so is a [`Self::FlowError`].
    Ended(Ending),
    /// Somebody wished the end.
    Cancelled,
    /// The flow panicked and said so.
    Panic {
        /// The panic's message.
        message: String,
        /// Where in the flow's source.
        place: Option<String>,
        /// The wasm frames.
        trace: Option<String>,
    },
    /// The instance did something that wasm forbids, or ended without returning.
    Trap {
        /// What it did.
        message: String,
        /// The wasm frames.
        trace: Option<String>,
    },
    /// The CPU budget was used up.
    CpuLimit,
    /// The wall time was over.
    TimeLimit,
    /// The flow wanted more memory than its budget.
    MemoryLimit,
    /// The flow gave the host more than its budget.
    OutputLimit(LimitedOutput),
    /// The call waits and has left memory. It goes on when it is run again with its journal.
    Suspended(Suspended),
    /// What the call asked of the host could not be done now, through no fault of its own. It leaves memory, and asks again when
    /// it is run again with its journal.
    Postponed,
    /// The flow was run again and called something else than before.
    Diverged(Divergence),
    /// The journal holds what this host cannot read. The text is for operators.
    JournalDamaged(String),
    /// The host had no memory, or no place in its pool, for what the flow's budget allows. The text is for operators. The same
    /// call may succeed later.
    HostExhausted(String),
    /// The host failed. The text is for operators, never for callers.
    HostFault(String),
}

/// How a flow ended itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Well, with the outputs that it set, and with a message for whoever reads its execution.
    Success(Option<String>),
    /// As if somebody had wished it, and why.
    Cancelled(Option<String>),
}

/// A wait for which a call has left memory.
#[derive(Clone, Copy, Debug)]
pub struct Suspended {
    /// When the wait is over at the latest.
    pub limit: WaitLimit,
    /// When that is, whatever is done to the clock; none where there is no limit.
    pub due: Option<Instant>,
}

/// Which of the things that a flow gives to the host was too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitedOutput {
    /// Its outputs.
    Outputs,
    /// Its log.
    Log,
    /// Its handles to host resources.
    Handles,
    /// Its journal.
    Journal,
    /// The body of its answer.
    Answer,
}

impl fmt::Display for LimitedOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Outputs => "outputs",
            Self::Log => "log",
            Self::Handles => "open handles",
            Self::Journal => "calls to the host in its journal",
            Self::Answer => "the body of its answer",
        })
    }
}

/// The error that a flow returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowError {
    /// For the person who reads the execution.
    pub message: String,
    /// A stable name, chosen by the flow.
    pub code: Option<String>,
    /// JSON text; not yet known to be JSON.
    pub details: Option<String>,
    /// Whether the same input may succeed at another time.
    pub retryable: bool,
}
