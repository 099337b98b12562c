//! Many that wait.

use std::thread;

use flowhost_tests::scene::patient;
use flowhost_tests::{Host, Webhook, until};
use serde_json::{Value, json};

use crate::footprint::Footprint;
/// How many callers there are at the same time.
const CALLERS: usize = 8;

/// How many are called at once.
const WAVE: usize = 1_000;

/// How much the host may grow by 8,000 that sleep, in KiB: a small part of what one instance takes for each. What a wave leaves
/// in caches and in the allocator differs by tens of MiB.
const GROWTH_KIB: u64 = 96 << 10;

/// How many threads it may have more then: those for blocking work come and go by the dozen.
const GROWTH_THREADS: u64 = 50;

/// Has so many more fall asleep, and waits until so many in all have left memory.
fn fall_asleep(host: &Host, webhook: &Webhook, more: usize, all: usize) -> Vec<String> {
    let ids: Vec<String> = thread::scope(|scope| {
        let call = || (0..more / CALLERS).map(|_| webhook.call_async(host, &json!({}))).collect::<Vec<_>>();
        let callers: Vec<_> = (0..CALLERS).map(|_| scope.spawn(call)).collect();
        callers.into_iter().flat_map(|caller| caller.join().unwrap()).collect()
    });
    until("all are asleep", || {
        (host.read("execution?status=SCHEDULED&limit=1").ok() == json!([])
            && host.read("execution?status=RUNNING&limit=1").ok() == json!([]))
        .then_some(())
    });
    assert_eq!(host.all("execution?status=WAITING&fields=id").len(), all);
    ids
}

#[test]
fn ten_thousand_sleep_without_memory_or_threads() {
    let host = patient().set("executions", 50).set("queued", 20_000).set("unload_ms", 50).start();
    let sleepers = host.webhook("sleepers", "wait-forever");
    let hello = host.webhook("hello", "hello");
    // In waves, since those that are accepted and have not begun are in memory.
    let in_waves = |asleep: usize, more: usize| -> Vec<String> {
        let waves = (1..=more / WAVE).map(|wave| fall_asleep(&host, &sleepers, WAVE, asleep + wave * WAVE));
        waves.flatten().collect()
    };
    let first = in_waves(0, 2_000);
    let few = Footprint::of(&host);
    let rest = in_waves(2_000, 8_000);
    let many = Footprint::of(&host);
    assert!(many.threads <= few.threads + GROWTH_THREADS, "{few:?} {many:?}");
    assert!(many.memory_kib <= few.memory_kib + GROWTH_KIB, "{few:?} {many:?}");
    hello.call(&host, &json!({ "name": "Ada" })).send().ok();
    let host = host.crash();
    hello.call(&host, &json!({ "name": "Ada" })).send().ok();
    for id in first.iter().step_by(100).chain(rest.iter().step_by(100)) {
        host.cancel(id).ok();
        let ended = host.wait_until_ended(id);
        assert_eq!((ended.status(), &ended.record["attempt"]), ("ENDED_CANCELLED", &json!(1)));
    }
    assert_eq!(host.all("execution?status=WAITING&fields=id").len(), 9_900);
}

/// A parent of three counters of this name that waits for all of them.
fn parent_of_three(counter: &str) -> Value {
    let child = json!({ "flow": "counter", "input": { "name": counter } });
    json!({ "children": [child, child, child], "when": "ALL_SUCCEEDED" })
}

#[test]
fn a_full_pool_of_waiting_parents_never_starves_their_children() {
    let host = patient().set("executions", 2).start();
    host.deploy("counter");
    let parents = host.webhook_of_admin("parents", "parent");
    let accepted: Vec<String> = (0..20).map(|_| parents.call_async(&host, &parent_of_three("accepted"))).collect();
    thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| {
                let answer = parents.call(&host, &parent_of_three("answered")).send().ok();
                assert_eq!(answer["status"], "ENDED_SUCCESS");
            });
        }
    });
    for id in accepted {
        assert_eq!(host.wait_until_ended(&id).status(), "ENDED_SUCCESS");
    }
    for counter in ["accepted", "answered"] {
        assert_eq!(host.read(&format!("setting/{counter}?by=name")).ok()["value"], 60);
    }
}
