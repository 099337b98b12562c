//! Ending in order.

use flowhost_tests::scene::patient;
use flowhost_tests::{Setup, until};
use serde_json::json;

use crate::recovery::{forever, running};

#[test]
fn a_signal_lets_calls_under_way_end() {
    let host = patient().set("drain_timeout_ms", 60_000).start();
    let webhook = host.webhook("sleeper", "sleeper");
    let mut caller = webhook.call(&host, &json!({ "ms": 3_000 })).start();
    running(&host, "sleeper");
    host.terminate();
    let answer = caller.answer("POST");
    assert_eq!(answer.ok()["status"], "ENDED_SUCCESS");
    assert_eq!(host.wait().code(), Some(0));
    assert!(!host.log().contains("ERROR"), "{}", host.log());
}

#[test]
fn a_second_signal_ends_at_once() {
    let host = patient().set("drain_timeout_ms", 3_600_000).start();
    let webhook = host.webhook("sleeper", "sleeper");
    let _caller = webhook.call(&host, &forever()).start();
    let id = running(&host, "sleeper");
    host.terminate();
    until("the host has heard", || host.log().contains("a second signal ends at once").then_some(()));
    host.terminate();
    assert_eq!(host.wait().code(), Some(128 + 15));
    let host = host.restart();
    assert_eq!(host.wait_until_ended(&id).failure(), Some("execution.interrupted"));
}

#[test]
fn calls_that_do_not_end_in_time_are_cut_off_and_accepted_ones_go_on() {
    let host = patient().set("drain_timeout_ms", 1).start();
    let accepted = host.webhook("spin", "spin").call_async(&host, &json!(null));
    host.wait_until(&accepted, "runs", |execution| execution["status"] == "RUNNING");
    let _caller = host.webhook("sleeper", "sleeper").call(&host, &forever()).start();
    let waited_for = running(&host, "sleeper");
    host.terminate();
    assert_eq!(host.wait().code(), Some(0));
    let host = Setup::new().set("cpu_ms", 50).data_of(&host).start();
    assert_eq!(host.wait_until_ended(&waited_for).status(), "ENDED_CANCELLED");
    let ended = host.wait_until_ended(&accepted);
    assert_eq!((ended.failure(), &ended.record["attempt"]), (Some("flow.cpu-limit"), &json!(1)));
}
