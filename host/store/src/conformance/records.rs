//! Records, flow versions and the host's own values.

use flowhost_model::{Digest, Flow, FlowMetadata, FlowVersion, RecordId, RecordType, Setting, Timestamp};

use super::{create, delete, flow, replace, setting};
use crate::{Change, Error, Store, StoredRecord, Write};

fn body(record: Option<StoredRecord>) -> u64 {
    record.unwrap().into_record::<Setting>().unwrap().body.value.as_u64().unwrap()
}

fn version(flow_id: RecordId, version: u32, digest: Digest, component: &[u8]) -> Write {
    let size = component.len() as u64;
    let metadata = Some(FlowMetadata { title: Some(format!("Version {version}")), ..FlowMetadata::default() });
    let (created_at, created_by) = (Timestamp(5), Some(RecordId::new()));
    let version = FlowVersion { flow_id, version, digest, size, created_at, created_by, metadata };
    Write::FlowVersion { version, component: component.to_vec() }
}

/// What was written is read, with all that records share.
pub async fn a_record_is_found_by_id_and_by_name(store: &dyn Store) {
    let mut record = setting("Größe", 1);
    record.meta.description = Some("two\nlines".to_owned());
    record.meta.created_by = Some(RecordId::new());
    (record.meta.project_id, record.meta.bundle_id) = (Some(RecordId::new()), Some(RecordId::new()));
    record.meta.is_readonly = true;
    let revision = store.write(vec![create(&record)]).await.unwrap();
    assert!(revision > 0);
    assert_eq!(store.revision().await.unwrap(), revision);
    for found in [
        store.record(record.meta.id).await.unwrap().unwrap(),
        store.record_by_name(RecordType::Setting, "Größe").await.unwrap().unwrap(),
    ] {
        assert_eq!(found.record_type, RecordType::Setting);
        assert_eq!(found.revision, revision);
        assert_eq!(found.body, "{\"value\":1}");
        assert_eq!(serde_json::to_value(&found.meta).unwrap(), serde_json::to_value(&record.meta).unwrap());
    }
    store.write(vec![create(&setting("b", 2)), create(&setting("a", 3))]).await.unwrap();
    let names: Vec<String> =
        store.records(RecordType::Setting).await.unwrap().into_iter().map(|record| record.meta.name).collect();
    assert_eq!(names, ["Größe", "a", "b"]);

    assert!(store.record(RecordId::new()).await.unwrap().is_none());
    assert!(store.record_by_name(RecordType::Setting, "größe").await.unwrap().is_none());
    assert!(store.record_by_name(RecordType::Flow, "Größe").await.unwrap().is_none());
    assert!(store.records(RecordType::Flow).await.unwrap().is_empty());
}

/// A change that is refused takes the others of its write with it, and no revision is used up.
pub async fn a_write_is_whole_or_not_at_all(store: &dyn Store) {
    let first = setting("first", 1);
    let revision = store.write(vec![create(&first)]).await.unwrap();
    let mut changed = first.clone();
    changed.body.value = 2.into();
    let changes = vec![replace(&changed, revision), create(&setting("second", 1)), delete(RecordId::new(), revision)];
    assert!(matches!(store.write(changes).await, Err(Error::NotFound)));
    assert_eq!(body(store.record(first.meta.id).await.unwrap()), 1);
    assert!(store.record_by_name(RecordType::Setting, "second").await.unwrap().is_none());
    assert_eq!(store.revision().await.unwrap(), revision);
    assert_eq!(store.write(Vec::new()).await.unwrap(), revision);
}

/// Names are unique among the records of a type, for new ones and for renamed ones.
pub async fn a_name_is_taken_within_its_type(store: &dyn Store) {
    let (one, mut two) = (setting("one", 1), setting("two", 2));
    let revision = store.write(vec![create(&one), create(&two), create(&flow("one"))]).await.unwrap();
    two.meta.name = "one".to_owned();
    for change in [create(&setting("one", 3)), replace(&two, revision)] {
        match store.write(vec![change]).await {
            Err(Error::NameTaken { record_type, name }) => {
                assert_eq!((record_type, name.as_str()), (RecordType::Setting, "one"))
            }
            other => panic!("expected NameTaken, got {other:?}"),
        }
    }
    assert!(matches!(store.write(vec![create(&one)]).await, Err(Error::Conflict | Error::NameTaken { .. })));
}

/// A record is replaced only as of the revision that was read.
pub async fn a_stale_revision_is_a_conflict(store: &dyn Store) {
    let mut record = setting("counter", 1);
    let first = store.write(vec![create(&record)]).await.unwrap();
    record.body.value = 2.into();
    let second = store.write(vec![replace(&record, first)]).await.unwrap();
    assert!(second > first);
    record.body.value = 3.into();
    assert!(matches!(store.write(vec![replace(&record, first)]).await, Err(Error::Conflict)));
    assert_eq!(body(store.record(record.meta.id).await.unwrap()), 2);
    assert!(matches!(store.write(vec![replace(&setting("other", 1), second)]).await, Err(Error::NotFound)));

    let mut renamed = setting("counter", 1);
    renamed.meta.id = record.meta.id;
    renamed.meta.name = "again".to_owned();
    assert!(matches!(store.write(vec![create(&renamed)]).await, Err(Error::Conflict)));
}

/// Deleting a record frees its name within the same write, and readers of the changes see the deletion first.
pub async fn a_name_can_pass_to_another_record(store: &dyn Store) {
    let (old, new) = (setting("name", 1), setting("name", 2));
    let before = store.write(vec![create(&old)]).await.unwrap();
    store.write(vec![delete(old.meta.id, before), create(&new)]).await.unwrap();
    assert_eq!(body(store.record_by_name(RecordType::Setting, "name").await.unwrap()), 2);
    let changes = store.changes_since(before).await.unwrap();
    assert!(matches!(&changes[..], [Change::Deleted { id, .. }, Change::Written(record)]
        if *id == old.meta.id && record.meta.id == new.meta.id));
}

/// Each record that changed is given once, as it is now, oldest change first.
pub async fn changes_since_a_revision(store: &dyn Store) {
    let start = store.revision().await.unwrap();
    assert!(store.changes_since(start).await.unwrap().is_empty());
    let (mut kept, gone) = (setting("kept", 1), setting("gone", 1));
    let first = store.write(vec![create(&kept), create(&gone)]).await.unwrap();
    assert_eq!(store.changes_since(start).await.unwrap().len(), 2);
    let second = store.write(vec![delete(gone.meta.id, first)]).await.unwrap();
    kept.body.value = 2.into();
    let third = store.write(vec![replace(&kept, first)]).await.unwrap();

    let changes = store.changes_since(first).await.unwrap();
    match &changes[..] {
        [Change::Deleted { record_type, id, revision }, Change::Written(record)] => {
            assert_eq!((*record_type, *id, *revision), (RecordType::Setting, gone.meta.id, second));
            assert_eq!((record.meta.id, record.revision), (kept.meta.id, third));
            assert_eq!(record.body, "{\"value\":2}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(store.changes_since(second).await.unwrap().len(), 1);
    assert!(store.changes_since(third).await.unwrap().is_empty());
    assert!(store.changes_since(u64::MAX).await.unwrap().is_empty());

    // A record that came back is no longer a deleted one.
    store.write(vec![create(&gone)]).await.unwrap();
    assert!(
        matches!(&store.changes_since(third).await.unwrap()[..], [Change::Written(record)] if record.meta.id == gone.meta.id)
    );
}

/// Versions are numbered without gaps and listed newest first.
pub async fn versions_of_a_flow(store: &dyn Store) {
    let signup = flow("signup");
    let id = signup.meta.id;
    let mut with_version = signup.clone();
    with_version.body = Flow { active_version: Some(1), digest: Some(Digest([1; 32])), ..Flow::default() };
    store.write(vec![create(&with_version), version(id, 1, Digest([1; 32]), b"one")]).await.unwrap();
    store.write(vec![version(id, 2, Digest([2; 32]), b"three")]).await.unwrap();
    let versions = store.flow_versions(id).await.unwrap();
    let seen: Vec<_> = versions.iter().map(|version| (version.version, version.digest, version.size)).collect();
    assert_eq!(seen, [(2, Digest([2; 32]), 5), (1, Digest([1; 32]), 3)]);
    assert!(versions.iter().all(|version| version.flow_id == id && version.created_by.is_some()));
    for version in &versions {
        assert_eq!(store.flow_version(id, version.version).await.unwrap().as_ref(), Some(version));
    }
    assert_eq!(store.flow_version(id, 3).await.unwrap(), None);
    assert_eq!(store.last_flow_version(id).await.unwrap(), Some(2));
    assert_eq!(store.last_flow_version(RecordId::new()).await.unwrap(), None);

    for wrong in [2, 4, 0] {
        let outcome = store.write(vec![version(id, wrong, Digest([3; 32]), b"x")]).await;
        assert!(matches!(outcome, Err(Error::Conflict)), "version {wrong}: {outcome:?}");
    }
    assert!(store.component(Digest([3; 32])).await.unwrap().is_none());
    let outcome = store.write(vec![version(RecordId::new(), 1, Digest([1; 32]), b"one")]).await;
    assert!(matches!(outcome, Err(Error::NotFound)));
    assert!(store.flow_versions(RecordId::new()).await.unwrap().is_empty());
}

/// Components come back byte for byte, whatever their size.
pub async fn a_component_of_several_chunks(store: &dyn Store) {
    let record = flow("big");
    store.write(vec![create(&record)]).await.unwrap();
    for (number, size) in (1..).zip([0, 1, 256 << 10, (256 << 10) + 1, 3_000_000]) {
        let component: Vec<u8> = (0..size).map(|index: u32| ((index * 31) >> 3) as u8).collect();
        let digest = Digest([number as u8; 32]);
        store.write(vec![version(record.meta.id, number, digest, &component)]).await.unwrap();
        assert!(store.component(digest).await.unwrap().unwrap() == component, "{size} bytes");
    }
    assert!(store.component(Digest([0xee; 32])).await.unwrap().is_none());
}

/// A component is kept once for all versions that name it, and goes with the last of them.
pub async fn a_component_lives_as_long_as_a_version_names_it(store: &dyn Store) {
    let (one, two) = (flow("one"), flow("two"));
    let digest = Digest([4; 32]);
    let first = store.write(vec![create(&one), version(one.meta.id, 1, digest, b"same")]).await.unwrap();
    let second = store.write(vec![create(&two), version(two.meta.id, 1, digest, b"same")]).await.unwrap();
    store.write(vec![delete(one.meta.id, first)]).await.unwrap();
    assert!(store.flow_versions(one.meta.id).await.unwrap().is_empty());
    assert_eq!(store.component(digest).await.unwrap().as_deref(), Some(&b"same"[..]));
    store.write(vec![delete(two.meta.id, second)]).await.unwrap();
    assert!(store.component(digest).await.unwrap().is_none());
}

/// The first value of a name stays.
pub async fn a_host_value_is_kept_once(store: &dyn Store) {
    assert!(store.host_value("key").await.unwrap().is_none());
    assert_eq!(store.host_value_or_insert("key", vec![1, 2]).await.unwrap(), [1, 2]);
    assert_eq!(store.host_value_or_insert("key", vec![3]).await.unwrap(), [1, 2]);
    assert_eq!(store.host_value("key").await.unwrap().unwrap(), [1, 2]);
    assert!(store.host_value("other").await.unwrap().is_none());
}
