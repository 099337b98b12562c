//! Floods of one webhook, flow or user, and the others, who find places all the same.

use flowhost_tests::outside::Outside;
use flowhost_tests::scene::{DAY, items, patient, text};
use flowhost_tests::{Connection, Host, Setup, Webhook, until};
use serde_json::{Value, json};

use crate::footprint::Footprint;

/// A host whose flows may send requests to this machine.
fn outgoing() -> Setup {
    let setup = Setup::new().flag("--set", "http_private=127.0.0.0/8").flag("--set", "http_allow=http://*:*");
    setup.set("wait_ms", DAY).set("wall_ms", DAY).set("http_time_ms", DAY).set("http_total_ms", DAY)
}

/// A webhook of a flow of its own that sends requests.
fn sender(host: &Host, name: &str) -> Webhook {
    host.deploy_as(name, flowhost_tests::component("http")).ok();
    let flow = host.read(&format!("flow/{name}?by=name")).ok();
    let options = json!({ "options": { "http_allow": ["http://*:*"] } });
    host.change(&format!("flow/{}", text(&flow, "id")), &options).ok();
    Webhook { record: host.create("webhook", &json!({ "name": name, "flow_name": name, "is_enabled": true })).ok() }
}

fn get(url: String) -> Value {
    json!({ "steps": [{ "send": [{ "url": url }] }] })
}

/// Starts calls that reach a server which never answers.
fn stuck(host: &Host, webhook: &Webhook, outside: &Outside, count: usize) -> Vec<Connection> {
    let calls = (0..count).map(|_| webhook.call(host, &get(outside.url("/gate"))).start()).collect();
    outside.until_waiting(count);
    calls
}

#[test]
fn flooded_webhook_is_refused_while_others_are_accepted() {
    let host = patient().set("executions", 1).set("queued", 20).start();
    let spin = host.webhook("spin", "spin");
    let running = spin.call_async(&host, &json!(null));
    host.wait_until(&running, "runs", |execution| execution["status"] == "RUNNING");
    let (flooded, other) = (host.webhook("flooded", "hello"), host.webhook("other", "hello"));
    let flood: Vec<String> = (0..10).map(|_| flooded.call_async(&host, &json!({}))).collect();
    let refused = host.post_json(&format!("{}?async", flooded.path()), &json!({})).send();
    refused.problem(429, "webhook.busy");
    assert_eq!(refused.header("retry-after"), Some("1"));
    let accepted = other.call_async(&host, &json!({}));
    host.cancel(&running).ok();
    for id in flood.iter().chain([&accepted]) {
        assert_eq!(host.wait_until_ended(id).status(), "ENDED_SUCCESS");
    }
}

#[test]
fn flow_whose_upstream_never_answers_leaves_slots_to_others() {
    let host = outgoing().set("executions", 8).set("admission_wait_ms", 0).start();
    let (dead, hello) = (Outside::start(), host.webhook("hello", "hello"));
    let flood = sender(&host, "flood");
    let calls = stuck(&host, &flood, &dead, 4);
    flood.call(&host, &get(dead.url("/gate"))).send().problem(429, "flow.busy");
    // What is accepted of it waits, and keeps nobody else waiting.
    let waiting = flood.call_async(&host, &get(dead.url("/gate")));
    hello.call(&host, &json!({})).send().ok();
    let accepted = hello.call_async(&host, &json!({}));
    assert_eq!(host.wait_until_ended(&accepted).status(), "ENDED_SUCCESS");
    assert_eq!(host.read(&format!("execution/{waiting}")).ok()["status"], "SCHEDULED");
    dead.open();
    assert_eq!(host.wait_until_ended(&waiting).status(), "ENDED_SUCCESS");
    for mut call in calls {
        call.answer("POST").ok();
    }
}

#[test]
fn exchanges_that_never_end_leave_some_to_others() {
    let host = outgoing().set("http_host_parallel", 4).start();
    let (dead, alive) = (Outside::start(), Outside::start());
    let (flood, other) = (sender(&host, "flood"), sender(&host, "other"));
    let calls = stuck(&host, &flood, &dead, 2);
    let late = json!({ "steps": [{ "send": [{ "url": alive.url("/echo"), "timeout_ms": 100 }] }] });
    let redirect = alive.url(&format!("/redirect/302?{}", dead.url("/echo")));
    // Neither the flow nor the server that never answers has more than half of them, by whatever way it is reached.
    for (webhook, url, code) in [
        (&flood, alive.url("/echo"), json!("http.timeout")),
        (&other, dead.url("/echo"), json!("http.timeout")),
        (&other, redirect, json!("http.timeout")),
        (&other, alive.url("/echo"), Value::Null),
    ] {
        let mut plan = late.clone();
        plan["steps"][0]["send"][0]["url"] = json!(url);
        plan["steps"][0]["send"][0]["redirects"] = json!(1);
        let answer = webhook.call(&host, &plan).send().ok();
        assert_eq!(items(&answer["output_value"]["results"])[0]["code"], code, "{url}: {answer}");
    }
    dead.open();
    for mut call in calls {
        call.answer("POST").ok();
    }
}

#[test]
fn accepted_calls_without_room_in_memory_wait_in_the_store() {
    let host = patient().set("executions", 1).set("queue_bytes", 0).start();
    let spin = host.webhook("spin", "spin");
    let running = spin.call_async(&host, &json!(null));
    host.wait_until(&running, "runs", |execution| execution["status"] == "RUNNING");
    let key = "the-key-of-the-call";
    let echo = host.webhook_with("echo", "echo", &json!({ "key": key }));
    let target = format!("{}?async&key={key}", echo.path());
    let mut ids = Vec::new();
    for number in 0..3 {
        let accepted = host.post_json(&target, &json!({ "number": number, "key_again": key })).send();
        assert_eq!(accepted.status, 202, "{}", accepted.text());
        ids.push(text(&accepted.json(), "id").to_owned());
    }
    assert_eq!(host.read(&format!("execution/{}", ids[0])).ok()["status"], "SCHEDULED");
    host.cancel(&ids[2]).ok();
    assert_eq!(host.wait_until_ended(&ids[2]).status(), "ENDED_CANCELLED");
    host.cancel(&running).ok();
    for (number, id) in ids[..2].iter().enumerate() {
        let ended = host.wait_until_ended(id);
        assert_eq!(ended.outputs()["input"]["json"]["number"], number);
        assert!(!ended.record["output_value"].to_string().contains(key), "{}", ended.record);
    }
}

#[test]
fn queue_of_large_calls_takes_little_memory() {
    const CALLS: usize = 200;
    let host = patient().set("executions", 1).start();
    let spin = host.webhook("spin", "spin");
    let running = spin.call_async(&host, &json!(null));
    host.wait_until(&running, "runs", |execution| execution["status"] == "RUNNING");
    let echo = host.webhook("outputs", "outputs");
    let large = json!({ "large": "x".repeat(1_000_000) });
    let before = Footprint::of(&host);
    for _ in 0..CALLS {
        echo.call_async(&host, &large);
    }
    let after = Footprint::of(&host);
    // Input and request of each are a megabyte.
    assert!(after.memory_kib < before.memory_kib + 200 * 1024, "{before:?} {after:?}");
    host.cancel(&running).ok();
}

#[test]
fn flow_without_memory_of_the_host_is_not_blamed_and_runs_later() {
    let host = patient().set("executions", 2).set("guest_bytes", 40 << 20).start();
    let (bomb, hello) = (host.webhook("bomb", "memory-bomb"), host.webhook("hello", "hello"));
    let refused = bomb.call(&host, &json!({})).send();
    let problem = refused.problem(503, "host.busy");
    assert_eq!((&problem["fault"], &problem["retryable"]), (&json!("host"), &json!(true)));
    let id = bomb.call_async(&host, &json!({}));
    until("it found no memory twice", || {
        let log = host.log();
        let said = |line: &&str| line.contains("it runs again later") && line.contains(&id);
        (log.lines().filter(said).count() >= 2).then_some(())
    });
    hello.call(&host, &json!({})).send().ok();
    assert_eq!(host.read(&format!("execution/{id}")).ok()["attempt"], 1);
    host.cancel(&id).ok();
    assert_eq!(host.wait_until_ended(&id).status(), "ENDED_CANCELLED");
}

#[test]
fn start_shows_all_budgets_of_memory_in_one_line() {
    let host = Setup::new().set("guest_bytes", 64 << 20).set("queue_bytes", 16 << 20).start();
    let log = host.log();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("memory at the most")).collect();
    assert!(lines.len() == 1 && lines[0].contains("guest_bytes 64 MiB, queue_bytes 16 MiB"), "{log}");
    // Less than what one flow may have by its own limit.
    assert!(log.contains("lower `memory_bytes`"), "{log}");
}
