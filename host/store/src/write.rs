//! What a store is to write, and what was written.

use flowhost_model::{Body, FlowVersion, JournalEntry, Meta, Record, RecordId, RecordType, Timestamp};

use crate::{Error, ExecutionRow, LockKey, Result};

/// One change of a [`Store::write`](crate::Store::write).
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
    /// Keeps an execution that has not ended, as [`Store::insert_execution`](crate::Store::insert_execution) does.
    Execution(Box<ExecutionRow>),
    /// Marks an execution as cancelled, as [`Store::mark_cancelled`](crate::Store::mark_cancelled) does; nothing where it has ended.
    Cancel(RecordId),
    /// Gives a lock to an execution that has not ended.
    ///
    /// Errors: [`Error::Conflict`] where somebody holds it, [`Error::NotFound`] where the execution has ended.
    AcquireLock {
        /// The lock.
        key: LockKey,
        /// Who gets it.
        execution: RecordId,
        /// The present.
        at: Timestamp,
    },
    /// Takes a lock from an execution; nothing where that does not hold it. Of those who wait in the store for its release the
    /// one that was admitted first has it then, and becomes `SCHEDULED` and nobody's.
    ReleaseLock {
        /// The lock.
        key: LockKey,
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
