//! The contract of a store.

use async_trait::async_trait;
use flowhost_model::{
    Actor, Body, ConcurrencyLimit, Digest, Execution, FlowVersion, JournalEntry, LogLine, Meta, Priority, Record,
    RecordId, RecordType, RequestRecord, Status, Timestamp,
};

use crate::{Error, ExecutionPage, ExecutionQuery, HistoryEntry, RecordPage, RecordQuery, Result};

/// Keeps records and executions, durably: when a write has answered, its effect survives the loss of power.
///
/// Writes are serialised; each is whole or not at all. Reads see every write that has answered before they began.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Makes all of these changes or none, and gives the revision they made.
    ///
    /// Errors: [`Error::NameTaken`], [`Error::NotFound`], [`Error::Conflict`].
    async fn write(&self, changes: Vec<Write>) -> Result<u64>;

    /// The record with this id, if there is one, also from the trash.
    async fn record(&self, id: RecordId) -> Result<Option<StoredRecord>>;

    /// The record of this type and name, if there is one that is not in the trash.
    async fn record_by_name(&self, record_type: RecordType, name: &str) -> Result<Option<StoredRecord>>;

    /// All records of a type that are not in the trash, by name.
    async fn records(&self, record_type: RecordType) -> Result<Vec<StoredRecord>>;

    /// A page of a list of records of a type. Texts are ordered by their characters' numbers, `false` comes before
    /// `true` and null before everything else; without an order it is by name.
    ///
    /// Errors: [`Error::InvalidCursor`], [`Error::UnknownField`].
    async fn query_records(&self, record_type: RecordType, query: RecordQuery) -> Result<RecordPage>;

    /// What happened to the record with this id, newest first; also where it is gone.
    async fn record_history(&self, id: RecordId) -> Result<Vec<HistoryEntry>>;

    /// Keeps when identities were active, unless a later time is kept already.
    async fn save_activity(&self, activities: Vec<(RecordId, Timestamp)>) -> Result<()>;

    /// When each identity was last active.
    async fn activities(&self) -> Result<Vec<(RecordId, Timestamp)>>;

    /// The number of the last write of records. It grows with each.
    async fn revision(&self) -> Result<u64>;

    /// The records that were written or deleted after `revision`, each once, oldest change first.
    async fn changes_since(&self, revision: u64) -> Result<Vec<Change>>;

    /// The versions of a flow, newest first.
    async fn flow_versions(&self, flow_id: RecordId) -> Result<Vec<FlowVersion>>;

    /// The bytes of a component, if it is kept.
    async fn component(&self, digest: Digest) -> Result<Option<Vec<u8>>>;

    /// The bytes of a file from `offset` on: at most `length`, fewer where the file ends. None where there is no such file;
    /// one in the trash keeps its bytes.
    async fn file_piece(&self, file: RecordId, offset: u64, length: u64) -> Result<Option<FilePiece>>;

    /// Keeps an execution that has not ended, with its request where it has one. `row.execution.id` must be new.
    async fn insert_execution(&self, row: ExecutionRow) -> Result<()>;

    /// Keeps an ended execution; `log` is added to what is kept of its log. `is_known` says that it was inserted before; its
    /// row is then replaced.
    ///
    /// What it takes to run it again is dropped: request, journal, what it waited for. Its children that have not ended and
    /// are not detached are marked as cancelled and given back; a parent that waited in the store for this end becomes
    /// `SCHEDULED` and is given back. Its locks are released as [`Write::ReleaseLock`] does; who has one of them then is
    /// given back as well. Its messages that wait for an answer get the status `CLOSED`.
    ///
    /// Errors: [`Error::NotFound`] where a known one does not exist or has ended, [`Error::Conflict`] where a new one exists.
    async fn end_execution(&self, execution: Execution, log: Vec<LogLine>, is_known: bool) -> Result<Ended>;

    /// Puts an execution that leaves memory before its end into the store, in one transaction.
    ///
    /// Gives whether what it waits for has happened already; it is `SCHEDULED` then, for its owner.
    ///
    /// Errors: [`Error::NotFound`] where it has ended, or was to be there and is not.
    async fn suspend_execution(&self, suspension: Suspension) -> Result<bool>;

    /// Makes the process that opened the store an owner of executions until `until`; later calls with the id that this gives
    /// extend that.
    async fn hold_lease(&self, owner: Option<OwnerId>, until: Timestamp) -> Result<OwnerId>;

    /// Lets others claim what this owner has in its queue, and ends its lease.
    async fn release_owner(&self, owner: OwnerId) -> Result<()>;

    /// Claims `SCHEDULED` executions that nobody owns: the most urgent first, then in the order of their admission.
    async fn claim_executions(&self, owner: OwnerId, limit: u32) -> Result<Vec<Ticket>>;

    /// Claims `WAITING` executions whose time has come, which are `SCHEDULED` then; those whose time came first, first.
    async fn claim_due(&self, owner: OwnerId, now: Timestamp, limit: u32) -> Result<Due>;

    /// The executions in development mode that wait in the store, with their users: at most `limit`, by id, behind `after`.
    async fn waiting_in_development(
        &self,
        after: Option<RecordId>,
        limit: u32,
    ) -> Result<Vec<(RecordId, Option<RecordId>)>>;

    /// Moves the times of those who wait for some time, and not until a time, by so many microseconds: the clock jumped.
    async fn shift_waits(&self, micros: i64) -> Result<()>;

    /// All that is needed to run an execution that has not ended, with its journal.
    ///
    /// Errors: [`Error::NotFound`] where it does not exist or has ended.
    async fn load_execution(&self, id: RecordId) -> Result<ExecutionRow>;

    /// Marks an execution that has not ended as cancelled: whoever runs it next ends it.
    ///
    /// Errors: [`Error::NotFound`] where it does not exist or has ended.
    async fn mark_cancelled(&self, id: RecordId) -> Result<()>;

    /// Makes a `WAITING` or `SCHEDULED` execution `PAUSED`, with a message.
    ///
    /// Errors: [`Error::NotFound`] where it is neither.
    async fn pause_execution(&self, id: RecordId, message: String) -> Result<()>;

    /// Makes an execution that waits in the store `PAUSED`, with a message.
    ///
    /// Errors: [`Error::NotFound`] where it does not.
    async fn pause_waiting(&self, id: RecordId, message: String) -> Result<()>;

    /// The executions with these ids that are kept, in no order.
    async fn executions(&self, ids: Vec<RecordId>) -> Result<Vec<Execution>>;

    /// Changes the status of an execution that has not ended.
    ///
    /// Errors: [`Error::NotFound`] where it does not exist or has ended.
    async fn set_execution_status(&self, id: RecordId, status: Status, message: Option<String>) -> Result<()>;

    /// Changes whether an execution that has not ended is productive.
    ///
    /// Errors: [`Error::NotFound`] where it does not exist or has ended.
    async fn set_productive(&self, id: RecordId, is_productive: bool) -> Result<()>;

    /// Makes a `PAUSED` execution `SCHEDULED` for this owner, without a message. Of several who ask for it at the same time,
    /// one gets it.
    ///
    /// Errors: [`Error::NotFound`] where it does not exist or is not paused.
    async fn resume_execution(&self, owner: OwnerId, id: RecordId) -> Result<Ticket>;

    /// The execution with this id, if it is kept.
    async fn execution(&self, id: RecordId) -> Result<Option<Execution>>;

    /// The log of an execution, oldest line first, from line `from` (counted from 0) and at most `limit` lines.
    async fn execution_log(&self, id: RecordId, from: u64, limit: u32) -> Result<Vec<LogLine>>;

    /// A page of a list of executions, ordered as [`query_records`](Self::query_records) does; without an order newest
    /// first. `name` is the flow's, `status` is ordered by an execution's life, and an order by `created_at` is the order
    /// of admission, which is the ids'. What executions do not have, such as a description, is null.
    ///
    /// Errors: [`Error::InvalidCursor`], [`Error::UnknownField`].
    async fn query_executions(&self, query: ExecutionQuery) -> Result<ExecutionPage>;

    /// What former owners left behind, settled in one transaction: executions that somebody owned and that are durable are
    /// `SCHEDULED` and nobody's, with their attempt counted up and a line in their log; the others that somebody owned end with
    /// `execution.interrupted` at `now`. What was nobody's, waits or is paused stays as it is, and is not read; but where it is
    /// marked as cancelled it is `SCHEDULED`, so that somebody ends it.
    ///
    /// To be called before the first [`hold_lease`](Self::hold_lease): the owners that there are then are former ones, and
    /// are gone afterwards.
    async fn recover(&self, now: Timestamp) -> Result<Recovered>;

    /// The lock of this name, if somebody holds it.
    async fn lock(&self, name: &str) -> Result<Option<Lock>>;

    /// The locks that are held, by name: at most `limit`, behind the name `after`.
    async fn locks(&self, after: Option<&str>, limit: u32) -> Result<Vec<Lock>>;

    /// How many locks an execution holds.
    async fn lock_count(&self, execution: RecordId) -> Result<u64>;

    /// The value kept under a name of the host's own, such as a signing key.
    async fn host_value(&self, name: &str) -> Result<Option<Vec<u8>>>;

    /// Keeps a value under a name of the host's own, unless there is one already; gives the one that is kept.
    async fn host_value_or_insert(&self, name: &str, value: Vec<u8>) -> Result<Vec<u8>>;

    /// Sizes and waits, for operators.
    async fn stats(&self) -> Result<StoreStats>;

    /// Finishes the writes under way, folds the write-ahead log back, and lets go of the data. Later calls answer
    /// [`Error::Closed`].
    async fn close(&self) -> Result<()>;
}

/// One change of a [`Store::write`].
#[derive(Clone, Debug)]
pub enum Write {
    /// Creates or replaces a record.
    Record(RecordWrite),
    /// Removes a record for good.
    DeleteRecord {
        /// The record.
        id: RecordId,
        /// What must be there before: the record as of a revision.
        expected: Expected,
        /// The identity that removes it.
        by: Option<RecordId>,
        /// The present.
        at: Timestamp,
        /// Why, for the record's history.
        commit_message: Option<String>,
        /// Whether the write is remembered in the record's history, as [`RecordWrite::is_remembered`] says.
        is_remembered: bool,
    },
    /// Keeps an execution that has not ended, as [`Store::insert_execution`] does.
    Execution(Box<ExecutionRow>),
    /// Marks an execution as cancelled, as [`Store::mark_cancelled`] does; nothing where it has ended.
    Cancel(RecordId),
    /// Gives a lock to an execution that has not ended.
    ///
    /// Errors: [`Error::Conflict`] where somebody holds it, [`Error::NotFound`] where the execution has ended.
    AcquireLock {
        /// The lock.
        name: String,
        /// Who gets it.
        execution: RecordId,
        /// The present.
        at: Timestamp,
    },
    /// Takes a lock from an execution; nothing where that does not hold it. Of those who wait in the store for its release the
    /// one that was admitted first has it then, and becomes `SCHEDULED` and nobody's.
    ReleaseLock {
        /// The lock.
        name: String,
        /// Who holds it.
        execution: RecordId,
        /// The present.
        at: Timestamp,
    },
    /// Keeps that a message, a record of the same or an earlier write, waits for its answer.
    ///
    /// Error: [`Error::NotFound`] where the execution has ended.
    OpenMessage {
        /// The record.
        message: RecordId,
        /// Whose message it is.
        execution: RecordId,
    },
    /// A message does not wait any more. Its execution, if it waits for that in the store, becomes `SCHEDULED` and nobody's.
    ///
    /// Error: [`Error::Conflict`] where it did not wait.
    SettleMessage(RecordId),
    /// Adds to the journal of an execution that has not ended.
    ///
    /// Error: [`Error::NotFound`] where it has ended, so that nothing of the write is kept.
    Journal(JournalWrite),
    /// Changes the bytes of a file. To be made behind the write of its record in the same transaction, which says their
    /// number and gives both their revision.
    ///
    /// Errors: [`Error::NotFound`] where there is no such file, [`Error::Conflict`] where it is not as large as expected.
    FileContent {
        /// The file.
        file: RecordId,
        /// What becomes of its bytes.
        content: FileContent,
    },
    /// Adds a version of a flow, with the component's bytes unless a component of that digest is kept already.
    FlowVersion {
        /// The version. Its number must be the next of its flow.
        version: FlowVersion,
        /// The component's bytes.
        component: Vec<u8>,
    },
}

/// A record to create or replace.
#[derive(Clone, Debug)]
pub struct RecordWrite {
    /// What to keep.
    pub record: StoredRecord,
    /// What must be there before.
    pub expected: Expected,
    /// Why, for the record's history.
    pub commit_message: Option<String>,
    /// Whether the write is remembered in the record's history. What flows write by the thousand is not.
    pub is_remembered: bool,
}

/// What becomes of the bytes of a file.
#[derive(Clone, PartialEq, Eq)]
pub enum FileContent {
    /// These are all of them.
    Whole(Vec<u8>),
    /// More of them.
    Added {
        /// How many there are before.
        size: u64,
        /// What comes behind them.
        bytes: Vec<u8>,
    },
}

/// The bytes themselves are nobody's to read in a log.
impl std::fmt::Debug for FileContent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Whole(bytes) => write!(f, "Whole({} bytes)", bytes.len()),
            Self::Added { size, bytes } => write!(f, "Added({} bytes behind {size})", bytes.len()),
        }
    }
}

/// Some of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePiece {
    /// The revision of the file's record at the moment of reading: what is read in pieces is of one file where it is the
    /// same for each.
    pub revision: u64,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// More of an execution's journal.
#[derive(Clone, Debug)]
pub struct JournalWrite {
    /// The execution.
    pub execution: RecordId,
    /// Set where this is the first of its journal: when the execution began, and when it must have ended. The row is
    /// `RUNNING` then.
    pub begins: Option<(Timestamp, Timestamp)>,
    /// Whether the execution is run again when it is cut off, from now on.
    pub is_durable: bool,
    /// The number of the first entry, counted from 0. It must be the next of the journal.
    pub first: u64,
    /// The entries.
    pub entries: Vec<JournalEntry>,
}

/// What a write expects to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// No record of the id: a creation.
    Absent,
    /// The record as of this revision: nobody changed it meanwhile.
    Revision(u64),
}

/// A record in the form that stores keep: the type's own part is JSON.
#[derive(Clone, Debug)]
pub struct StoredRecord {
    /// Its type.
    pub record_type: RecordType,
    /// What every record has.
    pub meta: Meta,
    /// The type's own part, a JSON object.
    pub body: String,
    /// The revision of its last write. Given by the store; ignored in a write.
    pub revision: u64,
}

impl StoredRecord {
    /// The stored form of a record.
    pub fn from_record<B: Body>(record: &Record<B>) -> Result<Self> {
        let body = serde_json::to_string(&record.body).map_err(|error| Error::Damaged(error.to_string()))?;
        Ok(Self { record_type: B::TYPE, meta: record.meta.clone(), body, revision: 0 })
    }

    /// The record, where it is of the type `B`.
    pub fn into_record<B: Body>(self) -> Result<Record<B>> {
        if self.record_type != B::TYPE {
            return Err(Error::Damaged(format!("record {} is not a {}", self.meta.id, B::TYPE.as_str())));
        }
        let body = serde_json::from_str(&self.body)
            .map_err(|error| Error::Damaged(format!("record {}: {error}", self.meta.id)))?;
        Ok(Record { meta: self.meta, body })
    }
}

/// A record that was written or deleted.
#[derive(Clone, Debug)]
pub enum Change {
    /// It was created or replaced.
    Written(StoredRecord),
    /// It was removed for good.
    Deleted {
        /// Its type.
        record_type: RecordType,
        /// Its id.
        id: RecordId,
        /// The revision of its removal.
        revision: u64,
    },
}

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
    /// Its journal. Given by [`Store::load_execution`]; ignored in a write.
    pub journal: Vec<JournalEntry>,
    /// How many lines of its log came from the flow and not from the host. Given by the store; ignored in a write.
    pub log_lines: u64,
}

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
}

/// What became of others when an execution ended.
#[derive(Clone, Debug, Default)]
pub struct Ended {
    /// Who waited for its end or for one of its locks, and is `SCHEDULED` now, for the owner of the ended one. Where that was
    /// nobody's, so are they: they are not given back, and are found by [`Store::claim_executions`].
    pub woken: Vec<Ticket>,
    /// Its children that are cancelled with it.
    pub cancelled: Vec<RecordId>,
    /// The names of the locks that it held.
    pub released: Vec<String>,
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
    /// That the lock of this name is released. One that it holds itself is no wait.
    Lock(String),
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

/// A lock that an execution holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// Its name.
    pub name: String,
    /// The execution.
    pub execution: RecordId,
    /// The name of the execution's flow.
    pub flow_name: String,
    /// The project that the execution belongs to.
    pub project_id: Option<RecordId>,
    /// Since when it holds the lock.
    pub since: Timestamp,
}

/// What [`Store::claim_due`] found.
#[derive(Clone, Debug, Default)]
pub struct Due {
    /// Those whose time has come.
    pub tickets: Vec<Ticket>,
    /// When the next one's time comes.
    pub next: Option<Timestamp>,
}

/// What [`Store::recover`] found.
#[derive(Clone, Debug, Default)]
pub struct Recovered {
    /// How many are run again.
    pub again: u64,
    /// How many were ended as interrupted.
    pub interrupted: u64,
    /// How many are paused, and stay so.
    pub paused: u64,
    /// How many wait, and go on when their event comes.
    pub waiting: u64,
}

/// Sizes and waits of a store.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct StoreStats {
    /// The size of the data, in bytes.
    pub data_bytes: u64,
    /// The size of the write-ahead log, in bytes.
    pub wal_bytes: u64,
    /// Pages of the data that hold nothing, in bytes.
    pub free_bytes: u64,
    /// Writes that wait for the writer now.
    pub queued_writes: u64,
    /// Writes that were committed since the start.
    pub writes: u64,
    /// Commits since the start; several writes share one.
    pub commits: u64,
    /// Time that all writes together spent waiting for the writer, in microseconds.
    pub queue_wait_us: u64,
    /// Time that all commits together took, in microseconds.
    pub commit_us: u64,
    /// The longest commit, in microseconds.
    pub commit_max_us: u64,
}
