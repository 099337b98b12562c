//! The store in one SQLite file.
//!
//! One thread writes (`writer`), a few connections read (`readers`). The other files are named after what they keep.

mod activity;
mod actors;
mod blobs;
mod checkpoint;
mod children;
mod column;
mod condition;
mod connections;
mod execution_log;
mod execution_query;
mod executions;
mod failure;
mod files;
mod flow_versions;
mod folder_lock;
mod folding;
mod health;
mod history;
mod host_values;
mod id_range;
mod journal;
mod keyset;
mod locks;
mod messages;
mod names;
mod open;
mod owners;
mod queue;
mod readers;
mod record_query;
mod records;
mod recovery;
mod requests;
mod schema;
mod skew;
mod stats;
mod status_set;
mod suspension;
#[cfg(test)]
mod tests;
mod tickets;
mod waits;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use flowhost_model::{Digest, Execution, FlowVersion, LogLine, RecordId, RecordType, Status, Timestamp, composed};
use rusqlite::Connection;

use self::connections::Source;
pub use self::execution_query::explain_executions;
use self::folder_lock::{FolderLock, Former};
use self::open::Files;
use self::readers::Readers;
use self::writer::{Extent, Writer};
use crate::{
    Change, Due, Ended, ExecutionPage, ExecutionQuery, ExecutionRow, FilePiece, HistoryPage, Lock, LockKey, LockQuery,
    Origin, OwnerId, RecordPage, RecordQuery, Recovered, Result, Store, StoreStats, StoredRecord, Suspension, Ticket,
    Write,
};

/// How a [`SqliteStore`] works.
#[derive(Clone, Debug)]
pub struct SqliteOptions {
    /// How many reads are done at the same time, at least 1. 4 by default: reads are for people, and hold a thread each.
    pub readers: usize,
    /// How long a list may be worked on before its caller is answered [`Error::TooCostly`](crate::Error::TooCostly); two seconds by default.
    pub list_limit: Duration,
    /// Whether the write-ahead log is folded back by this program; true by default. Set to false where another program,
    /// such as a replication, does it.
    pub makes_checkpoints: bool,
    /// The most bytes that the data may take; a write that needs more answers [`Error::Full`](crate::Error::Full). No limit by default.
    pub max_bytes: Option<u64>,
    /// Aborts the process right after so many commits since the start, before their writes are answered. For tests of what
    /// a crash leaves behind.
    pub abort_after_commits: Option<u64>,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self {
            readers: 4,
            list_limit: Duration::from_secs(2),
            makes_checkpoints: true,
            max_bytes: None,
            abort_after_commits: None,
        }
    }
}

/// A store in a folder of its own: `flowhost.sqlite3`, what SQLite keeps beside it, and `lock`.
///
/// A write that was handed in is done even if its future is dropped. Dropping the store ends its thread at leisure; the
/// folder is free when [`close`](Store::close) has answered.
pub struct SqliteStore {
    files: Files,
    writer: Writer,
    readers: Readers,
}

impl SqliteStore {
    /// Opens the data in `folder`, which is made, for the owner alone, where it does not exist. Blocks.
    ///
    /// The data are not checked as a whole, which would mean to read all of them; a damaged page is an error to who
    /// reads it.
    ///
    /// Errors: [`Error::InUse`](crate::Error::InUse); [`Error::TooNew`](crate::Error::TooNew), [`Error::Foreign`](crate::Error::Foreign) and [`Error::Missing`](crate::Error::Missing), after which the data are as
    /// they were; [`Error::Full`](crate::Error::Full), [`Error::Damaged`](crate::Error::Damaged), [`Error::Storage`](crate::Error::Storage).
    pub fn open(folder: &Path, options: SqliteOptions) -> Result<Self> {
        let files = Files::new(folder);
        open::make_folder(folder)?;
        let lock = FolderLock::take(&files)?;
        open::refuse_missing(&files)?;
        let has_log = files.wal.exists();
        let data = Arc::new(open::data_file(&files)?);
        open::refuse_foreign(&files, &data)?;
        let list_limit = options.list_limit;
        let source = Source { files: files.clone(), options, data };
        let (writing, readers) = source.open(None)?;
        if lock.former() == Former::CutOff && !has_log {
            tracing::warn!(
                log = %files.wal.display(),
                "the last stop was not in order, and the write-ahead log that it must have left is missing: what was \
                 kept last may be lost; if the log was moved away, stop, put it back beside the database and start again"
            );
        }
        if let Err(error) = lock.mark_in_use() {
            tracing::warn!(
                %error, lock = %files.lock.display(),
                "the start could not be noted; the next one will not notice a missing write-ahead log"
            );
        }
        let readers = Readers::new(readers, list_limit);
        let writer = Writer::start(source, writing, readers.clone(), lock)?;
        Ok(Self { files, writer, readers })
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn write(&self, changes: Vec<Write>) -> Result<u64> {
        self.writer.write(Extent::Several, move |connection| records::write(connection, &changes)).await
    }

    async fn record(&self, id: RecordId) -> Result<Option<StoredRecord>> {
        self.readers.read(move |connection| records::record(connection, id)).await
    }

    async fn record_by_name(&self, record_type: RecordType, name: &str) -> Result<Option<StoredRecord>> {
        let name = name.to_owned();
        let read =
            move |connection: &Connection| match records::record_by_name(connection, record_type, &composed(&name))? {
                // It may have been kept by a version that took names as they came.
                None if !name.is_ascii() => records::record_by_name(connection, record_type, &name),
                found => Ok(found),
            };
        self.readers.read(read).await
    }

    async fn records(&self, record_type: RecordType) -> Result<Vec<StoredRecord>> {
        self.readers.read(move |connection| records::records(connection, record_type)).await
    }

    async fn query_records(&self, record_type: RecordType, query: RecordQuery) -> Result<RecordPage> {
        self.readers.list(move |connection| record_query::page(connection, record_type, &query)).await
    }

    async fn record_history(
        &self,
        id: RecordId,
        before: Option<u64>,
        limit: u32,
        page_bytes: usize,
    ) -> Result<HistoryPage> {
        self.readers.list(move |connection| history::page(connection, id, before, limit, page_bytes)).await
    }

    async fn save_activity(&self, activities: Vec<(RecordId, Timestamp)>) -> Result<()> {
        self.writer.write(Extent::Several, move |connection| activity::save(connection, &activities)).await
    }

    async fn activities(&self) -> Result<Vec<(RecordId, Timestamp)>> {
        self.readers.read(activity::activities).await
    }

    async fn revision(&self) -> Result<u64> {
        self.readers.read(records::revision).await
    }

    async fn changes_since(&self, revision: u64) -> Result<Vec<Change>> {
        self.readers.read(move |connection| records::changes_since(connection, revision)).await
    }

    async fn flow_versions(&self, flow_id: RecordId) -> Result<Vec<FlowVersion>> {
        self.readers.read(move |connection| flow_versions::flow_versions(connection, flow_id)).await
    }

    async fn flow_version(&self, flow_id: RecordId, version: u32) -> Result<Option<FlowVersion>> {
        self.readers.read(move |connection| flow_versions::flow_version(connection, flow_id, version)).await
    }

    async fn last_flow_version(&self, flow_id: RecordId) -> Result<Option<u32>> {
        self.readers.read(move |connection| flow_versions::last_flow_version(connection, flow_id)).await
    }

    async fn component(&self, digest: Digest) -> Result<Option<Vec<u8>>> {
        self.readers.read(move |connection| blobs::blob(connection, digest)).await
    }

    async fn file_piece(&self, file: RecordId, offset: u64, length: u64) -> Result<Option<FilePiece>> {
        self.readers.read(move |connection| files::piece(connection, file, offset, length)).await
    }

    async fn insert_execution(&self, row: ExecutionRow) -> Result<()> {
        let work = move |connection: &_| executions::insert(connection, &row, false).map(drop);
        self.writer.write(Extent::Statement, work).await
    }

    async fn end_execution(&self, execution: Execution, log: Vec<LogLine>, is_known: bool) -> Result<Ended> {
        let work = move |connection: &_| executions::end(connection, &execution, &log, is_known);
        self.writer.write(Extent::Statement, work).await
    }

    async fn insert_ended_execution(&self, execution: Arc<Execution>, origin: Origin, log: Vec<LogLine>) -> Result<()> {
        let work = move |connection: &_| executions::insert_ended(connection, &execution, &origin, &log);
        self.writer.write(Extent::Statement, work).await
    }

    async fn execution_origin(&self, id: RecordId) -> Result<Origin> {
        self.readers.read(move |connection| executions::origin(connection, id)).await
    }

    async fn suspend_execution(&self, suspension: Suspension) -> Result<bool> {
        self.writer.write(Extent::Several, move |connection| suspension::suspend(connection, suspension)).await
    }

    async fn hold_lease(&self, owner: Option<OwnerId>, until: Timestamp) -> Result<OwnerId> {
        self.writer.write(Extent::Statement, move |connection| owners::hold_lease(connection, owner, until)).await
    }

    async fn release_owner(&self, owner: OwnerId) -> Result<()> {
        self.writer.write(Extent::Several, move |connection| owners::release(connection, owner)).await
    }

    async fn claim_executions(&self, owner: OwnerId, limit: u32) -> Result<Vec<Ticket>> {
        self.writer.write(Extent::Several, move |connection| queue::claim(connection, owner, limit)).await
    }

    async fn claim_due(&self, owner: OwnerId, now: Timestamp, limit: u32) -> Result<Due> {
        self.writer.write(Extent::Several, move |connection| queue::claim_due(connection, owner, now, limit)).await
    }

    async fn owned_executions(&self, owner: OwnerId) -> Result<Vec<RecordId>> {
        self.readers.read(move |connection| queue::owned(connection, owner)).await
    }

    async fn retake_execution(&self, owner: OwnerId, id: RecordId) -> Result<Option<Ticket>> {
        self.writer.write(Extent::Several, move |connection| queue::retake(connection, owner, id)).await
    }

    async fn waiting_in_development(
        &self,
        after: Option<RecordId>,
        limit: u32,
    ) -> Result<Vec<(RecordId, Option<RecordId>)>> {
        self.readers.read(move |connection| waits::in_development(connection, after, limit)).await
    }

    async fn shift_waits(&self, micros: i64) -> Result<i64> {
        self.writer.write(Extent::Several, move |connection| waits::shift(connection, micros)).await
    }

    async fn shifted(&self) -> Result<i64> {
        self.readers.read(waits::shifted).await
    }

    async fn load_execution(&self, id: RecordId) -> Result<ExecutionRow> {
        self.readers.read(move |connection| executions::load(connection, id)).await
    }

    async fn mark_cancelled(&self, id: RecordId) -> Result<()> {
        self.writer.write(Extent::Statement, move |connection| executions::mark_cancelled(connection, id)).await
    }

    async fn pause_execution(&self, id: RecordId, message: String) -> Result<()> {
        self.writer.write(Extent::Several, move |connection| queue::pause(connection, id, &message)).await
    }

    async fn pause_waiting(&self, id: RecordId, message: String) -> Result<()> {
        self.writer.write(Extent::Several, move |connection| queue::pause_waiting(connection, id, &message)).await
    }

    async fn executions(&self, ids: Vec<RecordId>) -> Result<Vec<Execution>> {
        self.readers.read(move |connection| executions::executions(connection, &ids)).await
    }

    async fn set_execution_status(&self, id: RecordId, status: Status, message: Option<String>) -> Result<()> {
        let work = move |connection: &_| executions::set_status(connection, id, status, message.as_deref());
        self.writer.write(Extent::Statement, work).await
    }

    async fn set_productive(&self, id: RecordId, is_productive: bool) -> Result<()> {
        let work = move |connection: &_| executions::set_productive(connection, id, is_productive);
        self.writer.write(Extent::Statement, work).await
    }

    async fn resume_execution(&self, owner: OwnerId, id: RecordId) -> Result<Ticket> {
        self.writer.write(Extent::Several, move |connection| queue::resume(connection, owner, id)).await
    }

    async fn execution(&self, id: RecordId) -> Result<Option<Execution>> {
        self.readers.read(move |connection| executions::execution(connection, id)).await
    }

    async fn execution_log(&self, id: RecordId, from: u64, limit: u32) -> Result<Vec<LogLine>> {
        self.readers.read(move |connection| execution_log::lines(connection, id, from, limit)).await
    }

    async fn query_executions(&self, query: ExecutionQuery) -> Result<ExecutionPage> {
        self.readers.list(move |connection| execution_query::page(connection, &query)).await
    }

    async fn recover(&self, now: Timestamp) -> Result<Recovered> {
        self.writer.write(Extent::Several, move |connection| recovery::recover(connection, now)).await
    }

    async fn lock(&self, key: &LockKey) -> Result<Option<Lock>> {
        let key = key.clone();
        self.readers.read(move |connection| locks::lock(connection, &key)).await
    }

    async fn locks(&self, query: LockQuery) -> Result<Vec<Lock>> {
        self.readers.list(move |connection| locks::locks(connection, &query)).await
    }

    async fn lock_count(&self, execution: RecordId) -> Result<u64> {
        self.readers.read(move |connection| locks::count(connection, execution)).await
    }

    async fn host_value(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let name = name.to_owned();
        self.readers.read(move |connection| host_values::host_value(connection, &name)).await
    }

    async fn host_value_or_insert(&self, name: &str, value: Vec<u8>) -> Result<Vec<u8>> {
        let name = name.to_owned();
        let work = move |connection: &_| host_values::host_value_or_insert(connection, &name, value);
        self.writer.write(Extent::Statement, work).await
    }

    async fn stats(&self) -> Result<StoreStats> {
        let wal = self.files.wal.clone();
        let sizes = self.readers.read(move |connection| stats::sizes(connection, &wal)).await?;
        Ok(stats::with_writer(sizes, &self.writer))
    }

    fn health(&self) -> Result<()> {
        self.writer.failure().map_or(Ok(()), Err)
    }

    async fn close(&self) -> Result<()> {
        // Without readers the log can be folded back as a whole.
        self.readers.close().await;
        self.writer.close().await
    }
}
