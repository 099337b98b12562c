//! The trash, and what is remembered of records.

use flowhost_model::{RecordId, RecordType, Timestamp};

use super::{create, delete, replace, setting};
use crate::{Change, Error, Expected, HistoryOperation, RecordWrite, Store, StoredRecord, Write};

/// A record in the trash is found by its id alone, and its name is free.
pub async fn a_record_in_the_trash_leaves_its_name(store: &dyn Store) {
    let mut old = setting("name", 1);
    let first = store.write(vec![create(&old)]).await.unwrap();
    (old.meta.deleted_at, old.meta.deleted_by) = (Some(Timestamp(9)), Some(RecordId::new()));
    let new = setting("name", 2);
    // Within one write, too; and readers of the changes see the name become free before it is taken.
    let second = store.write(vec![replace(&old, first), create(&new)]).await.unwrap();
    let found = store.record(old.meta.id).await.unwrap().unwrap();
    assert_eq!(serde_json::to_value(&found.meta).unwrap(), serde_json::to_value(&old.meta).unwrap());
    assert_eq!(store.record_by_name(RecordType::Setting, "name").await.unwrap().unwrap().meta.id, new.meta.id);
    let listed = store.records(RecordType::Setting).await.unwrap();
    assert_eq!(listed.iter().map(|record| record.meta.id).collect::<Vec<_>>(), [new.meta.id]);
    let changes = store.changes_since(first).await.unwrap();
    assert!(matches!(&changes[..], [Change::Written(trashed), Change::Written(written)]
        if trashed.meta.id == old.meta.id && written.meta.id == new.meta.id));

    // Two in the trash may have the same name; only one can come back.
    let mut new = new;
    new.meta.deleted_at = Some(Timestamp(10));
    let third = store.write(vec![replace(&new, second)]).await.unwrap();
    (old.meta.deleted_at, old.meta.deleted_by) = (None, None);
    store.write(vec![replace(&old, second)]).await.unwrap();
    assert_eq!(store.record_by_name(RecordType::Setting, "name").await.unwrap().unwrap().meta.id, old.meta.id);
    new.meta.deleted_at = None;
    match store.write(vec![replace(&new, third)]).await {
        Err(Error::NameTaken { record_type: RecordType::Setting, name }) => assert_eq!(name, "name"),
        other => panic!("expected NameTaken, got {other:?}"),
    }
    new.meta.name = "another".to_owned();
    store.write(vec![replace(&new, third)]).await.unwrap();
}

/// A record is removed only as of the revision that was read.
pub async fn a_stale_deletion_is_a_conflict(store: &dyn Store) {
    let record = setting("name", 1);
    let first = store.write(vec![create(&record)]).await.unwrap();
    let second = store.write(vec![replace(&record, first)]).await.unwrap();
    assert!(matches!(store.write(vec![delete(record.meta.id, first)]).await, Err(Error::Conflict)));
    assert!(store.record(record.meta.id).await.unwrap().is_some());
    store.write(vec![delete(record.meta.id, second)]).await.unwrap();
    assert!(matches!(store.write(vec![delete(record.meta.id, second)]).await, Err(Error::NotFound)));
}

/// Each change of a record is remembered with who made it, when and why, beyond the record's end.
pub async fn the_history_of_a_record(store: &dyn Store) {
    let [maker, remover] = [RecordId::new(), RecordId::new()];
    let mut record = setting("name", 1);
    (record.meta.modified_at, record.meta.modified_by) = (Timestamp(1), Some(maker));
    let write = |record: &flowhost_model::Record<flowhost_model::Setting>, expected, message: Option<&str>| {
        let record = StoredRecord::from_record(record).unwrap();
        let commit_message = message.map(str::to_owned);
        vec![Write::Record(RecordWrite { record, expected, commit_message, is_remembered: true })]
    };
    let first = store.write(write(&record, Expected::Absent, Some("made\nfor good"))).await.unwrap();
    (record.meta.modified_at, record.body.value) = (Timestamp(2), 2.into());
    let second = store.write(write(&record, Expected::Revision(first), None)).await.unwrap();
    assert!(store.write(write(&record, Expected::Revision(first), Some("refused"))).await.is_err());
    (record.meta.deleted_at, record.meta.deleted_by) = (Some(Timestamp(3)), Some(remover));
    let third = store.write(write(&record, Expected::Revision(second), Some("unused"))).await.unwrap();
    (record.meta.deleted_at, record.meta.deleted_by) = (None, None);
    record.meta.modified_at = Timestamp(4);
    let fourth = store.write(write(&record, Expected::Revision(third), None)).await.unwrap();
    let deletion = Write::DeleteRecord {
        id: record.meta.id,
        expected: Expected::Revision(fourth),
        by: Some(remover),
        at: Timestamp(5),
        commit_message: Some("gone".to_owned()),
        is_remembered: true,
    };
    let other = setting("other", 1);
    let fifth = store.write(vec![deletion, create(&other)]).await.unwrap();

    let entries = history(store, record.meta.id).await;
    let seen: Vec<_> = entries
        .iter()
        .map(|entry| (entry.revision, entry.at.0, entry.by, entry.operation, entry.commit_message.as_deref()))
        .collect();
    assert_eq!(
        seen,
        [
            (fifth, 5, Some(remover), HistoryOperation::Deleted, Some("gone")),
            (fourth, 4, Some(maker), HistoryOperation::Restored, None),
            (third, 3, Some(remover), HistoryOperation::Trashed, Some("unused")),
            (second, 2, Some(maker), HistoryOperation::Updated, None),
            (first, 1, Some(maker), HistoryOperation::Created, Some("made\nfor good")),
        ]
    );
    let page = async |before, limit, bytes| {
        let page = store.record_history(record.meta.id, before, limit, bytes).await.unwrap();
        (page.entries.into_iter().map(|entry| entry.revision).collect::<Vec<_>>(), page.next)
    };
    assert_eq!(page(None, 2, usize::MAX).await, (vec![fifth, fourth], Some(fourth)));
    assert_eq!(page(Some(fourth), 3, usize::MAX).await, (vec![third, second, first], None));
    // `gone`, and the first message behind it.
    assert_eq!(page(None, 10, 5).await, (vec![fifth, fourth, third], Some(third)));
    assert_eq!(history(store, other.meta.id).await.len(), 1);
    assert!(history(store, RecordId::new()).await.is_empty());
}

/// All of a record's history.
async fn history(store: &dyn Store, id: RecordId) -> Vec<crate::HistoryEntry> {
    let page = store.record_history(id, None, u32::MAX, usize::MAX).await.unwrap();
    assert_eq!(page.next, None);
    page.entries
}

/// What flows write by the thousand is news to those who follow the records, and no more.
pub async fn a_write_that_is_not_remembered_leaves_no_history(store: &dyn Store) {
    let mut record = setting("name", 1);
    let id = record.meta.id;
    let write = |record: &flowhost_model::Record<flowhost_model::Setting>, expected, is_remembered| {
        let record = StoredRecord::from_record(record).unwrap();
        vec![Write::Record(RecordWrite { record, expected, commit_message: None, is_remembered })]
    };
    let first = store.write(write(&record, Expected::Absent, false)).await.unwrap();
    assert!(history(store, id).await.is_empty());
    record.body.value = 2.into();
    let second = store.write(write(&record, Expected::Revision(first), true)).await.unwrap();
    let third = store.write(write(&record, Expected::Revision(second), false)).await.unwrap();
    assert!(first < second && second < third);
    let mut deletion = delete(id, third);
    let Write::DeleteRecord { is_remembered, .. } = &mut deletion else { unreachable!() };
    *is_remembered = false;
    store.write(vec![deletion]).await.unwrap();
    let operations: Vec<_> = history(store, id).await.into_iter().map(|entry| entry.operation).collect();
    assert_eq!(operations, [HistoryOperation::Updated]);
    assert!(
        matches!(&store.changes_since(third).await.unwrap()[..], [Change::Deleted { id: gone, .. }] if *gone == id)
    );
}

/// The latest activity of each identity is kept, whatever the order in which it is told.
pub async fn the_latest_activity_is_kept(store: &dyn Store) {
    let [one, two] = [setting("one", 1), setting("two", 1)];
    let revision = store.write(vec![create(&one), create(&two)]).await.unwrap();
    let (one, two) = (one.meta.id, two.meta.id);
    store.save_activity(Vec::new()).await.unwrap();
    assert!(store.activities().await.unwrap().is_empty());
    store.save_activity(vec![(one, Timestamp(5)), (two, Timestamp(7)), (one, Timestamp(3))]).await.unwrap();
    store.save_activity(vec![(one, Timestamp(6)), (two, Timestamp(-1))]).await.unwrap();
    let mut activities = store.activities().await.unwrap();
    activities.sort();
    assert_eq!(activities, [(one, Timestamp(6)), (two, Timestamp(7))]);
    store.write(vec![delete(one, revision)]).await.unwrap();
    assert_eq!(store.activities().await.unwrap(), [(two, Timestamp(7))]);
}
