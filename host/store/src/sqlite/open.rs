//! The data folder, its lock, and connections to the file in it.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::{SqliteOptions, schema};
use crate::{Error, Result};

/// Older ones can corrupt a write-ahead log when it is reset.
const OLDEST_SQLITE: i32 = 3_051_003;

/// The size of a page, in bytes. An execution with 1 KB of input takes some 1,300; what a commit writes beside it are the
/// last pages of the indexes, and those cost half as much as with pages of 8,192.
const PAGE_BYTES: u32 = 4096;

/// Memory for pages, in KiB: of the writer, where the ends of all indexes should fit, and of each reader.
const WRITER_CACHE_KIB: i32 = 8192;
const READER_CACHE_KIB: i32 = 2048;

/// How long a connection waits for a lock. Only a foreign process, such as a backup, ever holds one that is in the way.
pub(super) const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// The size to which the write-ahead log shrinks when it starts over, in bytes. Well over the size at which it is folded
/// back, since writing over an existing file is cheaper than growing one.
const WAL_KEPT_BYTES: u32 = 64 << 20;

/// Prepared statements kept per connection: more than there are.
const STATEMENTS: usize = 64;

/// The names of the files in a data folder.
pub(super) struct Files {
    /// The folder.
    pub(super) folder: PathBuf,
    /// The data.
    pub(super) data: PathBuf,
    /// The write-ahead log, SQLite's choice.
    pub(super) wal: PathBuf,
    lock: PathBuf,
}

impl Files {
    pub(super) fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            data: folder.join("flowhost.sqlite3"),
            wal: folder.join("flowhost.sqlite3-wal"),
            lock: folder.join("lock"),
        }
    }
}

/// Makes the folder, for the owner alone, so that it survives the loss of power.
pub(super) fn make_folder(folder: &Path) -> io::Result<()> {
    let missing: Vec<&Path> =
        folder.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists()).collect();
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    for made in missing {
        let parent = made.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(parent)?.sync_all()?;
    }
    Ok(())
}

/// Takes the folder for this process, until the file is dropped.
pub(super) fn lock(files: &Files) -> Result<File> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&files.lock)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::InUse { folder: files.folder.display().to_string() }),
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}

/// Opens the file for writing and brings it up to date.
pub(super) fn writer(files: &Files, options: &SqliteOptions) -> Result<Connection> {
    if rusqlite::version_number() < OLDEST_SQLITE {
        return Err(Error::Storage(format!("SQLite {} is too old; 3.51.3 is needed", rusqlite::version())));
    }
    // SQLite gives the files beside it the same permissions.
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&files.data)?;
    fs::set_permissions(&files.data, Permissions::from_mode(0o600))?;
    drop(file);

    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(&files.data, flags)?;
    // Whether to fold the log back is decided here and not by SQLite; and data that are refused stay as they are.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.busy_timeout(LOCK_PATIENCE)?;
    let is_new = schema::refuse_newer(&connection, &files.folder)? == 0;
    if is_new {
        // These two hold for the file's life. Incremental: deleted executions can give their room back in small steps.
        connection.pragma_update(None, "page_size", PAGE_BYTES)?;
        connection.pragma_update(None, "auto_vacuum", "incremental")?;
    }
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "journal_size_limit", WAL_KEPT_BYTES)?;
    configure(&connection, WRITER_CACHE_KIB)?;
    if let Some(bytes) = options.max_bytes {
        let page_bytes: i64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
        let pages = i64::try_from(bytes).unwrap_or(i64::MAX) / page_bytes;
        connection.pragma_update_and_check(None, "max_page_count", pages.clamp(1, 0xffff_fffe), |_| Ok(()))?;
    }
    schema::migrate(&mut connection)?;
    Ok(connection)
}

/// Opens the file for reading.
pub(super) fn reader(files: &Files) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(&files.data, flags)?;
    connection.busy_timeout(LOCK_PATIENCE)?;
    configure(&connection, READER_CACHE_KIB)?;
    Ok(connection)
}

fn configure(connection: &Connection, cache_kib: i32) -> Result<()> {
    // No mmap: an I/O error in mapped pages would be a signal that ends the process.
    connection.pragma_update(None, "mmap_size", 0)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "temp_store", "memory")?;
    connection.pragma_update(None, "trusted_schema", false)?;
    // A negative number is in KiB.
    connection.pragma_update(None, "cache_size", -cache_kib)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(())
}
