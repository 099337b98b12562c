//! A host whose disk fails: what was answered is kept, and the host goes on when the disk does.

use std::fs;

use flowhost_tests::faults::{Faults, Operation, Plan};
use flowhost_tests::{Host, Setup, Webhook, until};
use rusqlite::Connection;
use rustix::io::Errno;
use serde_json::{Value, json};

/// How a full disk is said in the log, and its end.
const FULL: &str = "what cannot be kept is refused until there is room";
const AGAIN: &str = "writes are kept again";

/// The database, not what SQLite keeps beside it.
const DATABASE: &str = "/flowhost.sqlite3";
const LOG: &str = "/flowhost.sqlite3-wal";

/// Calls `hello` with 100 KB, and gives the execution's id.
fn large_call(host: &Host, hello: &Webhook) -> String {
    let input = json!({ "name": "x".repeat(100_000) });
    hello.call(host, &input).send().ok()["id"].as_str().unwrap().to_owned()
}

fn count(text: &str, part: &str) -> usize {
    text.matches(part).count()
}

#[test]
fn call_after_a_failed_sync_is_kept() {
    let faults = Faults::new();
    let host = Setup::new().faults(&faults).start();
    let hello = host.webhook("hello", "hello");
    faults.arm(&Plan::new(Errno::IO).operations(&[Operation::Sync]).file(LOG).always());
    hello.call(&host, &json!({})).send().problem(500, "host.error");
    assert!(faults.failed() > 0);
    faults.disarm();
    let kept = hello.call(&host, &json!({})).send().ok();
    let host = host.crash();
    let executions = host.executions_of("hello");
    assert_eq!(executions.iter().map(|execution| &execution["id"]).collect::<Vec<_>>(), [&kept["id"]]);
}

/// A reader keeps the first checkpoint from copying the whole log, so that SQLite does not sync what it copied; the sync
/// of the second one fails, and the system gives up what neither has brought to the disk.
#[test]
fn failed_checkpoint_loses_nothing() {
    let faults = Faults::new();
    let host = Setup::new().faults(&faults).start();
    let hello = host.webhook("hello", "hello");
    let mut kept = Vec::new();

    let reader = Connection::open(host.data().join("flowhost.sqlite3")).unwrap();
    reader.execute_batch("BEGIN; SELECT COUNT(*) FROM execution").unwrap();
    faults.arm(&Plan::harmless().operations(&[Operation::Write]).file(DATABASE));
    for _ in 0..20 {
        kept.push(large_call(&host, &hello));
    }
    drop(reader);
    let reader = Connection::open(host.data().join("flowhost.sqlite3")).unwrap();
    reader.execute_batch("BEGIN; SELECT COUNT(*) FROM execution").unwrap();
    while faults.matched() == 0 {
        kept.push(large_call(&host, &hello));
    }
    drop(reader);

    faults.arm(&Plan::new(Errno::IO).operations(&[Operation::Sync]).file(DATABASE));
    while faults.failed() == 0 {
        kept.push(large_call(&host, &hello));
    }
    assert!(faults.lost_pages() > 0);
    // Until the log has been copied anew, and has started over.
    let started_over = |host: &Host| count(&host.log(), "is copied into the database again") > 0;
    while !started_over(&host) {
        kept.push(large_call(&host, &hello));
    }
    for _ in 0..60 {
        kept.push(large_call(&host, &hello));
    }
    assert_eq!(count(&host.log(), "ERROR"), 1, "{}", host.log());
    assert!(host.log().contains("could not be copied into the database"), "{}", host.log());

    let host = host.crash();
    for id in &kept {
        assert_eq!(host.read(&format!("execution/{id}")).ok()["status"], "ENDED_SUCCESS");
    }
    host.terminate();
    host.wait();
    let data = Connection::open(host.data().join("flowhost.sqlite3")).unwrap();
    let found: String = data.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(found, "ok");
}

#[test]
fn calls_are_kept_while_a_checkpoint_syncs() {
    let faults = Faults::new();
    let host = Setup::new().faults(&faults).start();
    let hello = host.webhook("hello", "hello");
    faults.arm(&Plan::harmless().operations(&[Operation::Sync]).file(DATABASE).hold());
    // A checkpoint is due after a second without calls.
    let first = large_call(&host, &hello);
    faults.until_held();
    let kept: Vec<String> = (0..100).map(|_| large_call(&host, &hello)).collect();
    faults.disarm();
    let host = host.crash();
    let executions = host.executions_of("hello");
    assert_eq!(executions.len(), 1 + kept.len());
    assert!(executions.iter().any(|execution| execution["id"] == first.as_str()));
}

/// Twenty calls are refused in each way that a disk says that it is full; the log has one line of it, and one of its end.
#[test]
fn full_disk_is_told_as_such_and_said_once() {
    let faults = Faults::new();
    let host = Setup::new().faults(&faults).start();
    let hello = host.webhook("hello", "hello");
    for (operation, error) in [
        (Operation::Sync, Errno::NOSPC),
        (Operation::Sync, Errno::DQUOT),
        (Operation::Write, Errno::NOSPC),
        (Operation::Write, Errno::DQUOT),
    ] {
        faults.arm(&Plan::new(error).operations(&[operation]).file(LOG).always());
        for _ in 0..5 {
            hello.call(&host, &json!({})).send().problem(503, "host.storage-full");
        }
        host.get("/api/latest/ready").send().problem(503, "host.storage-full");
        // An index that cannot be kept, a flow: whatever is written.
        host.set("colour", "\"blue\"").problem(503, "host.storage-full");
        faults.disarm();
        hello.call(&host, &json!({})).send().ok();
        host.get("/api/latest/ready").send().ok();
    }
    let log = host.log();
    assert_eq!((count(&log, FULL), count(&log, AGAIN), count(&log, "ERROR")), (1, 1, 1), "{log}");
}

#[test]
fn host_is_ready_again_without_a_call() {
    let faults = Faults::new();
    let host = Setup::new().faults(&faults).start();
    let hello = host.webhook("hello", "hello");
    for (error, code) in [(Errno::IO, "host.storage-unavailable"), (Errno::NOSPC, "host.storage-full")] {
        host.get("/api/latest/ready").send().ok();
        faults.arm(&Plan::new(error).operations(&[Operation::Write]).file(LOG).always());
        assert_ne!(hello.call(&host, &json!({})).send().status, 200);
        host.get("/api/latest/ready").send().problem(503, code);
        host.get("/api/latest/alive").send().ok();
        faults.disarm();
        until("the host is ready again", || (host.get("/api/latest/ready").send().status == 200).then_some(()));
    }
}

/// SQLite opens a file for reading where it cannot be opened for writing.
#[test]
fn database_that_opens_only_for_reading_is_opened_again() {
    let faults = Faults::new();
    let host = Setup::new().faults(&faults).start();
    let hello = host.webhook("hello", "hello");
    // The sync of the checkpoint that is due after a second without calls, and the opening that follows.
    let both = [Operation::Sync, Operation::Open];
    faults.arm(&Plan::new(Errno::IO).operations(&both).file(DATABASE).times(2));
    until("both have failed", || (faults.failed() == 2).then_some(()));
    until("a call is kept", || (hello.call(&host, &json!({})).send().status == 200).then_some(()));
}

/// Reads fail with the disk as well, and go on with it.
#[test]
fn host_that_cannot_open_its_data_again_goes_on_later() {
    let faults = Faults::new();
    let host = Setup::new().faults(&faults).start();
    let hello = host.webhook("hello", "hello");
    let kept = hello.call(&host, &json!({})).send().ok();
    // The checkpoint fails, and so does all that follows.
    let everything = [Operation::Sync, Operation::Open, Operation::Read];
    faults.arm(&Plan::new(Errno::IO).operations(&everything).file(DATABASE).always());
    until("the data are closed", || (host.get("/api/latest/ready").send().status == 503).then_some(()));
    assert_ne!(hello.call(&host, &json!({})).send().status, 200);
    faults.disarm();
    until("the host is ready again", || (host.get("/api/latest/ready").send().status == 200).then_some(()));
    let later = hello.call(&host, &json!({})).send().ok();
    let ids: Vec<Value> = host.executions_of("hello").iter().map(|execution| execution["id"].clone()).collect();
    assert_eq!(ids, [later["id"].clone(), kept["id"].clone()]);
    assert!(host.log().contains(AGAIN), "{}", host.log());
}

#[test]
fn missing_log_after_a_crash_is_said() {
    let host = Host::start();
    host.terminate();
    host.wait();
    let host = host.restart();
    assert!(!host.log().contains("is missing"), "{}", host.log());
    host.set("colour", "\"blue\"").ok();
    host.kill();
    fs::remove_file(host.data().join("flowhost.sqlite3-wal")).unwrap();
    let host = host.restart();
    let log = host.log();
    assert_eq!(count(&log, "flowhost.sqlite3-wal"), 1, "{log}");
    assert!(log.contains("WARN") && log.contains("is missing"), "{log}");
    // It is not missed again.
    let host = host.crash();
    assert!(!host.log().contains("is missing"), "{}", host.log());
}
