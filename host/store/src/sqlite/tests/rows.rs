//! What is in the tables behind the contract.

use flowhost_model::JournalEntry;

use super::*;
use crate::{Awaits, ExecutionRow, JournalWrite, OwnerId, ReturnWhen, Suspension};

pub(super) fn running(owner: OwnerId) -> ExecutionRow {
    ExecutionRow {
        execution: Execution { status: Status::Running, is_durable: true, ended_at: None, ..ended(10) },
        request: None,
        seed: [1; 32],
        deadline: Some(Timestamp(5)),
        actor: None,
        is_detached: false,
        depth: 0,
        concurrency: None,
        owner: Some(owner),
        is_cancelled: false,
        journal: Vec::new(),
        log_lines: 0,
        deaths: 0,
    }
}

pub(super) fn waiting(row: &ExecutionRow, children: Vec<RecordId>) -> Suspension {
    let execution = Execution { status: Status::Waiting, ..row.execution.clone() };
    Suspension {
        row: ExecutionRow { execution, ..row.clone() },
        is_known: true,
        first: 0,
        entries: entries(2),
        log: Vec::new(),
        is_relative: false,
        awaits: Some(Awaits::Children { children, when: ReturnWhen::AllEnded }),
    }
}

pub(super) fn entries(count: usize) -> Vec<JournalEntry> {
    let entry = JournalEntry { at: Timestamp(1), call: "log".to_owned(), digest: [7; 32], result: vec![1; 3000] };
    vec![entry; count]
}

fn table_count(folder: &Path, table: &str) -> i64 {
    let connection = Connection::open(folder.join("flowhost.sqlite3")).unwrap();
    connection.query_one(&format!("SELECT COUNT(*) FROM {table}"), [], |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn what_runs_an_execution_again_is_dropped_at_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let owner = store.hold_lease(None, Timestamp(1)).await.unwrap();
    let (parent, child) = (running(owner), running(owner));
    for row in [&parent, &child] {
        store.insert_execution(row.clone()).await.unwrap();
    }
    assert!(!store.suspend_execution(waiting(&parent, vec![child.execution.id])).await.unwrap());
    assert_eq!(["execution_journal", "awaited"].map(|table| table_count(folder.path(), table)), [2, 1]);
    let over = Execution { status: Status::EndedCancelled, ..parent.execution };
    store.end_execution(over, Vec::new(), true).await.unwrap();
    for table in ["execution_journal", "awaited"] {
        assert_eq!(table_count(folder.path(), table), 0, "{table}");
    }
    let connection = Connection::open(folder.path().join("flowhost.sqlite3")).unwrap();
    let dropped = "seed IS NULL AND deadline IS NULL AND owner IS NULL";
    let kept: i64 = connection
        .query_one(&format!("SELECT COUNT(*) FROM execution WHERE status = 6 AND {dropped}"), [], |row| row.get(0))
        .unwrap();
    assert_eq!(kept, 1);
}

#[tokio::test]
async fn a_damaged_journal_is_not_run() {
    for (damage, is_named) in [
        ("DELETE FROM execution_journal WHERE entry = 0", true),
        ("DELETE FROM execution_journal WHERE entry = 1", true),
        ("UPDATE execution_journal SET entry = 7 WHERE entry = 2", true),
        ("UPDATE execution_journal SET digest = x'00' WHERE entry = 1", true),
        ("DELETE FROM execution_journal WHERE entry = 2", false),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path());
        let row = running(OwnerId(1));
        let id = row.execution.id;
        let journal = JournalWrite { execution: id, begins: None, is_durable: true, first: 0, entries: entries(3) };
        store.write(vec![Write::Execution(Box::new(row)), Write::Journal(journal)]).await.unwrap();
        Connection::open(folder.path().join("flowhost.sqlite3")).unwrap().execute(damage, []).unwrap();
        match store.load_execution(id).await {
            Err(Error::Damaged(what)) => assert!(is_named && what.contains(&id.to_string()), "{damage}: {what}"),
            // Nobody can tell that the last is missing.
            Ok(row) => assert!(!is_named && row.journal.len() == 2, "{damage}"),
            Err(other) => panic!("{damage}: {other:?}"),
        }
    }
}
