//! Data of older versions.

use flowhost_model::{Priority, RecordId, Status, Timestamp};

use super::*;

const FIRST: &str = include_str!("../../../migrations/01-first.sql");

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
