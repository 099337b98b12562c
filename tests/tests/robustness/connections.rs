//! Those who wish to be served all at once, and those who go away.

use flowhost_tests::scene::patient;
use flowhost_tests::{Host, Setup, until};
use serde_json::json;

use crate::recovery::forever;

#[test]
fn a_connection_beyond_the_limit_is_told_so() {
    let host = Setup::new().set("max_connections", 4).start();
    let (mut one, mut other) = (host.connect(), host.connect());
    for connection in [&mut one, &mut other] {
        connection.write("GET /api/latest/alive HTTP/1.1\r\nHost: flowhost\r\n\r\n");
        assert_eq!(connection.answer("GET").status, 200);
    }
    let refused = host.get("/api/latest/alive").send();
    refused.problem(503, "host.busy");
    assert_eq!((refused.header("retry-after"), refused.header("connection")), (Some("1"), Some("close")));
    // Those who have a connection keep it, and a place that is given back is taken.
    one.write("GET /api/latest/alive HTTP/1.1\r\nHost: flowhost\r\n\r\n");
    assert_eq!(one.answer("GET").status, 200);
    drop(other);
    until("there is a place", || (host.get("/api/latest/alive").send().status == 200).then_some(()));
}

#[test]
fn an_execution_outlives_a_caller_who_goes_away_and_gives_its_place_back() {
    let host = Setup::new().set("executions", 1).set("admission_wait_ms", 60_000).start();
    let sleeper = host.webhook("sleeper", "sleeper");
    for number in 1..=3 {
        drop(sleeper.call(&host, &json!({ "ms": 50 })).start());
        until("the execution has ended", || {
            let executions = host.executions_of("sleeper");
            (executions.len() == number && executions.iter().all(|ended| ended["status"] == "ENDED_SUCCESS"))
                .then_some(())
        });
    }
    host.webhook("hello", "hello").call(&host, &json!({})).send().ok();
}

#[test]
fn a_full_host_refuses_and_serves_again() {
    let host = patient().set("executions", 1).set("admission_wait_ms", 0).start();
    let spin = host.webhook("spin", "spin");
    let hello = host.webhook("hello", "hello");
    let id = spin.call_async(&host, &json!(null));
    host.wait_until(&id, "runs", |execution| execution["status"] == "RUNNING");
    for _ in 0..20 {
        let refused = hello.call(&host, &json!({})).send();
        refused.problem(503, "host.busy");
        assert_eq!(refused.header("retry-after"), Some("1"));
    }
    host.cancel(&id).ok();
    assert_eq!(host.wait_until_ended(&id).status(), "ENDED_CANCELLED");
    hello.call(&host, &json!({})).send().ok();
}

#[test]
fn a_full_webhook_refuses_and_others_are_served() {
    let host = patient().start();
    let sleeper = host.webhook_with("sleeper", "sleeper", &json!({ "options": { "max_executions": 1 } }));
    let id = sleeper.call_async(&host, &forever());
    let refused = sleeper.call(&host, &forever()).send();
    refused.problem(429, "webhook.busy");
    assert_eq!(refused.header("retry-after"), Some("1"));
    host.webhook("hello", "hello").call(&host, &json!({})).send().ok();
    host.cancel(&id).ok();
    host.wait_until_ended(&id);
    sleeper.call(&host, &json!({ "ms": 1 })).send().ok();
}

#[test]
fn two_hundred_callers_at_once_are_served_or_told_to_come_back() {
    let host = Setup::new().set("executions", 2).set("admission_wait_ms", 0).start();
    let webhook = host.webhook("sleeper", "sleeper");
    let mut callers: Vec<_> = (0..200).map(|_| webhook.call(&host, &json!({ "ms": 5 })).start()).collect();
    let mut served = 0;
    for caller in &mut callers {
        let answer = caller.answer("POST");
        // One place of the two is the flow's share.
        match answer.status {
            200 => served += 1,
            _ => drop(answer.problem(429, "flow.busy")),
        }
    }
    assert!(served > 0);
    assert_eq!(host.executions_of("sleeper").len(), served);
    let log = Host::log(&host);
    assert!(!log.contains("ERROR") && !log.contains("panicked"), "{log}");
}
