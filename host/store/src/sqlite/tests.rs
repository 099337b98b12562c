//! What the SQLite store does beyond the contract of all stores.

#![allow(clippy::expect_used, clippy::unwrap_used)]

mod migration;
mod plans;
mod rows;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use flowhost_model::{
    Digest, Execution, Filter, Flow, FlowRef, FlowVersion, Order, Priority, RawValue, Record, RecordId, RecordType,
    Setting, Status, Timestamp, definition,
};
use rusqlite::Connection;
use serde_json::{Value, json};

use super::{SqliteOptions, SqliteStore, schema};
use crate::{
    Error, ExecutionQuery, Expected, RecordQuery, RecordWrite, Store, StoredRecord, Trash, Write, conformance,
};

fn open(folder: &Path) -> SqliteStore {
    SqliteStore::open(folder, SqliteOptions::default()).unwrap()
}

fn ended(input_bytes: usize) -> Execution {
    let now = Timestamp::now();
    Execution {
        id: RecordId::new(),
        flow: FlowRef { id: RecordId::new(), name: "f".to_owned(), version: 1, digest: Digest([1; 32]) },
        webhook: None,
        status: Status::EndedSuccess,
        status_message: None,
        failure: None,
        project_id: None,
        bundle_id: None,
        created_by: None,
        user_id: None,
        parent_id: None,
        priority: Priority::Normal,
        is_productive: true,
        attempt: 1,
        is_durable: false,
        input_value: RawValue::from_string(format!("\"{}\"", "x".repeat(input_bytes))).unwrap(),
        output_value: RawValue::from_string("{}".to_owned()).unwrap(),
        created_at: now,
        started_at: Some(now),
        ended_at: Some(now),
        wake_at: None,
        queue_wait_us: 0,
        run_time_us: 0,
    }
}

fn setting(name: &str) -> Write {
    let record = Record::new(name, None, Setting { value: 1.into(), key_digest: None }, Timestamp::now()).unwrap();
    Write::Record(RecordWrite {
        record: StoredRecord::from_record(&record).unwrap(),
        expected: Expected::Absent,
        commit_message: None,
        is_remembered: true,
    })
}

async fn count(store: &SqliteStore) -> usize {
    let query = ExecutionQuery { limit: 100_000, ..ExecutionQuery::default() };
    store.query_executions(query).await.unwrap().executions.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes_the_suite_of_all_stores() {
    let folder = tempfile::tempdir().unwrap();
    let number = std::sync::atomic::AtomicU32::new(0);
    conformance::all(async || {
        let number = number.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        open(&folder.path().join(number.to_string()))
    })
    .await;
}

#[tokio::test]
async fn the_files_are_for_the_owner_alone() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("a/b");
    let store = open(&folder);
    store.end_execution(ended(1), Vec::new(), false).await.unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    let files: Vec<_> = fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()).collect();
    assert_eq!(files.len(), 4, "{files:?}");
    assert!(files.iter().all(|file| mode(file) == 0o600));
}

#[tokio::test]
async fn a_folder_has_one_owner() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.end_execution(ended(1), Vec::new(), false).await.unwrap();
    match SqliteStore::open(folder.path(), SqliteOptions::default()) {
        Err(Error::InUse { folder: named }) => assert_eq!(Path::new(&named), folder.path()),
        other => panic!("{:?}", other.err()),
    }
    store.close().await.unwrap();
    assert!(!folder.path().join("flowhost.sqlite3-wal").exists(), "the log is folded back");
    assert_eq!(count(&open(folder.path())).await, 1);
}

#[tokio::test]
async fn data_of_a_newer_version_are_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    open(folder.path()).close().await.unwrap();
    let path = folder.path().join("flowhost.sqlite3");
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let before = fs::read(&path).unwrap();
    match SqliteStore::open(folder.path(), SqliteOptions::default()) {
        Err(Error::TooNew { found: 99, known, .. }) => assert_eq!(known, schema::VERSION),
        other => panic!("{:?}", other.err()),
    }
    assert!(fs::read(&path).unwrap() == before);
}

#[tokio::test]
async fn a_file_of_another_kind_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flowhost.sqlite3");
    fs::write(&path, "Dear diary, ".repeat(1000)).unwrap();
    let before = fs::read(&path).unwrap();
    assert!(matches!(SqliteStore::open(folder.path(), SqliteOptions::default()), Err(Error::Damaged(_))));
    assert!(fs::read(&path).unwrap() == before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_writes_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let options = SqliteOptions { max_bytes: Some(400 << 10), ..SqliteOptions::default() };
    let store = SqliteStore::open(folder.path(), options).unwrap();
    let mut kept = 0;
    loop {
        match store.end_execution(ended(10_000), Vec::new(), false).await {
            Ok(_) => kept += 1,
            Err(Error::Full) => break,
            Err(error) => panic!("{error:?}"),
        }
        assert!(kept < 1000, "400 KiB are never full");
    }
    assert!(kept > 5);
    assert_eq!(count(&store).await, kept);

    // A write that fills the disk may take its group with it, and each of the group is told.
    let store = Arc::new(store);
    let tasks: Vec<_> = (0..100)
        .map(|number| {
            let store = store.clone();
            tokio::spawn(async move { store.end_execution(ended(number * 100), Vec::new(), false).await })
        })
        .collect();
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => kept += 1,
            Err(error) => assert!(matches!(error, Error::Full), "{error:?}"),
        }
    }
    assert_eq!(count(&store).await, kept);

    // A large write in several statements leaves nothing behind.
    let flow = Record::new("flow", None, Flow::default(), Timestamp::now()).unwrap();
    let flow_id = flow.meta.id;
    let version = FlowVersion {
        flow_id,
        version: 1,
        digest: Digest([3; 32]),
        size: 1 << 20,
        created_at: Timestamp(1),
        created_by: None,
        metadata: None,
    };
    let changes = vec![
        Write::Record(RecordWrite {
            record: StoredRecord::from_record(&flow).unwrap(),
            expected: Expected::Absent,
            commit_message: None,
            is_remembered: true,
        }),
        Write::FlowVersion { version, component: vec![1; 1 << 20] },
    ];
    assert!(matches!(store.write(changes).await, Err(Error::Full)));
    assert!(store.record(flow_id).await.unwrap().is_none());
    assert_eq!(store.revision().await.unwrap(), 0);

    // With room again, writes are kept again.
    store.close().await.unwrap();
    let store = open(folder.path());
    store.end_execution(ended(10_000), Vec::new(), false).await.unwrap();
    assert_eq!(count(&store).await, kept + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_survives_an_unclean_stop() {
    let folder = tempfile::tempdir().unwrap();
    // What an idle moment would fold back is left in the log.
    let options = SqliteOptions { makes_checkpoints: false, ..SqliteOptions::default() };
    let store = SqliteStore::open(folder.path(), options).unwrap();
    for _ in 0..50 {
        store.end_execution(ended(1000), Vec::new(), false).await.unwrap();
    }
    // The files as they are at this moment: what a crash would leave.
    let copy = tempfile::tempdir().unwrap();
    for name in ["flowhost.sqlite3", "flowhost.sqlite3-wal"] {
        fs::copy(folder.path().join(name), copy.path().join(name)).unwrap();
    }
    let again = open(copy.path());
    assert_eq!(count(&again).await, 50);
    again.end_execution(ended(1000), Vec::new(), false).await.unwrap();

    // A crash in the midst of a write to the log: the torn end is as if it had not been.
    let torn = tempfile::tempdir().unwrap();
    fs::copy(folder.path().join("flowhost.sqlite3"), torn.path().join("flowhost.sqlite3")).unwrap();
    let wal = fs::read(folder.path().join("flowhost.sqlite3-wal")).unwrap();
    fs::write(torn.path().join("flowhost.sqlite3-wal"), &wal[..wal.len() - 100]).unwrap();
    assert_eq!(count(&open(torn.path())).await, 49);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_at_the_same_time_share_commits_and_a_failing_one_harms_none() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(open(folder.path()));
    store.write(vec![setting("taken")]).await.unwrap();
    let before = store.stats().await.unwrap();
    let mut tasks = Vec::new();
    for number in 0..500 {
        let store = store.clone();
        tasks.push(tokio::spawn(async move {
            if number % 10 == 0 {
                let outcome = store.write(vec![setting(&format!("new-{number}")), setting("taken")]).await;
                assert!(matches!(outcome, Err(Error::NameTaken { .. })));
            } else {
                store.end_execution(ended(100), Vec::new(), false).await.unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let stats = store.stats().await.unwrap();
    assert_eq!(stats.writes - before.writes, 450);
    assert!(stats.commits - before.commits < 225, "{stats:?}");
    assert!(stats.commit_us > 0 && stats.commit_max_us <= stats.commit_us);
    assert_eq!(count(&store).await, 450);
    assert_eq!(store.records(flowhost_model::RecordType::Setting).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_is_done_even_if_nobody_waits_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut write = store.end_execution(ended(10), Vec::new(), false);
    // The first poll hands it in, and is too early for an answer.
    let first = std::future::poll_fn(|context| std::task::Poll::Ready(write.as_mut().poll(context))).await;
    drop(write);
    store.end_execution(ended(10), Vec::new(), false).await.unwrap();
    assert_eq!(count(&store).await, 2, "{first:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_write_ahead_log_starts_over_under_steady_load() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut largest = 0;
    for _ in 0..60 {
        store.end_execution(ended(1 << 20), Vec::new(), false).await.unwrap();
        largest = largest.max(store.stats().await.unwrap().wal_bytes);
    }
    let stats = store.stats().await.unwrap();
    assert!(stats.data_bytes > 60 << 20, "{stats:?}");
    assert!(largest < 10 << 20, "the log grew to {largest} bytes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_checkpoints_of_its_own_the_log_is_left_to_others() {
    let folder = tempfile::tempdir().unwrap();
    let options = SqliteOptions { makes_checkpoints: false, ..SqliteOptions::default() };
    let store = SqliteStore::open(folder.path(), options).unwrap();
    for _ in 0..30 {
        store.end_execution(ended(1 << 20), Vec::new(), false).await.unwrap();
    }
    store.close().await.unwrap();
    assert!(fs::metadata(folder.path().join("flowhost.sqlite3-wal")).unwrap().len() > 30 << 20);
    assert_eq!(count(&open(folder.path())).await, 30);
}

/// How the executions of a list are found.
fn plan(folder: &Path, query: &ExecutionQuery) -> Vec<String> {
    let mut steps = super::explain_executions(folder, query).unwrap();
    steps.retain(|step| step.contains("execution"));
    let read = steps.pop().unwrap();
    assert_eq!(read, "SEARCH execution USING INTEGER PRIMARY KEY (rowid=?)", "{query:?}");
    steps
}

fn execution_query(filter: &Value, order: &str) -> ExecutionQuery {
    let definition = definition(RecordType::Execution);
    let filter = if filter.is_null() { None } else { Some(Filter::parse(filter, definition).unwrap()) };
    let order = if order.is_empty() { Vec::new() } else { Order::parse(order, definition).unwrap() };
    ExecutionQuery { filter, order, ..ExecutionQuery::default() }
}

#[tokio::test]
async fn every_list_is_a_scan_of_an_index() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.end_execution(ended(1), Vec::new(), false).await.unwrap();
    store.end_execution(ended(1), Vec::new(), false).await.unwrap();
    let id = RecordId::new();
    let statuses = Status::ALL.into_iter().map(Some).chain([None]);
    for status in statuses {
        for flow_id in [Some(id), None] {
            for webhook_id in [Some(id), None] {
                for created_at in [Some(Timestamp(1_700_000_000_000_000)), None] {
                    for order in ["", "created_at", "-created_at"] {
                        let mut terms = Vec::new();
                        terms.extend(status.map(|status| json!({"field": "status", "value": status})));
                        terms.extend(flow_id.map(|id| json!({"field": "flow_id", "value": id})));
                        terms.extend(webhook_id.map(|id| json!({"field": "webhook_id", "value": id})));
                        terms.extend(created_at.map(|at| json!({"field": "created_at", "op": "ge", "value": at})));
                        let filter = if terms.is_empty() { Value::Null } else { json!({"and": terms}) };
                        let query = execution_query(&filter, order);
                        let page = ExecutionQuery { limit: 1, ..execution_query(&Value::Null, order) };
                        let after = store.query_executions(page).await.unwrap().next;
                        for after in [None, after] {
                            let has_bound = after.is_some() || created_at.is_some();
                            let query = ExecutionQuery { after, ..query.clone() };
                            let steps = plan(folder.path(), &query);
                            let (index, keys) = match (webhook_id, flow_id, status) {
                                (Some(_), ..) => ("execution_by_webhook", "webhook_id=? AND status=?"),
                                (_, Some(_), _) => ("execution_by_flow", "flow_id=? AND status=?"),
                                (.., Some(_)) => ("execution_by_status", "status=?"),
                                _ => ("execution_by_id", ""),
                            };
                            let scans = if index == "execution_by_id" || status.is_some() { 1 } else { 7 };
                            assert_eq!(steps.len(), scans, "{query:?}: {steps:?}");
                            for step in steps {
                                assert!(step.contains(index) && step.contains(keys), "{query:?}: {step}");
                                assert_eq!(
                                    step.contains("id>") || step.contains("id<"),
                                    has_bound,
                                    "{query:?}: {step}"
                                );
                            }
                        }
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn lists_of_several_statuses_are_merged() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()));
    for (filter, scans) in [
        (json!({"field": "status", "op": "in", "value": ["ENDED_ERROR", "ENDED_CANCELLED"]}), 2),
        (json!({"field": "status", "op": "like", "value": "ended%"}), 3),
        (json!({"not": {"field": "status", "value": "ENDED_SUCCESS"}}), 6),
        (
            json!({"and": [{"field": "status", "op": "ne", "value": "PAUSED"},
                        {"field": "status", "op": "lt", "value": "ENDED_SUCCESS"}]}),
            3,
        ),
        (json!({"or": [{"field": "status", "value": "PAUSED"}, {"field": "status", "value": "RUNNING"}]}), 2),
    ] {
        let steps = plan(folder.path(), &execution_query(&filter, "-created_at"));
        assert_eq!(steps.len(), scans, "{filter}: {steps:?}");
        assert!(steps.iter().all(|step| step.contains("execution_by_status (status=?)")), "{filter}: {steps:?}");
    }
}

#[tokio::test]
async fn lists_of_a_few_projects_are_merged() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let ids: Vec<RecordId> = (0..20).map(|_| RecordId::new()).collect();
    let error = json!({"field": "status", "value": "ENDED_ERROR"});
    let project = json!({"field": "project_id", "value": ids[0]});
    let flow = json!({"field": "flow_id", "value": ids[0]});
    for (filter, projects, index, scans) in [
        (error.clone(), Some(2), "execution_by_project (project_id=? AND status=?)", 2),
        (Value::Null, Some(2), "execution_by_project (project_id=? AND status=?)", 14),
        (error.clone(), Some(20), "execution_by_status (status=?)", 1),
        (Value::Null, Some(20), "execution_by_id", 1),
        (json!({"and": [error, project]}), Some(20), "execution_by_project (project_id=? AND status=?)", 1),
        (project, None, "execution_by_project (project_id=? AND status=?)", 7),
        (flow, Some(2), "execution_by_flow (flow_id=? AND status=?)", 7),
    ] {
        let in_projects = projects.map(|count| ids[..count].to_vec());
        let query = ExecutionQuery { in_projects, ..execution_query(&filter, "") };
        let steps = plan(folder.path(), &query);
        assert_eq!(steps.len(), scans, "{query:?}: {steps:?}");
        assert!(steps.iter().all(|step| step.contains(index)), "{query:?}: {steps:?}");
    }
    // Nobody's projects hold nothing.
    let query = ExecutionQuery { in_projects: Some(Vec::new()), ..ExecutionQuery::default() };
    assert!(store.query_executions(query).await.unwrap().executions.is_empty());
}

#[tokio::test]
async fn a_list_of_records_by_name_is_a_scan_of_an_index() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()));
    for trash in [Trash::Exclude, Trash::Only, Trash::Include] {
        let query = RecordQuery { trash, ..RecordQuery::default() };
        let steps = super::record_query::explain(folder.path(), RecordType::Flow, &query).unwrap();
        let index = if trash == Trash::Exclude { "record_by_name" } else { "record_by_type" };
        assert!(steps.iter().any(|step| step.contains(index)), "{steps:?}");
        assert!(!steps.iter().any(|step| step.contains("TEMP B-TREE")), "{steps:?}");
    }
}
