//! The data folder, and connections to the file in it.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::SqliteOptions;
use super::schema::{self, Content};
use crate::{Error, Result};

/// Older ones can corrupt a write-ahead log when it is reset.
const OLDEST_SQLITE: i32 = 3_051_003;

/// The size of a page, in bytes. An execution with 1 KB of input takes some 1,300; what a commit writes beside it are the
/// last pages of the indexes, and those cost half as much as with pages of 8,192.
const PAGE_BYTES: u32 = 4096;

/// Memory for pages, in KiB: of the writer, where the ends of all indexes should fit, of each reader, and of the connections
/// that fold the log back, which read no tables.
const WRITER_CACHE_KIB: i32 = 8192;
const READER_CACHE_KIB: i32 = 2048;
const FOLDER_CACHE_KIB: i32 = 64;

/// How long a connection waits for a lock. Only a foreign process, such as a backup, ever holds one that is in the way.
pub(super) const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// The size to which the write-ahead log shrinks when it starts over, in bytes. Well over the size at which it is folded
/// back, since writing over an existing file is cheaper than growing one.
const WAL_KEPT_BYTES: u32 = 64 << 20;

/// Prepared statements kept per connection: more than there are.
const STATEMENTS: usize = 64;

/// The file that the host writes to the folder once its data are there.
const OPERATOR_TOKEN: &str = "operator-token";

/// The names of the files in a data folder.
#[derive(Clone)]
pub(super) struct Files {
    /// The folder.
    pub(super) folder: PathBuf,
    /// The data.
    pub(super) data: PathBuf,
    /// The write-ahead log, SQLite's choice.
    pub(super) wal: PathBuf,
    /// Whose lock says that the folder is in use.
    pub(super) lock: PathBuf,
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

/// Opens the file of the data, which is made where it is missing, and leaves it as it is.
///
/// To be kept until no connection is open any more: closing any descriptor of the file ends the locks that SQLite has on it.
pub(super) fn data_file(files: &Files) -> io::Result<File> {
    // SQLite gives the files beside it the same permissions.
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&files.data)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    Ok(file)
}

/// Refuses a folder that was used before and whose data are gone.
pub(super) fn refuse_missing(files: &Files) -> Result<()> {
    let is_there = match files.data.metadata() {
        Ok(data) => data.len() > 0,
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(error.into()),
    };
    // The first start makes the file and fills it before it writes the token.
    if !is_there && files.folder.join(OPERATOR_TOKEN).exists() {
        return Err(missing(files));
    }
    Ok(())
}

fn missing(files: &Files) -> Error {
    Error::Missing { file: files.data.display().to_string() }
}

/// Refuses a file that is none of SQLite's, or is marked as another program's, before SQLite touches it.
pub(super) fn refuse_foreign(files: &Files, file: &File) -> Result<()> {
    let mut header = [0; 100];
    let foreign = |reason: &str| Error::Foreign { file: files.data.display().to_string(), reason: reason.to_owned() };
    match file.read_exact_at(&mut header, 0) {
        Ok(()) if !header.starts_with(b"SQLite format 3\0") => Err(foreign("it is no SQLite database")),
        Ok(()) => {
            let mark = [header[68], header[69], header[70], header[71]];
            if mark == [0; 4] || mark == schema::APPLICATION_ID.to_be_bytes() {
                Ok(())
            } else {
                Err(foreign("it is an SQLite database of another program"))
            }
        }
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            if file.metadata()?.len() == 0 {
                Ok(())
            } else {
                Err(foreign("it is no SQLite database"))
            }
        }
        Err(error) => Err(error.into()),
    }
}

/// Opens the file for writing and brings it up to date.
pub(super) fn writer(files: &Files, options: &SqliteOptions) -> Result<Connection> {
    if rusqlite::version_number() < OLDEST_SQLITE {
        return Err(Error::Storage(format!("SQLite {} is too old; 3.51.3 is needed", rusqlite::version())));
    }
    let mut connection = writing(files)?;
    let content = schema::check(&connection, files)?;
    if content == Content::Nothing {
        if files.folder.join(OPERATOR_TOKEN).exists() {
            return Err(missing(files));
        }
        // These two hold for the file's life. Incremental: deleted executions can give their room back in small steps.
        connection.pragma_update(None, "page_size", PAGE_BYTES)?;
        connection.pragma_update(None, "auto_vacuum", "incremental")?;
    }
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "journal_size_limit", WAL_KEPT_BYTES)?;
    configure(&connection, WRITER_CACHE_KIB)?;
    if let Some(bytes) = options.max_bytes {
        let page_bytes: i64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
        let pages = i64::try_from(bytes).unwrap_or(i64::MAX) / page_bytes;
        connection.pragma_update_and_check(None, "max_page_count", pages.clamp(1, 0xffff_fffe), |_| Ok(()))?;
    }
    if content != (Content::Own { is_marked: true }) {
        connection.pragma_update(None, "application_id", schema::APPLICATION_ID)?;
    }
    schema::migrate(&mut connection)?;
    refuse_reading_only(&connection, files)?;
    Ok(connection)
}

/// Refuses a connection that can only read: where a file cannot be opened for writing, for whatever reason, SQLite opens it
/// for reading without a word, and nothing would be kept until the connection is closed.
fn refuse_reading_only(connection: &Connection, files: &Files) -> Result<()> {
    let refused = || Error::Storage(format!("the database `{}` cannot be opened for writing", files.data.display()));
    if connection.is_readonly("main")? {
        return Err(refused());
    }
    // It may be the log, or its index.
    match connection.execute_batch("BEGIN IMMEDIATE; COMMIT") {
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::ReadOnly) => Err(refused()),
        // Another program writes at this moment.
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => Ok(()),
        told => Ok(told?),
    }
}

/// The connections that fold the log back.
pub(super) struct Folders {
    /// Syncs what it copies. For the thread beside the writer.
    pub(super) synced: Connection,
    /// It syncs nothing: its user does that, and writes nothing by it.
    pub(super) unsynced: Connection,
}

/// Opens the file for folding the log back.
pub(super) fn folders(files: &Files) -> Result<Folders> {
    let open = |synchronous| -> Result<Connection> {
        let connection = writing(files)?;
        connection.pragma_update(None, "synchronous", synchronous)?;
        configure(&connection, FOLDER_CACHE_KIB)?;
        refuse_reading_only(&connection, files)?;
        Ok(connection)
    };
    Ok(Folders { synced: open("full")?, unsynced: open("off")? })
}

fn writing(files: &Files) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(&files.data, flags)?;
    // Whether to fold the log back is decided here and not by SQLite; and data that are refused stay as they are.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.busy_timeout(LOCK_PATIENCE)?;
    Ok(connection)
}

/// Opens the file for reading.
pub(super) fn reader(files: &Files) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(&files.data, flags)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
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
