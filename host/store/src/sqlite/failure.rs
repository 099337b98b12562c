//! What SQLite and the file system say, in the words of [`Error`].

use std::io;

use rusqlite::ffi;

use crate::Error;

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        let Some(code) = error.sqlite_error().map(|error| error.extended_code) else {
            // Not from SQLite: a column that does not hold what it should.
            return Self::Damaged(error.to_string());
        };
        match code & 0xff {
            ffi::SQLITE_FULL => Self::Full,
            ffi::SQLITE_CORRUPT | ffi::SQLITE_NOTADB => Self::Damaged(error.to_string()),
            // SQLite names the operation that failed but not why. The system's reason is still that of this thread: SQLite
            // itself reads it there, and what it does afterwards are calls that succeed.
            ffi::SQLITE_IOERR | ffi::SQLITE_CANTOPEN => match io::Error::last_os_error().kind() {
                kind if is_full(kind) => Self::Full,
                // The index of the write-ahead log could not grow, which is what a full disk does to it.
                _ if code == ffi::SQLITE_IOERR_SHMSIZE && !is_io_error() => Self::Full,
                _ => Self::Storage(error.to_string()),
            },
            _ => Self::Storage(error.to_string()),
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        if is_full(error.kind()) { Self::Full } else { Self::Storage(error.to_string()) }
    }
}

/// Whether it says that the disk, or the share of it that the process's user may take, is full.
fn is_full(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Whether the last call to the system failed since the device did.
fn is_io_error() -> bool {
    const EIO: i32 = 5;
    io::Error::last_os_error().raw_os_error() == Some(EIO)
}

/// Whether a unique index refused the row.
pub(super) fn is_duplicate(error: &rusqlite::Error) -> bool {
    error.sqlite_error().is_some_and(|error| error.extended_code == ffi::SQLITE_CONSTRAINT_UNIQUE)
}

/// Whether the primary key refused the row.
pub(super) fn is_duplicate_key(error: &rusqlite::Error) -> bool {
    error.sqlite_error().is_some_and(|error| error.extended_code == ffi::SQLITE_CONSTRAINT_PRIMARYKEY)
}
