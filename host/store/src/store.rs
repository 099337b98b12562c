//! The contract of a store.

use std::sync::Arc;

use async_trait::async_trait;
use flowhost_model::{Digest, Execution, FlowVersion, LogLine, RecordId, RecordType, Status, Timestamp};

use crate::{
    Change, Due, Ended, ExecutionPage, ExecutionQuery, ExecutionRow, FilePiece, HistoryPage, Lock, LockKey, LockQuery,
    Origin, OwnerId, RecordPage, RecordQuery, Recovered, Result, StoredRecord, Suspension, Ticket, Write,
};

/// Keeps records and executions, durably: when a write has answered, its effect survives the loss of power.
///
/// Writes are serialised; each is whole or not at all. Reads see every write that has answered before they began.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Makes all of these changes or none, and gives the revision they made.
    ///
    /// Errors: [`Error::NameTaken`](crate::Error::NameTaken), [`Error::NotFound`](crate::Error::NotFound),
    /// [`Error::Conflict`](crate::Error::Conflict).
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
    /// Errors: [`Error::InvalidCursor`](crate::Error::InvalidCursor), [`Error::UnknownField`](crate::Error::UnknownField),
    /// [`Error::TooCostly`](crate::Error::TooCostly), [`Error::Busy`](crate::Error::Busy).
    async fn query_records(&self, record_type: RecordType, query: RecordQuery) -> Result<RecordPage>;

    /// Returns a page of what happened to the record with this id, also if it is gone: at most `limit` entries, of revisions
    /// before `before`. The page ends with the entry that brings the commit messages to `page_bytes`.
    async fn record_history(
        &self,
        id: RecordId,
        before: Option<u64>,
        limit: u32,
        page_bytes: usize,
    ) -> Result<HistoryPage>;

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

    /// Returns one version of a flow, or `None` if it does not exist.
    async fn flow_version(&self, flow_id: RecordId, version: u32) -> Result<Option<FlowVersion>>;

    /// Returns the number of the newest version of a flow, or `None` if it has none.
    async fn last_flow_version(&self, flow_id: RecordId) -> Result<Option<u32>>;

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
    /// What it takes to go on with it is dropped: seed, journal, what it waited for. Its [`Origin`] stays; a request whose
    /// body is longer than [`KEPT_BODY_BYTES`](crate::KEPT_BODY_BYTES) and is not in the input is dropped, too. Its children that have not ended and
    /// are not detached are marked as cancelled and given back; a parent that waited in the store for this end becomes
    /// `SCHEDULED` and is given back. Its locks are released as [`Write::ReleaseLock`] does; who has one of them then is
    /// given back as well. Its messages that wait for an answer get the status `CLOSED`.
    ///
    /// Errors: [`Error::NotFound`](crate::Error::NotFound) where a known one does not exist or has ended, [`Error::Conflict`](crate::Error::Conflict) where a new one exists.
    async fn end_execution(&self, execution: Execution, log: Vec<LogLine>, is_known: bool) -> Result<Ended>;

    /// Keeps an ended execution that was never inserted, with its log and where it came from.
    ///
    /// Errors: [`Error::Conflict`](crate::Error::Conflict) if it exists.
    async fn insert_ended_execution(&self, execution: Arc<Execution>, origin: Origin, log: Vec<LogLine>) -> Result<()>;

    /// Where the execution with this id came from, whether or not it has ended.
    ///
    /// Errors: [`Error::NotFound`](crate::Error::NotFound) if it does not exist.
    async fn execution_origin(&self, id: RecordId) -> Result<Origin>;

    /// Puts an execution that leaves memory before its end into the store, in one transaction.
    ///
    /// Gives whether what it waits for has happened already; it is `SCHEDULED` then, for its owner.
    ///
    /// Errors: [`Error::NotFound`](crate::Error::NotFound) where it has ended, or was to be there and is not.
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

    /// The executions that have not ended and that this owner has: those in its queue and those that it runs, in no order.
    async fn owned_executions(&self, owner: OwnerId) -> Result<Vec<RecordId>>;

    /// Makes a durable execution that this owner has, and has lost from its memory, `SCHEDULED` for it again. If its row said
    /// that it runs, its attempt is counted up. `None` if it is not durable; nothing is changed then.
    ///
    /// Errors: [`Error::NotFound`](crate::Error::NotFound) where it does not exist, has ended, or is not this owner's.
    async fn retake_execution(&self, owner: OwnerId, id: RecordId) -> Result<Option<Ticket>>;

    /// The executions in development mode that wait in the store, with their users: at most `limit`, by id, behind `after`.
    async fn waiting_in_development(
        &self,
        after: Option<RecordId>,
        limit: u32,
    ) -> Result<Vec<(RecordId, Option<RecordId>)>>;

    /// Moves the times of those who wait for some time, and not until a time, by so many microseconds: the clock jumped. Returns
    /// by how much times were moved so far, this time included.
    async fn shift_waits(&self, micros: i64) -> Result<i64>;

    /// By how many microseconds times were moved so far.
    async fn shifted(&self) -> Result<i64>;

    /// All that is needed to run an execution that has not ended, with its journal.
    ///
    /// Errors: [`Error::NotFound`](crate::Error::NotFound) where it does not exist or has ended.
    async fn load_execution(&self, id: RecordId) -> Result<ExecutionRow>;

    /// Marks an execution that has not ended as cancelled: whoever runs it next ends it.
    ///
    /// Errors: [`Error::NotFound`](crate::Error::NotFound) where it does not exist or has ended.
    async fn mark_cancelled(&self, id: RecordId) -> Result<()>;

    /// Makes a `WAITING` or `SCHEDULED` execution `PAUSED`, with a message.
    ///
    /// Errors: [`Error::NotFound`](crate::Error::NotFound) where it is neither.
    async fn pause_execution(&self, id: RecordId, message: String) -> Result<()>;

    /// Makes an execution that waits in the store `PAUSED`, with a message.
    ///
    /// Errors: [`Error::NotFound`](crate::Error::NotFound) where it does not.
    async fn pause_waiting(&self, id: RecordId, message: String) -> Result<()>;

    /// The executions with these ids that are kept, in no order.
    async fn executions(&self, ids: Vec<RecordId>) -> Result<Vec<Execution>>;

    /// Changes the status of an execution that has not ended.
    ///
    /// Errors: [`Error::NotFound`](crate::Error::NotFound) where it does not exist or has ended.
    async fn set_execution_status(&self, id: RecordId, status: Status, message: Option<String>) -> Result<()>;

    /// Changes whether an execution that has not ended is productive.
    ///
    /// Errors: [`Error::NotFound`](crate::Error::NotFound) where it does not exist or has ended.
    async fn set_productive(&self, id: RecordId, is_productive: bool) -> Result<()>;

    /// Makes a `PAUSED` execution `SCHEDULED` for this owner, without a message. Of several who ask for it at the same time,
    /// one gets it.
    ///
    /// Errors: [`Error::NotFound`](crate::Error::NotFound) where it does not exist or is not paused.
    async fn resume_execution(&self, owner: OwnerId, id: RecordId) -> Result<Ticket>;

    /// The execution with this id, if it is kept.
    async fn execution(&self, id: RecordId) -> Result<Option<Execution>>;

    /// The log of an execution, oldest line first, from line `from` (counted from 0) and at most `limit` lines.
    async fn execution_log(&self, id: RecordId, from: u64, limit: u32) -> Result<Vec<LogLine>>;

    /// A page of a list of executions, ordered as [`query_records`](Self::query_records) does; without an order newest
    /// first. `name` is the flow's, `status` is ordered by an execution's life, and an order by `created_at` is the order
    /// of admission, which is the ids'. What executions do not have, such as a description, is null.
    ///
    /// Errors: [`Error::InvalidCursor`](crate::Error::InvalidCursor), [`Error::UnknownField`](crate::Error::UnknownField).
    async fn query_executions(&self, query: ExecutionQuery) -> Result<ExecutionPage>;

    /// What former owners left behind, settled in one transaction: executions that somebody owned and that are durable are
    /// `SCHEDULED` and nobody's, with their attempt counted up and a line in their log; the others that somebody owned end with
    /// `execution.interrupted` at `now`. With that an execution whose row says `RUNNING` has one death of its host more, and one
    /// that was `SCHEDULED` and has none has one, since it may have run; at [`DEATHS_LIMIT`](crate::DEATHS_LIMIT) it ends with
    /// `execution.host-died` in place of being scheduled. What had no owner, waits or is paused stays as it is, and is not read; but where it is
    /// marked as cancelled it is `SCHEDULED`, so that the next host that claims it ends it.
    ///
    /// To be called before the first [`hold_lease`](Self::hold_lease): the owners that there are then are former ones, and
    /// are gone afterwards.
    async fn recover(&self, now: Timestamp) -> Result<Recovered>;

    /// Returns the lock that is known by this, or `None` if no execution holds it.
    async fn lock(&self, key: &LockKey) -> Result<Option<Lock>>;

    /// Returns a page of the locks that executions hold.
    async fn locks(&self, query: LockQuery) -> Result<Vec<Lock>>;

    /// How many locks an execution holds.
    async fn lock_count(&self, execution: RecordId) -> Result<u64>;

    /// The value kept under a name of the host's own, such as a signing key.
    async fn host_value(&self, name: &str) -> Result<Option<Vec<u8>>>;

    /// Keeps a value under a name of the host's own, unless there is one already; gives the one that is kept.
    async fn host_value_or_insert(&self, name: &str, value: Vec<u8>) -> Result<Vec<u8>>;

    /// Sizes and waits, for operators.
    async fn stats(&self) -> Result<StoreStats>;

    /// Whether writes are kept. Makes no query.
    ///
    /// Error: why the last write was not kept, until another one is. Without writes from outside the store finds out by
    /// itself that they are kept again.
    fn health(&self) -> Result<()>;

    /// Finishes the writes under way, folds the write-ahead log back, and lets go of the data. Later calls answer
    /// [`Error::Closed`](crate::Error::Closed).
    async fn close(&self) -> Result<()>;
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
    /// How often all writes waited for a checkpoint.
    pub checkpoints: u64,
    /// The longest time that they waited for one, in microseconds.
    pub checkpoint_max_us: u64,
}
