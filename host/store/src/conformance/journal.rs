//! Journals: what flows asked of the world, and what they were told.

use flowhost_model::{Execution, JournalEntry, LogLine, LogSource, RecordId, RecordType, Status, Timestamp};

use super::{assert_same, create, ended, execution, flow, line, owner, row, running, setting, suspension};
use crate::{Error, ExecutionRow, JournalWrite, Store, Write};

fn entries(first: usize, count: usize) -> Vec<JournalEntry> {
    let entry = |number: usize| JournalEntry {
        at: Timestamp(number as i64),
        call: format!("records.get {number}"),
        digest: [number as u8; 32],
        result: vec![0xff; number * 1000],
    };
    (first..first + count).map(entry).collect()
}

fn more(row: &ExecutionRow, first: usize, count: usize) -> JournalWrite {
    let entries = entries(first, count);
    JournalWrite { execution: row.execution.id, begins: None, is_durable: true, first: first as u64, entries }
}

/// A change and the entry that tells of it are kept together or not at all, and the journal grows.
pub async fn a_journal_is_kept_with_what_it_tells_of(store: &dyn Store) {
    let own = owner(store).await;
    let row = running(store, own).await;
    let id = row.execution.id;
    store.write(vec![create(&setting("one", 1)), Write::Journal(more(&row, 0, 3))]).await.unwrap();
    assert_eq!(store.load_execution(id).await.unwrap().journal, entries(0, 3));
    store.write(vec![Write::Journal(more(&row, 3, 0))]).await.unwrap();

    let refused = vec![Write::Journal(more(&row, 3, 2)), create(&setting("one", 2))];
    assert!(matches!(store.write(refused).await, Err(Error::NameTaken { .. })));
    assert_eq!(store.load_execution(id).await.unwrap().journal.len(), 3);

    // What leaves memory takes the rest of its journal and its log along.
    let host = LogLine { source: LogSource::Host, ..line("of the host") };
    let mut wait = suspension(&row, None);
    (wait.first, wait.entries, wait.log) = (3, entries(3, 2), vec![line("a"), host, line("b")]);
    assert!(!store.suspend_execution(wait).await.unwrap());
    let found = store.load_execution(id).await.unwrap();
    assert_eq!(found.journal, entries(0, 5));
    assert_eq!(found.log_lines, 2);
    assert_eq!(store.execution_log(id, 0, 10).await.unwrap().len(), 3);
}

/// Its first entry says when it began.
pub async fn a_journal_makes_an_execution_durable(store: &dyn Store) {
    let own = owner(store).await;
    let scheduled = Execution { is_durable: false, ..execution(Status::Scheduled) };
    let row = ExecutionRow { owner: Some(own), deadline: None, ..row(scheduled) };
    let id = row.execution.id;
    // The row may come with the same write.
    let begins = JournalWrite { begins: Some((Timestamp(3), Timestamp(4))), ..more(&row, 0, 1) };
    store.write(vec![Write::Execution(Box::new(row.clone())), Write::Journal(begins)]).await.unwrap();
    let found = store.load_execution(id).await.unwrap();
    let expected =
        Execution { is_durable: true, status: Status::Running, started_at: Some(Timestamp(3)), ..row.execution };
    assert_same(&found.execution, &expected);
    assert_eq!((found.deadline, found.owner, found.journal.len()), (Some(Timestamp(4)), Some(own), 1));

    let mut other = running(store, own).await;
    other.execution.id = RecordId::new();
    other.execution.is_durable = false;
    store.insert_execution(other.clone()).await.unwrap();
    store.write(vec![Write::Journal(more(&other, 0, 1))]).await.unwrap();
    let found = store.load_execution(other.execution.id).await.unwrap();
    assert_same(&found.execution, &Execution { is_durable: true, ..other.execution });
    assert_eq!(found.deadline, other.deadline);
    assert_eq!(store.recover(Timestamp(1)).await.unwrap().interrupted, 0);
}

/// Whoever does what cannot be done twice says so before, and is not run again until it is done.
pub async fn a_journal_may_take_durability_away_for_a_while(store: &dyn Store) {
    let own = owner(store).await;
    let (mut between, mut after, mut at_once) =
        (running(store, own).await, running(store, own).await, running(store, own).await);
    for row in [&mut between, &mut after, &mut at_once] {
        row.execution = Execution { id: RecordId::new(), is_durable: true, ..row.execution.clone() };
        store.insert_execution(row.clone()).await.unwrap();
    }
    for row in [&between, &after] {
        store.write(vec![Write::Journal(JournalWrite { is_durable: false, ..more(row, 0, 1) })]).await.unwrap();
        store.write(vec![Write::Journal(JournalWrite { is_durable: false, ..more(row, 1, 1) })]).await.unwrap();
        assert!(!store.load_execution(row.execution.id).await.unwrap().execution.is_durable);
    }
    store.write(vec![Write::Journal(more(&after, 2, 1))]).await.unwrap();
    let begins = Some((Timestamp(3), Timestamp(4)));
    let first = JournalWrite { begins, is_durable: false, ..more(&at_once, 0, 1) };
    store.write(vec![Write::Journal(first)]).await.unwrap();
    store.recover(Timestamp(9)).await.unwrap();
    let status = async |row: &ExecutionRow| store.execution(row.execution.id).await.unwrap().unwrap().status;
    assert_eq!(status(&after).await, Status::Scheduled);
    assert_eq!([status(&between).await, status(&at_once).await], [Status::EndedError; 2]);
}

/// Entries follow each other; what would leave a gap, or make a change twice, is refused as a whole.
pub async fn a_journal_has_no_gaps(store: &dyn Store) {
    let own = owner(store).await;
    let row = running(store, own).await;
    let id = row.execution.id;
    store.write(vec![Write::Journal(more(&row, 0, 2))]).await.unwrap();
    for first in [0, 1, 3] {
        let changes = vec![create(&setting("late", 1)), Write::Journal(more(&row, first, 1))];
        match store.write(changes).await {
            Err(Error::Damaged(what)) => assert!(what.contains(&id.to_string()), "{what}"),
            other => panic!("{other:?}"),
        }
    }
    let mut wait = suspension(&row, None);
    (wait.first, wait.entries) = (3, entries(3, 1));
    assert!(matches!(store.suspend_execution(wait.clone()).await, Err(Error::Damaged(_))));
    let found = store.load_execution(id).await.unwrap();
    assert_same(&found.execution, &row.execution);
    assert_eq!(found.journal.len(), 2);
    // What leaves memory may not have been told what is kept of it.
    (wait.first, wait.entries) = (1, entries(1, 3));
    assert!(!store.suspend_execution(wait).await.unwrap());
    assert_eq!(store.load_execution(id).await.unwrap().journal, entries(0, 4));
    assert!(store.record_by_name(RecordType::Setting, "late").await.unwrap().is_none());
}

/// After its end nothing is added, and nothing that belongs to the entry is kept.
pub async fn an_ended_execution_has_no_journal(store: &dyn Store) {
    let own = owner(store).await;
    let row = running(store, own).await;
    store.write(vec![Write::Journal(more(&row, 0, 2))]).await.unwrap();
    store.end_execution(ended(&row, Status::EndedCancelled), Vec::new(), true).await.unwrap();
    let mut unknown = row.clone();
    unknown.execution.id = RecordId::new();
    for row in [row, unknown] {
        for first in [0, 2] {
            let changes = vec![create(&setting("late", 1)), Write::Journal(more(&row, first, 1))];
            assert!(matches!(store.write(changes).await, Err(Error::NotFound)));
        }
    }
    assert!(store.record_by_name(RecordType::Setting, "late").await.unwrap().is_none());
}

/// Executions and journals are no news to those who follow the records.
pub async fn the_revision_is_that_of_records(store: &dyn Store) {
    let own = owner(store).await;
    let first = store.write(vec![create(&flow("f"))]).await.unwrap();
    let row = ExecutionRow { owner: Some(own), ..row(execution(Status::Running)) };
    let changes = vec![Write::Execution(Box::new(row.clone())), Write::Journal(more(&row, 0, 1))];
    assert_eq!(store.write(changes).await.unwrap(), first);
    assert!(matches!(store.write(vec![Write::Execution(Box::new(row.clone()))]).await, Err(Error::Conflict)));
    assert_eq!(store.revision().await.unwrap(), first);
    let changes = vec![Write::Journal(more(&row, 1, 1)), create(&flow("g")), Write::Journal(more(&row, 2, 1))];
    let second = store.write(changes).await.unwrap();
    assert!(second > first);
    assert_eq!(store.changes_since(first).await.unwrap().len(), 1);
    assert_eq!(store.load_execution(row.execution.id).await.unwrap().journal.len(), 3);
}
