//! Executions as stores keep them.

use flowhost_model::{
    Actor, ConcurrencyLimit, Execution, JournalEntry, LogLine, Priority, RecordId, RequestRecord, Timestamp,
};

use crate::LockKey;

/// An execution that has not ended, with all that is needed to run it again.
#[derive(Clone, Debug)]
pub struct ExecutionRow {
    /// The execution.
    pub execution: Execution,
    /// The request behind it.
    pub request: Option<RequestRecord>,
    /// The seed of its randomness.
    pub seed: [u8; 32],
    /// When it must have ended, by its wall limit and had it waited for nothing; none before it began.
    pub deadline: Option<Timestamp>,
    /// With whose permissions it acts; none for nobody's.
    pub actor: Option<Actor>,
    /// Whether it goes on when its parent has ended.
    pub is_detached: bool,
    /// How many parents are above it.
    pub depth: u32,
    /// A limit that it shares with others.
    pub concurrency: Option<ConcurrencyLimit>,
    /// Who runs it; none where it waits to be claimed.
    pub owner: Option<OwnerId>,
    /// Whether somebody wished its end. Given by the store; ignored in a write.
    pub is_cancelled: bool,
    /// Its journal. Given by [`Store::load_execution`](crate::Store::load_execution); ignored in a write.
    pub journal: Vec<JournalEntry>,
    /// How many lines of its log came from the flow and not from the host. Given by the store; ignored in a write.
    pub log_lines: u64,
    /// How often in a row its host died while it ran or may have run. Set by [`Store::recover`](crate::Store::recover), 0 again
    /// once its journal grows or it leaves memory. Given by the store; ignored in a write.
    pub deaths: u32,
}

/// Where an execution came from: what it takes to start the same once more, also after its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// With whose permissions it acts; `None` if it has no permissions, and for executions that ended in an earlier version.
    pub actor: Option<Actor>,
    /// The request behind it, as far as it is kept.
    pub request: Option<RequestRecord>,
}

/// The longest body of a request that is kept after the execution's end, in bytes, unless the input holds it: a JSON
/// payload is in the input, and forms are short.
pub const KEPT_BODY_BYTES: usize = 256 << 10;

/// An execution is not run again after this many deaths of its host in a row: it may be what kills the host.
pub const DEATHS_LIMIT: u32 = 3;

/// Names a process that owns executions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OwnerId(pub i64);

/// An execution in the queue, without what it takes to run it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// The execution.
    pub id: RecordId,
    /// Its flow.
    pub flow_id: RecordId,
    /// The webhook that started it.
    pub webhook_id: Option<RecordId>,
    /// Its place in the queue.
    pub priority: Priority,
    /// A limit that it shares with others.
    pub concurrency: Option<ConcurrencyLimit>,
    /// Whether it runs in productive mode.
    pub is_productive: bool,
    /// The user that answers for it.
    pub user_id: Option<RecordId>,
    /// How often in a row its host died while it ran or may have run, as [`ExecutionRow::deaths`].
    pub deaths: u32,
}

impl Ticket {
    /// Whether the host may die of the execution: at its next death it is not run again.
    pub fn is_suspect(&self) -> bool {
        self.deaths + 1 >= DEATHS_LIMIT
    }
}

/// What became of others when an execution ended.
#[derive(Clone, Debug, Default)]
pub struct Ended {
    /// Who waited for its end or for one of its locks, and is `SCHEDULED` now, for the owner of the ended one. Where that was
    /// nobody's, so are they: they are not given back, and are found by
    /// [`Store::claim_executions`](crate::Store::claim_executions).
    pub woken: Vec<Ticket>,
    /// Its children that are cancelled with it.
    pub cancelled: Vec<RecordId>,
    /// The locks that it held.
    pub released: Vec<LockKey>,
}

/// An execution that leaves memory before its end.
#[derive(Clone, Debug)]
pub struct Suspension {
    /// The execution as it stands: its status is `WAITING`, `PAUSED` or, for another owner to go on at once, `SCHEDULED`.
    /// Where the store has a row of it, only what changes while it runs is kept.
    pub row: ExecutionRow,
    /// Whether it was inserted before.
    pub is_known: bool,
    /// The number of the first of `entries` in the journal. Those that the journal has already are left as they are.
    pub first: u64,
    /// What is not in its journal yet.
    pub entries: Vec<JournalEntry>,
    /// What is not in its log yet.
    pub log: Vec<LogLine>,
    /// Whether `row.execution.wake_at` moves with the clock, since the wait is for some time and not until a time.
    pub is_relative: bool,
    /// What it waits for, beside a time.
    pub awaits: Option<Awaits>,
}

/// What an execution waits for.
#[derive(Clone, Debug)]
pub enum Awaits {
    /// The ends of others.
    Children {
        /// Their ids. One that does not exist has ended, nobody knows how; a wait for none is over at once.
        children: Vec<RecordId>,
        /// Which of their ends ends the wait.
        when: ReturnWhen,
    },
    /// That this lock is released. One that it holds itself is no wait.
    Lock(LockKey),
    /// That this message does not wait for its answer any more.
    Message(RecordId),
}

/// Which end of several executions ends a wait for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ReturnWhen {
    /// The last, however they end.
    AllEnded,
    /// The last, or the first that is not a success.
    AllSucceeded,
    /// The first, however it ends.
    FirstEnded,
}

/// What [`Store::claim_due`](crate::Store::claim_due) found.
#[derive(Clone, Debug, Default)]
pub struct Due {
    /// Those whose time has come.
    pub tickets: Vec<Ticket>,
    /// When the next one's time comes.
    pub next: Option<Timestamp>,
}

/// What [`Store::recover`](crate::Store::recover) found.
#[derive(Clone, Debug, Default)]
pub struct Recovered {
    /// How many are run again.
    pub again: u64,
    /// How many were ended as interrupted.
    pub interrupted: u64,
    /// How many were ended because the host died with them [`DEATHS_LIMIT`] times in a row.
    pub given_up: u64,
    /// How many are paused, and stay so.
    pub paused: u64,
    /// How many of these each user answers for.
    pub paused_of: Vec<(Option<RecordId>, u64)>,
    /// How many wait, and go on when their event comes.
    pub waiting: u64,
}
