//! A host whose disk fails: what was answered is kept, and the host goes on when the disk does.

use flowhost_tests::Setup;
use flowhost_tests::faults::{Faults, Operation, Plan};
use rustix::io::Errno;
use serde_json::json;

#[test]
fn call_after_a_failed_sync_is_kept() {
    let faults = Faults::new();
    let host = Setup::new().faults(&faults).start();
    let hello = host.webhook("hello", "hello");
    faults.arm(&Plan::new(Errno::IO).operations(&[Operation::Sync]).file("flowhost.sqlite3-wal"));
    hello.call(&host, &json!({})).send().problem(500, "host.error");
    assert_eq!((faults.failed(), faults.matched()), (1, 1));
    let kept = hello.call(&host, &json!({})).send().ok();
    let host = host.crash();
    let executions = host.executions_of("hello");
    assert_eq!(executions.iter().map(|execution| &execution["id"]).collect::<Vec<_>>(), [&kept["id"]]);
}
