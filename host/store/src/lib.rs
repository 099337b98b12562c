//! Where records and executions are kept.
//!
//! [`Store`] is the contract, in the domain's own verbs; [`sqlite::SqliteStore`] keeps it in one file. Every store must pass the
//! suite in `conformance`, which the feature of that name brings.

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests have no clock but the machine's"))]

mod error;
mod execution;
mod file;
mod history;
mod lock;
mod query;
mod store;
mod write;

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod sqlite;

pub use error::{Error, Result};
pub use execution::{
    Awaits, DEATHS_LIMIT, Due, Ended, ExecutionRow, KEPT_BODY_BYTES, Origin, OwnerId, Recovered, ReturnWhen,
    Suspension, Ticket,
};
pub use file::FilePiece;
pub use history::{HistoryEntry, HistoryOperation, HistoryPage};
pub use lock::{Lock, LockKey, LockQuery};
pub use query::{ExecutionPage, ExecutionParts, ExecutionQuery, RecordPage, RecordQuery, Trash};
pub use store::{Store, StoreStats};
pub use write::{Change, Expected, FileContent, JournalWrite, RecordWrite, StoredRecord, Write};
