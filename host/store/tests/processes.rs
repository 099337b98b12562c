//! What other processes do to a folder, and what one that crashes leaves there.
//!
//! No test here opens a folder again that it has closed: a process that another test starts holds, for a moment, a copy of
//! whatever this one has open, locks included.

#![allow(clippy::disallowed_methods, clippy::expect_used, clippy::unwrap_used)]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use flowhost_model::{Record, RecordType, Setting};
use flowhost_store::sqlite::{SqliteOptions, SqliteStore};
use flowhost_store::{Error, Expected, RecordWrite, Store, StoredRecord, Write};

/// Where the process that crashes finds its data, and after which commit it does.
const FOLDER: &str = "FLOWHOST_STORE_CRASH_FOLDER";
const COMMITS: &str = "FLOWHOST_STORE_CRASH_COMMITS";

fn setting(name: &str) -> Write {
    let record =
        Record::new(name, None, Setting { value: 1.into(), key_digest: None }, flowhost_model::Timestamp::now())
            .unwrap();
    Write::Record(RecordWrite {
        record: StoredRecord::from_record(&record).unwrap(),
        expected: Expected::Absent,
        commit_message: None,
        is_remembered: true,
    })
}

/// Not a test by itself: what [`a_crash_after_a_commit_leaves_what_it_wrote`] runs in another process.
#[tokio::test]
async fn crashing() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let commits = std::env::var(COMMITS).unwrap().parse().unwrap();
    let options = SqliteOptions { abort_after_commits: Some(commits), ..SqliteOptions::default() };
    let store = SqliteStore::open(Path::new(&folder), options).unwrap();
    for number in 0..5 {
        store.write(vec![setting(&number.to_string())]).await.unwrap();
        println!("answered");
    }
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_crash_after_a_commit_leaves_what_it_wrote() {
    for (commits, answered) in [(1, 0), (3, 2), (6, 5)] {
        let folder = tempfile::tempdir().unwrap();
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crashing", "--nocapture"])
            .env(FOLDER, folder.path())
            .env(COMMITS, commits.to_string())
            .output()
            .unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(said.matches("answered").count(), answered, "{said}");
        assert_eq!(output.status.success(), answered == 5, "{said}");
        let store = SqliteStore::open(folder.path(), SqliteOptions::default()).unwrap();
        assert_eq!(store.records(RecordType::Setting).await.unwrap().len(), 5.min(commits));
    }
}

#[tokio::test]
async fn another_process_that_has_the_folder_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let mut other = Command::new("flock")
        .arg(folder.path().join("lock"))
        .args(["sh", "-c", "echo locked; read line"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    BufReader::new(other.stdout.take().unwrap()).read_line(&mut said).unwrap();
    assert_eq!(said, "locked\n");
    let open = || SqliteStore::open(folder.path(), SqliteOptions::default());
    assert!(matches!(open(), Err(Error::InUse { .. })));
    drop(other.stdin.take());
    other.wait().unwrap();
    open().unwrap();
}
