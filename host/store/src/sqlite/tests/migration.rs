//! Data of older versions.

use flowhost_model::{File, Priority, RecordId, Status, Timestamp};

use super::*;
use crate::LockKey;

const FIRST: &str = include_str!("../../../migrations/01-first.sql");
const SECOND: &str = include_str!("../../../migrations/02-durable.sql");
const THIRD: &str = include_str!("../../../migrations/03-locks-and-messages.sql");
const FOURTH: &str = include_str!("../../../migrations/04-files.sql");
const FIFTH: &str = include_str!("../../../migrations/05-metadata.sql");

/// Executions as version 1 kept them. All that had not ended were this host's.
#[tokio::test]
async fn executions_of_the_first_version_are_recovered() {
    let folder = tempfile::tempdir().unwrap();
    let connection = Connection::open(folder.path().join("flowhost.sqlite3")).unwrap();
    connection.execute_batch(FIRST).unwrap();
    connection.pragma_update(None, "user_version", 1).unwrap();
    let ids: Vec<RecordId> = (0..6).map(|_| RecordId::new()).collect();
    for (id, (status, is_durable)) in
        ids.iter().zip([(0, true), (1, true), (1, false), (2, true), (3, true), (4, false)])
    {
        connection
            .execute(
                "INSERT INTO execution (id, status, flow_id, flow_name, flow_version, flow_digest, is_productive,
                     is_durable, attempt, created_at, ended_at, input_value, output_value, seed)
                 VALUES (?1, ?2, ?1, 'f', 1, zeroblob(32), TRUE, ?3, 1, 5, 6, '1', '{}', zeroblob(32))",
                rusqlite::params![id.as_bytes(), status, is_durable],
            )
            .unwrap();
    }
    drop(connection);
    let store = open(folder.path());
    let recovered = store.recover(Timestamp(9)).await.unwrap();
    assert_eq!((recovered.again, recovered.interrupted), (3, 1));
    assert_eq!((recovered.paused, recovered.waiting), (1, 0));
    let mut expected = [Status::Scheduled; 6];
    (expected[2], expected[4], expected[5]) = (Status::EndedError, Status::Paused, Status::EndedSuccess);
    for (id, status) in ids.iter().zip(expected) {
        let found = store.execution(*id).await.unwrap().unwrap();
        assert_eq!((found.status, found.priority, found.parent_id), (status, Priority::Normal, None));
    }
    let owner = store.hold_lease(None, Timestamp(9)).await.unwrap();
    let claimed = store.claim_executions(owner, 10).await.unwrap();
    assert_eq!(claimed.iter().map(|ticket| ticket.id).collect::<Vec<_>>(), [ids[0], ids[1], ids[3]]);
    assert_eq!(store.load_execution(ids[1]).await.unwrap().seed, [0; 32]);
}

/// Files as version 2 kept them: with their content in the record's body.
#[tokio::test]
async fn the_content_of_files_moves_out_of_their_bodies() {
    let folder = tempfile::tempdir().unwrap();
    let connection = Connection::open(folder.path().join("flowhost.sqlite3")).unwrap();
    connection.execute_batch(FIRST).unwrap();
    connection.execute_batch(SECOND).unwrap();
    connection.pragma_update(None, "user_version", 2).unwrap();
    let large = "ä".repeat(500_000);
    let text = |content: &str| json!({ "content": content, "content_type": "text/plain", "is_binary": null });
    let cases = [
        (text(&large), large.clone().into_bytes(), Some("text/plain"), false),
        (json!({ "content": "AP8=", "is_binary": true }), vec![0, 255], None, true),
        (json!({ "content": null, "content_type": null, "is_binary": null }), Vec::new(), None, false),
        (json!({}), Vec::new(), None, false),
    ];
    let ids: Vec<RecordId> = cases.iter().map(|_| RecordId::new()).collect();
    for (number, (id, (body, ..))) in ids.iter().zip(&cases).enumerate() {
        let name = format!("file {number}");
        let deleted_at = (number == 1).then_some(5);
        connection
            .execute(
                "INSERT INTO record (id, record_type, name, is_readonly, created_at, modified_at, deleted_at, revision, body)
                 VALUES (?, 'FILE', ?, FALSE, 5, 5, ?, 1, ?)",
                rusqlite::params![id.as_bytes(), name, deleted_at, body.to_string()],
            )
            .unwrap();
    }
    drop(connection);
    let store = open(folder.path());
    for (id, (_, bytes, content_type, is_binary)) in ids.iter().zip(cases) {
        let record = store.record(*id).await.unwrap().unwrap().into_record::<File>().unwrap();
        let content_type = content_type.map(str::to_owned);
        assert_eq!(record.body, File { size: bytes.len() as u64, content_type, is_binary });
        assert!(store.file_piece(*id, 0, u64::MAX).await.unwrap().unwrap().bytes == bytes, "{}", record.meta.name);
    }
}

/// Locks and keys as version 5 kept them: with one space of names for all projects.
#[tokio::test]
async fn names_of_locks_and_keys_become_those_of_projects() {
    let folder = tempfile::tempdir().unwrap();
    let connection = Connection::open(folder.path().join("flowhost.sqlite3")).unwrap();
    for step in [FIRST, SECOND, THIRD, FOURTH, FIFTH] {
        connection.execute_batch(step).unwrap();
    }
    connection.pragma_update(None, "user_version", 5).unwrap();
    let (here, there) = (RecordId::new(), RecordId::new());
    let ids: Vec<RecordId> = (0..4).map(|_| RecordId::new()).collect();
    // A holder, one that waits for its lock in its own project, one that does in another, and a holder of no project.
    for (seq, project, status) in [(1_i64, Some(here), 1), (2, Some(here), 2), (3, Some(there), 2), (4, None, 1)] {
        let project = project.as_ref().map(RecordId::as_bytes);
        connection
            .execute(
                "INSERT INTO execution (seq, id, status, flow_id, flow_name, flow_version, flow_digest, is_productive,
                     is_durable, attempt, created_at, input_value, output_value, seed, project_id, concurrency_key,
                     concurrency_limit)
                 VALUES (?1, ?2, ?3, ?2, 'f', 1, zeroblob(32), TRUE, TRUE, 1, 5, '1', '{}', zeroblob(32), ?4, 'k', 1)",
                rusqlite::params![seq, ids[seq as usize - 1].as_bytes(), status, project],
            )
            .unwrap();
    }
    for (name, seq) in [("a", 1), ("b", 4)] {
        let event = RecordId::new();
        let lock = "INSERT INTO lock (name, event, execution, since) VALUES (?, ?, ?, 6)";
        connection.execute(lock, rusqlite::params![name, event.as_bytes(), seq]).unwrap();
        for waiter in [2, 3].into_iter().filter(|_| name == "a") {
            let wait = "INSERT INTO awaited (event, waiter, return_when) VALUES (?, ?, 2)";
            connection.execute(wait, rusqlite::params![event.as_bytes(), waiter]).unwrap();
        }
    }
    drop(connection);
    let store = open(folder.path());
    let key = |project_id, name: &str| LockKey { project_id, name: name.to_owned() };
    for (key, holder) in [(key(Some(here), "a"), ids[0]), (key(None, "b"), ids[3])] {
        assert_eq!(
            store.lock(&key).await.unwrap().map(|lock| (lock.execution, lock.since)),
            Some((holder, Timestamp(6)))
        );
    }
    // One of another project has nothing to wait for.
    let status = async |id| store.execution(id).await.unwrap().unwrap().status;
    assert_eq!((status(ids[1]).await, status(ids[2]).await), (Status::Waiting, Status::Scheduled));
    let owner = store.hold_lease(None, Timestamp(9)).await.unwrap();
    let claimed = store.claim_executions(owner, 10).await.unwrap();
    let projects: Vec<_> =
        claimed.iter().map(|ticket| (ticket.id, ticket.concurrency.as_ref().unwrap().project_id)).collect();
    assert_eq!(projects, [(ids[2], Some(there))]);
    let release = Write::ReleaseLock { key: key(Some(here), "a"), execution: ids[0], at: Timestamp(7) };
    store.write(vec![release]).await.unwrap();
    assert_eq!(store.lock(&key(Some(here), "a")).await.unwrap().map(|lock| lock.execution), Some(ids[1]));
}
