//! Whose turn it is.

use flowhost_tests::{Host, Setup, Webhook, component, until};
use serde_json::{Value, json};

use flowhost_tests::scene::{DAY, act, execution, text, until_status, webhook, webhook_with};

/// A host on which whatever sleeps keeps its slot, unless others want it.
fn host() -> Host {
    Setup::new().set("unload_ms", DAY).start()
}

/// Deploys `sleeper` with options of the flow.
fn sleeper_with(host: &Host, options: &Value) -> Value {
    let flow = host.deploy("sleeper")["flow"].clone();
    let path = format!("flow/{}", text(&flow, "id"));
    host.change(&path, &json!({ "options": options })).ok()
}

fn asleep() -> Value {
    json!({ "ms": DAY })
}

/// The ids in the order in which their executions began.
fn in_order_of_begin(host: &Host, ids: &[String]) -> Vec<String> {
    let mut begun: Vec<(String, String)> = ids
        .iter()
        .map(|id| {
            let ended = host.wait_until_ended(id);
            assert_eq!(ended.status(), "ENDED_SUCCESS", "{}", ended.record);
            (text(&ended.record, "started_at").to_owned(), id.clone())
        })
        .collect();
    begun.sort();
    begun.into_iter().map(|(_, id)| id).collect()
}

/// Takes the only slot of a host with a computing execution, until that is cancelled.
fn occupied(executions: u64) -> (Host, Vec<String>) {
    let host = Setup::new().set("executions", executions).set("cpu_ms", DAY).set("wall_ms", DAY).start();
    let spin = webhook(&host, "spin", "spin");
    let ids = vec![spin.call_async(&host, &json!(null))];
    until_status(&host, &ids[0], "RUNNING");
    (host, ids)
}

#[test]
fn a_flow_runs_as_many_executions_at_once_as_it_may() {
    let host = host();
    sleeper_with(&host, &json!({ "max_executions": 2 }));
    // Whatever webhook they come from.
    let webhooks = ["one", "two"].map(|name| webhook(&host, name, "sleeper"));
    let ids: Vec<String> = (0..4).map(|number| webhooks[number % 2].call_async(&host, &asleep())).collect();
    until_status(&host, &ids[0], "WAITING");
    until_status(&host, &ids[1], "WAITING");
    // Another flow is not held up.
    let other = webhook(&host, "other", "wait-forever").call_async(&host, &json!(null));
    until_status(&host, &other, "WAITING");
    for id in &ids[2..] {
        assert_eq!(execution(&host, id)["status"], "SCHEDULED");
    }
    host.cancel(&ids[0]).ok();
    until_status(&host, &ids[2], "WAITING");
    assert_eq!(execution(&host, &ids[3])["status"], "SCHEDULED");
    // One that is taken out of the queue is no hindrance.
    host.cancel(&ids[3]).ok();
    assert_eq!(host.wait_until_ended(&ids[3]).status(), "ENDED_CANCELLED");
    // Nor is the limit for ever: a higher one is effective for those that come.
    let flow = host.read("flow/sleeper?by=name").ok();
    host.change(&format!("flow/{}", text(&flow, "id")), &json!({ "options": {} })).ok();
    let more: Vec<String> = (0..3).map(|_| webhooks[0].call_async(&host, &asleep())).collect();
    more.iter().for_each(|id| drop(until_status(&host, id, "WAITING")));
}

#[test]
fn the_order_of_a_flow_that_is_limited_is_that_of_the_calls() {
    let host = host();
    sleeper_with(&host, &json!({ "max_executions": 1 }));
    let webhook = webhook(&host, "sleeper", "sleeper");
    let first = webhook.call_async(&host, &asleep());
    until_status(&host, &first, "WAITING");
    let ids: Vec<String> = (0..6).map(|_| webhook.call_async(&host, &json!({ "ms": 0 }))).collect();
    host.cancel(&first).ok();
    assert_eq!(in_order_of_begin(&host, &ids), ids);
}

#[test]
fn a_call_beyond_the_flows_limit_waits_for_its_turn_and_is_refused_in_the_end() {
    let host = Setup::new().set("unload_ms", DAY).set("admission_wait_ms", 200).start();
    sleeper_with(&host, &json!({ "max_executions": 1 }));
    let webhook = webhook(&host, "sleeper", "sleeper");
    let first = webhook.call_async(&host, &asleep());
    until_status(&host, &first, "WAITING");
    let answer = webhook.call(&host, &json!({ "ms": 0 })).send();
    let problem = answer.problem(429, "flow.busy");
    assert_eq!((&problem["fault"], &problem["retryable"]), (&json!("caller"), &json!(true)));
    assert!(answer.header("retry-after").is_some());
    assert_eq!(host.executions_of("sleeper").len(), 1);
    host.cancel(&first).ok();
    host.wait_until_ended(&first);
    webhook.call(&host, &json!({ "ms": 0 })).send().ok();
    // In time, it gets its turn, and is served before who comes later.
    let host = Setup::new().set("unload_ms", DAY).set("admission_wait_ms", DAY).start();
    sleeper_with(&host, &json!({ "max_executions": 1 }));
    let webhook = flowhost_tests::scene::webhook(&host, "sleeper", "sleeper");
    let first = webhook.call_async(&host, &asleep());
    until_status(&host, &first, "WAITING");
    let mut waiting = webhook.call(&host, &json!({ "ms": 0 })).start();
    // Nothing shows a call that waits; what the host answers afterwards it has begun to read afterwards.
    host.read("alive").ok();
    host.cancel(&first).ok();
    assert_eq!(waiting.answer("POST").ok()["status"], "ENDED_SUCCESS");
}

#[test]
fn the_most_urgent_goes_first() {
    let (host, spinning) = occupied(1);
    let flow = host.deploy_as("urgent-flow", component("outputs")).ok()["flow"].clone();
    host.change(&format!("flow/{}", text(&flow, "id")), &json!({ "options": { "priority": "high" } })).ok();
    host.deploy("outputs");
    let with = |name: &str, options: Value| webhook_with(&host, name, "outputs", json!({ "options": options }));
    let low = with("low", json!({ "priority": "low" }));
    let normal = with("normal", json!({}));
    let high = with("high", json!({ "priority": "high" }));
    let record = json!({ "name": "by-flow", "flow_name": "urgent-flow", "is_enabled": true });
    let by_flow = Webhook { record: host.create("webhook", &record).ok() };
    let mut own = record.clone();
    own["name"] = json!("own");
    own["options"] = json!({ "priority": "low" });
    let own = Webhook { record: host.create("webhook", &own).ok() };
    let calls = [(&low, "low"), (&own, "low"), (&normal, "normal"), (&by_flow, "high"), (&high, "high")];
    let ids: Vec<String> = calls.iter().map(|(webhook, _)| webhook.call_async(&host, &json!({}))).collect();
    for (id, (_, priority)) in ids.iter().zip(calls) {
        assert_eq!(execution(&host, id)["priority"], priority);
    }
    host.cancel(&spinning[0]).ok();
    let [low, own, normal, by_flow, high] = [0, 1, 2, 3, 4].map(|number: usize| ids[number].clone());
    assert_eq!(in_order_of_begin(&host, &ids), [by_flow, high, normal, low, own]);
}

#[test]
fn a_flood_of_one_webhook_does_not_delay_another() {
    let (host, spinning) = occupied(1);
    let [flood, single] = ["flood", "single"].map(|name| webhook(&host, name, "outputs"));
    let mut ids: Vec<String> = (0..200).map(|_| flood.call_async(&host, &json!({}))).collect();
    let late = single.call_async(&host, &json!({}));
    ids.push(late.clone());
    host.cancel(&spinning[0]).ok();
    let place = in_order_of_begin(&host, &ids).iter().position(|id| *id == late).unwrap();
    assert!(place <= 2, "{place} of the flood came before it");
}

#[test]
fn callers_who_wait_find_room_beside_a_flood() {
    let (host, spinning) = occupied(4);
    let spin = webhook(&host, "spin-too", "spin");
    let more: Vec<String> = (0..10).map(|_| spin.call_async(&host, &json!(null))).collect();
    // With the one that runs already, the flow has its share of the slots.
    until("two run", || {
        let running = more.iter().filter(|id| execution(&host, id)["status"] == "RUNNING").count();
        (running == 1).then_some(())
    });
    webhook(&host, "single", "outputs").call(&host, &json!({})).send().ok();
    let running = more.iter().filter(|id| execution(&host, id)["status"] == "RUNNING").count();
    assert_eq!(running, 1);
    more.iter().chain(&spinning).for_each(|id| drop(host.cancel(id).ok()));
}

#[test]
fn limits_and_priorities_hold_after_a_crash() {
    let host = host();
    sleeper_with(&host, &json!({ "max_executions": 1, "priority": "high" }));
    let webhook = webhook(&host, "sleeper", "sleeper");
    let ids: Vec<String> = (0..4).map(|_| webhook.call_async(&host, &asleep())).collect();
    until_status(&host, &ids[0], "WAITING");
    let host = host.crash();
    let waiting = || ids.iter().filter(|id| execution(&host, id)["status"] == "WAITING").count();
    until("one runs", || (waiting() == 1).then_some(()));
    let running = ids.iter().find(|id| execution(&host, id)["status"] == "WAITING").unwrap();
    for id in ids.iter().filter(|id| *id != running) {
        let scheduled = execution(&host, id);
        assert_eq!((&scheduled["status"], &scheduled["priority"]), (&json!("SCHEDULED"), &json!("high")));
    }
    host.cancel(running).ok();
    until("the next runs", || (waiting() == 1).then_some(()));
}

#[test]
fn one_that_waits_for_a_key_does_not_keep_its_flow_from_others() {
    let host = host();
    for flow in ["wait-forever", "outputs"] {
        host.deploy(flow);
    }
    sleeper_with(&host, &json!({ "max_executions": 1 }));
    let parent = webhook(&host, "parent", "parent");
    let children = |children: Value| {
        let id = parent.call_async(&host, &json!({ "children": children, "when": "ALL_ENDED" }));
        host.wait_until(&id, "waits", |execution| execution["status"] == "WAITING")["output_value"]["ids"].clone()
    };
    let id = |ids: &Value, number: usize| ids[number].as_str().unwrap().to_owned();
    // The key and the flow are taken.
    let taken = children(json!([
        { "flow": "wait-forever", "key": "k", "limit": 1 },
        { "flow": "sleeper", "input": asleep() },
    ]));
    [0, 1].iter().for_each(|number| drop(until_status(&host, &id(&taken, *number), "WAITING")));
    let next = children(json!([
        { "flow": "sleeper", "input": { "ms": 0 }, "key": "k", "limit": 1 },
        { "flow": "sleeper", "input": { "ms": 0 } },
    ]));
    // The first of these may run as far as its flow goes, and not as far as its key goes.
    host.cancel(&id(&taken, 1)).ok();
    assert_eq!(host.wait_until_ended(&id(&next, 1)).status(), "ENDED_SUCCESS");
    assert_eq!(execution(&host, &id(&next, 0))["status"], "SCHEDULED");
    host.cancel(&id(&taken, 0)).ok();
    assert_eq!(host.wait_until_ended(&id(&next, 0)).status(), "ENDED_SUCCESS");
}

#[test]
fn one_that_is_taken_out_of_the_queue_lets_those_behind_it_run() {
    let (host, spinning) = occupied(1);
    sleeper_with(&host, &json!({ "max_executions": 1 }));
    host.deploy("sleeper");
    let sleeper = webhook(&host, "sleeper", "sleeper");
    let ids: Vec<String> = (0..3).map(|_| sleeper.call_async(&host, &json!({ "ms": 0 }))).collect();
    host.cancel(&ids[0]).ok();
    act(&host, &ids[1], "pause").ok();
    host.cancel(&spinning[0]).ok();
    assert_eq!(host.wait_until_ended(&ids[2]).status(), "ENDED_SUCCESS");
    act(&host, &ids[1], "resume").ok();
    assert_eq!(host.wait_until_ended(&ids[1]).status(), "ENDED_SUCCESS");
}
