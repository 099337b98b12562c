//! What a host that has ended in order leaves in its data folder.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::promise::Broken;

/// What must be empty, and what it is.
const EMPTY: [(&str, &str); 6] = [
    ("nothing is left running", "SELECT COUNT(*) FROM execution WHERE status < 4"),
    ("nothing is left owned", "SELECT COUNT(*) FROM execution WHERE owner IS NOT NULL"),
    ("no owner is left", "SELECT COUNT(*) FROM owner"),
    ("no journal is left", "SELECT COUNT(*) FROM execution_journal"),
    ("no wait is left", "SELECT COUNT(*) FROM awaited"),
    ("no reference is left dangling", "SELECT COUNT(*) FROM pragma_foreign_key_check"),
];

/// Whether nothing is left behind in a data folder in which everything has ended.
pub(crate) fn check(data: &Path) -> Result<(), Broken> {
    let store = Connection::open_with_flags(data.join("flowhost.sqlite3"), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    for (promise, query) in EMPTY {
        let left: i64 = store.query_one(query, [], |row| row.get(0)).unwrap();
        if left != 0 {
            return Err(Broken(format!("{promise}, but `{query}` gives {left}")));
        }
    }
    let said: String = store.query_one("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    if said == "ok" { Ok(()) } else { Err(Broken(format!("the store is whole, but it says {said}"))) }
}
