//! Executions that the host dies with.

use flowhost_tests::Host;
use flowhost_tests::scene::patient;
use serde_json::{Value, json};

fn runs(attempt: u64) -> impl Fn(&Value) -> bool {
    move |execution| execution["status"] == "RUNNING" && execution["attempt"] == attempt
}

#[test]
fn execution_the_host_dies_with_three_times_fails() {
    let host = patient().set("executions", 1).start();
    let (spin, hello) = (host.webhook("spin", "spin"), host.webhook("hello", "hello"));
    let suspect = spin.call_async(&host, &json!(null));
    host.wait_until(&suspect, "runs", runs(1));
    // It waits for the only slot, and has no part in any death.
    let bystander = hello.call_async(&host, &json!({}));
    let host = host.crash();
    host.wait_until(&suspect, "runs again", runs(2));
    let host = host.crash();
    host.wait_until(&suspect, "runs again", runs(3));
    let host: Host = host.crash();
    let ended = host.wait_until_ended(&suspect);
    assert_eq!((ended.status(), ended.failure()), ("ENDED_ERROR", Some("execution.host-died")), "{}", ended.record);
    assert_eq!(ended.record["failure"]["retryable"], false);
    assert_eq!(host.wait_until_ended(&bystander).status(), "ENDED_SUCCESS");
    assert!(host.log().contains("execution.host-died"), "{}", host.log());
    hello.call(&host, &json!({})).send().ok();
}
