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
            // SQLite says so as well where the disk could not be read: then what stands there may be whole.
            ffi::SQLITE_CORRUPT if could_not_read() => Self::Storage("the disk could not be read".to_owned()),
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

/// Whether the last call to the system that failed on this thread, since [`forget_last_error`], is one after which SQLite takes
/// the file for damaged.
fn could_not_read() -> bool {
    const ENXIO: i32 = 6;
    const ERANGE: i32 = 34;
    is_io_error() || matches!(io::Error::last_os_error().raw_os_error(), Some(ENXIO | ERANGE))
}

/// Before a transaction: lets an error of this thread that belongs to an earlier one be followed by another, that of a file
/// without a name. So damage that is found from now on is not taken for a read that failed.
pub(super) fn forget_last_error() {
    let _missing = std::fs::metadata("");
}

/// Whether a unique index refused the row.
pub(super) fn is_duplicate(error: &rusqlite::Error) -> bool {
    error.sqlite_error().is_some_and(|error| error.extended_code == ffi::SQLITE_CONSTRAINT_UNIQUE)
}

/// Whether the primary key refused the row.
pub(super) fn is_duplicate_key(error: &rusqlite::Error) -> bool {
    error.sqlite_error().is_some_and(|error| error.extended_code == ffi::SQLITE_CONSTRAINT_PRIMARYKEY)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs::File;
    use std::io::Read;

    use super::*;

    fn corrupt() -> Error {
        rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_CORRUPT), None).into()
    }

    #[test]
    fn damage_is_told_from_a_disk_that_cannot_be_read() {
        forget_last_error();
        assert!(matches!(corrupt(), Error::Damaged(_)));
        // The first page of a process's memory is never there, and reading it is an I/O error.
        let unreadable = File::open("/proc/self/mem").unwrap().read(&mut [0]).unwrap_err();
        assert!(is_io_error(), "{unreadable}");
        assert!(corrupt().is_of_storage());
        assert!(corrupt().is_of_storage(), "what is rolled back meets the same error");
        forget_last_error();
        assert!(matches!(corrupt(), Error::Damaged(_)));
    }
}
