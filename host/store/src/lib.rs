//! Where records and executions are kept.
//!
//! [`Store`] is the contract, in the domain's own verbs; [`sqlite::SqliteStore`] keeps it in one file. Every store must pass the
//! suite in `conformance`, which the feature of that name brings.

mod error;
mod history;
mod query;
mod store;

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod sqlite;

pub use error::{Error, Result};
pub use history::{HistoryEntry, HistoryOperation};
pub use query::{ExecutionPage, ExecutionQuery, RecordPage, RecordQuery, Trash};
pub use store::{
    Awaits, Change, Due, Ended, ExecutionRow, Expected, FileContent, FilePiece, JournalWrite, Lock, OwnerId,
    RecordWrite, Recovered, ReturnWhen, Store, StoreStats, StoredRecord, Suspension, Ticket, Write,
};
