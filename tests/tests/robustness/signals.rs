//! Ending in order.

use flowhost_tests::{Setup, until};
use serde_json::json;

use crate::recovery::{forever, patient, running};

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
fn calls_that_do_not_end_in_time_are_cut_off_and_accepted_ones_run_again() {
    let host = patient().set("drain_timeout_ms", 1).start();
    let webhook = host.webhook("sleeper", "sleeper");
    let accepted = webhook.call_async(&host, &forever());
    host.wait_until(&accepted, "waits", |execution| execution["status"] == "WAITING");
    let _caller = webhook.call(&host, &forever()).start();
    let waited_for = until("the call runs", || {
        let executions = host.executions_of("sleeper");
        let other = executions.iter().find(|execution| execution["id"] != json!(accepted))?;
        Some(other["id"].as_str().unwrap().to_owned())
    });
    host.terminate();
    assert_eq!(host.wait().code(), Some(0));
    let host = Setup::new().set("wall_ms", 50).data_of(&host).start();
    assert!(matches!(host.wait_until_ended(&waited_for).status(), "ENDED_CANCELLED" | "ENDED_ERROR"));
    let ended = host.wait_until_ended(&accepted);
    assert_eq!((ended.failure(), &ended.record["attempt"]), (Some("flow.time-limit"), &json!(2)));
}
