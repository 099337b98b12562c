//! What can go wrong in a store.

use flowhost_model::RecordType;

/// The result of a store's work.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a store did not do what it was asked. Nothing of a refused write is kept.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another record of the type has the name.
    #[error("a {} named `{name}` exists already", .record_type.as_str().to_lowercase())]
    NameTaken {
        /// The type of both records.
        record_type: RecordType,
        /// The name.
        name: String,
    },
    /// The record that a write is about does not exist, or not any more.
    #[error("the record does not exist")]
    NotFound,
    /// The record was changed by somebody else since it was read.
    #[error("the record was changed meanwhile; read it again")]
    Conflict,
    /// The place from which a list should go on was not given by a list of this type and order.
    #[error("the cursor was not made by a list of this type and order")]
    InvalidCursor,
    /// A filter or an order names a property that the type does not keep.
    #[error("`{0}` is not kept with records of this type")]
    UnknownField(&'static str),
    /// Another process has the data folder.
    #[error(
        "the data folder `{folder}` is in use by another process; stop that one, or choose another folder with --data"
    )]
    InUse {
        /// The folder.
        folder: String,
    },
    /// The data were written by a newer version of this program.
    #[error(
        "the data in `{folder}` have schema version {found}, this program knows up to {known}; use a newer flowhost"
    )]
    TooNew {
        /// The folder.
        folder: String,
        /// The version of the data.
        found: i64,
        /// The newest version that this program knows.
        known: i64,
    },
    /// There is no room for the write.
    #[error("the disk is full")]
    Full,
    /// A row does not hold what this program writes.
    #[error("damaged data: {0}")]
    Damaged(String),
    /// A list takes longer than the store may work on it.
    #[error("the list takes longer than it may")]
    TooCostly,
    /// As many lists are read as may be.
    #[error("too many lists are read at the moment")]
    Busy,
    /// The store has been closed.
    #[error("the store is closed")]
    Closed,
    /// Anything else that the database or the file system says.
    #[error("storage: {0}")]
    Storage(String),
}
