//! Ending in order with executions that take longer than anybody waits.

use std::thread;

use flowhost_tests::scene::patient;
use flowhost_tests::{Host, Setup, until};
use serde_json::{Value, json};

use crate::recovery::forever;

/// A host with one that sleeps in the store, one that sleeps in memory or is about to leave it, and one that computes.
fn busy(drain_timeout_ms: u64) -> (Host, [String; 3]) {
    let setup = patient().set("unload_ms", 100);
    let host = setup.set("drain_timeout_ms", drain_timeout_ms).start();
    let spin = host.webhook("spin", "spin");
    let asleep = host.webhook("asleep", "wait-forever").call_async(&host, &json!({}));
    until("one has left memory", || {
        let waiting = host.read("execution?status=WAITING").ok();
        (waiting.as_array()?.len() == 1).then_some(())
    });
    let falling_asleep = host.webhook("falling-asleep", "sleeper").call_async(&host, &forever());
    let running = spin.call_async(&host, &json!({}));
    host.wait_until(&falling_asleep, "waits", |execution| execution["status"] == "WAITING");
    host.wait_until(&running, "runs", |execution| execution["status"] == "RUNNING");
    (host, [asleep, falling_asleep, running])
}

fn member(host: &Host, id: &str, member: &str) -> Value {
    host.read(&format!("execution/{id}")).ok()[member].clone()
}

#[test]
fn what_is_handed_back_goes_on_at_the_next_start_and_is_no_other_attempt() {
    let (host, [asleep, falling_asleep, running]) = busy(1);
    host.terminate();
    assert_eq!(host.wait().code(), Some(0));
    assert!(!host.log().contains("ERROR"), "{}", host.log());
    let host = host.restart();
    for (id, status) in [(&asleep, "WAITING"), (&falling_asleep, "WAITING"), (&running, "RUNNING")] {
        host.wait_until(id, "goes on", |execution| execution["status"] == status);
        assert_eq!(member(&host, id, "attempt"), 1);
        host.cancel(id).ok();
        assert_eq!(host.wait_until_ended(id).status(), "ENDED_CANCELLED");
    }
}

#[test]
fn what_a_second_signal_cuts_off_goes_on_as_after_a_crash() {
    let (host, [asleep, _, running]) = busy(24 * 3_600_000);
    host.terminate();
    until("the host has heard", || host.log().contains("a second signal ends at once").then_some(()));
    host.terminate();
    assert_eq!(host.wait().code(), Some(128 + 15));
    let host = host.restart();
    host.wait_until(&running, "runs again", |execution| execution["status"] == "RUNNING" && execution["attempt"] == 2);
    host.wait_until(&asleep, "sleeps on", |execution| execution["status"] == "WAITING" && execution["attempt"] == 1);
}

#[test]
fn what_is_in_the_midst_of_a_change_makes_it_once_and_ends() {
    let mut host = patient().set("drain_timeout_ms", 0).start();
    let counter = host.webhook_of_admin("counter", "counter");
    let mut accepted: Vec<String> = Vec::new();
    for _ in 0..15 {
        let call = || (0..25).map(|_| counter.call_async(&host, &json!({ "name": "total", "times": 3 }))).collect();
        thread::scope(|scope| {
            let callers: Vec<_> = (0..4).map(|_| scope.spawn(call)).collect();
            accepted.extend(callers.into_iter().flat_map(|caller| -> Vec<String> { caller.join().unwrap() }));
        });
        host.terminate();
        assert_eq!(host.wait().code(), Some(0));
        host = host.restart();
    }
    for id in &accepted {
        let ended = host.wait_until_ended(id);
        assert_eq!((ended.status(), &ended.record["attempt"]), ("ENDED_SUCCESS", &json!(1)));
    }
    assert_eq!(host.read("setting/total?by=name").ok()["value"], 3 * accepted.len());
}

#[test]
fn half_a_head_holds_up_no_stop() {
    let host = Setup::new().set("drain_timeout_ms", 24 * 3_600_000).start();
    let mut half = host.connect();
    half.write("GET /api/latest/alive HTTP/1.1\r\nHost: flowhost\r\n\r\nGET /api/latest/alive HTTP/1.1\r\nHos");
    half.answer("GET").ok();
    host.terminate();
    assert_eq!(host.wait().code(), Some(0));
    assert!(half.closed().is_empty());
}
