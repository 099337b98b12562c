//! The data folder belongs to one process at a time, and remembers whether the last one left it in order.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};

use super::open::Files;
use crate::{Error, Result};

/// What the file `lock` says while a process has the folder, and when one has left it in order.
const IN_USE: &[u8] = b"in use\n";
const CLOSED: &[u8] = b"closed\n";

/// How the process before this one left the folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Former {
    /// There was none, or it does not say.
    Unknown,
    /// In order: the data are all in their file.
    Closed,
    /// Not in order: a part of the data may be in the write-ahead log alone.
    CutOff,
}

/// The folder is this process's until it is dropped.
#[derive(Debug)]
pub(super) struct FolderLock {
    file: File,
    /// The folder itself: unlike a file in it, it cannot be deleted and made anew without its data.
    _folder: File,
}

impl FolderLock {
    /// Takes the folder.
    pub(super) fn take(files: &Files) -> Result<Self> {
        let in_use = || Error::InUse { folder: files.folder.display().to_string() };
        let folder = File::open(&files.folder)?;
        match folder.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(in_use()),
            // Some network file systems lock files only.
            Err(TryLockError::Error(error)) => tracing::debug!(%error, "the data folder itself cannot be locked"),
        }
        // Versions that do not know the folder's lock have this one.
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(&files.lock)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { file, _folder: folder }),
            Err(TryLockError::WouldBlock) => Err(in_use()),
            Err(TryLockError::Error(error)) => Err(error.into()),
        }
    }

    /// How the process before this one left the folder.
    pub(super) fn former(&self) -> Former {
        let mut mark = [0; IN_USE.len()];
        match self.file.read_exact_at(&mut mark, 0) {
            Ok(()) if mark == IN_USE => Former::CutOff,
            Ok(()) if mark == CLOSED => Former::Closed,
            _ => Former::Unknown,
        }
    }

    /// Notes that a process has the folder.
    pub(super) fn mark_in_use(&self) -> io::Result<()> {
        self.mark(IN_USE)
    }

    /// Notes that the data are all in their file.
    pub(super) fn mark_closed(&self) -> io::Result<()> {
        self.mark(CLOSED)
    }

    fn mark(&self, mark: &[u8]) -> io::Result<()> {
        self.file.write_all_at(mark, 0)?;
        self.file.set_len(mark.len() as u64)?;
        self.file.sync_all()
    }
}
