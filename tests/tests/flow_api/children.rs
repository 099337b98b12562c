//! Executions that executions start.

use std::fs;

use flowhost_tests::{Ended, Host, Setup, Webhook};
use serde_json::{Value, json};

use flowhost_tests::scene::{
    DAY, act, children_of, database, execution, items, parent_of, resident_and_unloaded, text, unloading, until_status,
    until_unloaded, webhook, webhook_with,
};

/// Sleeps for a day.
fn forever() -> Value {
    json!({ "flow": "wait-forever" })
}

/// Ends at once, with outputs.
fn good() -> Value {
    json!({ "flow": "outputs", "input": { "return": { "a": 1 } } })
}

/// Ends at once, with an error.
fn bad() -> Value {
    json!({ "flow": "outputs", "input": { "fail": "boom" } })
}

/// A webhook for `parent`, on a host with flows for its children.
fn family(host: &Host, name: &str) -> Webhook {
    for flow in ["wait-forever", "outputs", "sleeper"] {
        host.deploy(flow);
    }
    webhook(host, name, "parent")
}

/// Runs a `parent` to its end.
fn run(host: &Host, webhook: &Webhook, children: Value, more: Value) -> Ended {
    host.wait_until_ended(&webhook.call_async(host, &parent_of(children, more)))
}

/// The codes of what a `parent` was refused and handled.
fn refused(ended: &Ended) -> Vec<(&str, &str)> {
    assert_eq!(ended.status(), "ENDED_SUCCESS", "{}", ended.record);
    items(&ended.outputs()["refused"]).iter().map(|one| (text(one, "call"), text(one, "code"))).collect()
}

/// Waits until so many children of an execution have this status.
fn until_children(host: &Host, parent: &str, count: usize, status: &str) -> Vec<Value> {
    flowhost_tests::until(&format!("{count} children are {status}"), || {
        let mut children = children_of(host, parent);
        children.retain(|child| child["status"] == status);
        (children.len() == count).then_some(children)
    })
}

fn statuses(host: &Host, parent: &str) -> Vec<String> {
    children_of(host, parent).iter().map(|child| text(child, "status").to_owned()).collect()
}

#[test]
fn a_child_is_started_by_the_name_or_the_id_of_its_flow_with_its_input() {
    for host in resident_and_unloaded() {
        let webhook = family(host, "child-start");
        let flow = host.read("flow/outputs?by=name").ok();
        let by_id = json!({ "flow_id": flow["id"], "input": { "set": { "b": 2 }, "return": { "c": [1.10] } } });
        let ended = run(host, &webhook, json!([good(), by_id, bad()]), json!({ "when": "ALL_ENDED" }));
        assert_eq!(ended.status(), "ENDED_SUCCESS", "{}", ended.record);
        let outputs = ended.outputs();
        assert_eq!(outputs["child_outputs"], json!([{ "a": 1 }, { "b": 2, "c": [1.1] }, {}]));
        assert_eq!(outputs["statuses"], json!(["ENDED_SUCCESS", "ENDED_SUCCESS", "ENDED_ERROR"]));
        assert_eq!(outputs["messages"], json!([null, null, "boom"]));
        assert_eq!(outputs["ended"], outputs["ids"]);

        let id = text(&ended.record, "id");
        let children = children_of(host, id);
        let ids: Vec<&Value> = children.iter().map(|child| &child["id"]).collect();
        assert_eq!(ids, items(&outputs["ids"]).iter().collect::<Vec<_>>());
        for child in &children {
            assert_eq!([&child["parent_id"], &child["created_by"]], [id, id]);
            for inherited in ["user_id", "project_id", "is_productive"] {
                assert_eq!(child[inherited], ended.record[inherited], "{inherited}");
            }
            assert_eq!((&child["webhook"], &child["flow"]["name"]), (&Value::Null, &json!("outputs")));
            assert_eq!((&child["is_durable"], &child["attempt"]), (&json!(true), &json!(1)));
        }
        assert_eq!(children[0]["input_value"], json!({ "return": { "a": 1 } }));
    }
}

#[test]
fn a_childs_last_progress_is_its_message() {
    let host = Host::shared();
    let webhook = family(host, "child-message");
    let ended =
        run(host, &webhook, json!([{ "flow": "sleeper", "input": { "ms": 1 } }]), json!({ "when": "ALL_ENDED" }));
    assert_eq!(ended.outputs()["messages"], json!(["awake"]));
}

#[test]
fn the_first_end_ends_a_wait_for_the_first() {
    for host in resident_and_unloaded() {
        let webhook = family(host, "child-first");
        for (first, status) in [(good(), "ENDED_SUCCESS"), (bad(), "ENDED_ERROR")] {
            let ended = run(host, &webhook, json!([forever(), first]), json!({ "when": "FIRST_ENDED" }));
            assert_eq!(ended.outputs()["ended"], json!([ended.outputs()["ids"][1]]));
            assert_eq!(ended.outputs()["statuses"][1], status);
            assert!(!ended.outputs()["statuses"][0].as_str().unwrap().starts_with("ENDED"));
        }
    }
}

#[test]
fn a_wait_for_success_is_refused_as_soon_as_a_child_ends_otherwise() {
    for host in resident_and_unloaded() {
        let webhook = family(host, "child-success");
        let all = json!({ "when": "ALL_SUCCEEDED", "handle": true });
        let ended = run(host, &webhook, json!([good(), good()]), all.clone());
        assert_eq!(ended.outputs()["ended"], ended.outputs()["ids"]);
        let ended = run(host, &webhook, json!([forever(), bad()]), all.clone());
        assert_eq!(refused(&ended), [("wait", "children.failed")]);
        let message = text(&ended.outputs()["refused"][0], "message");
        let id = ended.outputs()["ids"][1].as_str().unwrap();
        assert_eq!(message, format!("the child {id} of the flow `outputs` is ENDED_ERROR: boom"));
        // A cancelled one has not succeeded either.
        let mut cancelled = all;
        cancelled["cancel"] = json!([0]);
        let ended = run(host, &webhook, json!([forever(), good()]), cancelled);
        assert_eq!(refused(&ended), [("wait", "children.failed")]);
        assert_eq!(ended.outputs()["statuses"][0], "ENDED_CANCELLED");
    }
}

#[test]
fn a_failed_child_fails_its_parent_unless_that_handles_it() {
    for host in resident_and_unloaded() {
        let webhook = family(host, "child-fails");
        let ended = run(host, &webhook, json!([bad()]), json!({ "when": "ALL_SUCCEEDED" }));
        assert_eq!((ended.status(), ended.failure()), ("ENDED_ERROR", Some("flow.error")));
        assert_eq!(ended.record["failure"]["flow_code"], "children.failed");
        assert!(text(&ended.record, "status_message").ends_with(": boom"), "{}", ended.record);
        // Also a grandchild's, through its own parent.
        let child = json!({ "flow": "parent", "input": parent_of(json!([bad()]), json!({ "when": "ALL_SUCCEEDED" })) });
        let ended = run(host, &webhook, json!([child]), json!({ "when": "ALL_SUCCEEDED" }));
        assert_eq!(ended.record["failure"]["flow_code"], "children.failed");
        assert!(text(&ended.record, "status_message").ends_with(": boom"), "{}", ended.record);
    }
}

#[test]
fn a_wait_lasts_as_long_as_it_says_and_ends_neither_the_children_nor_the_parent() {
    for host in resident_and_unloaded() {
        let webhook = family(host, "child-timeout");
        for milliseconds in [0, 1, 50] {
            let limited = json!({ "when": "ALL_ENDED", "timeout_ms": milliseconds, "handle": true });
            let ended = run(host, &webhook, json!([forever()]), limited);
            assert_eq!(refused(&ended), [("wait", "children.wait-timeout")]);
            let (message, child) =
                (&ended.outputs()["refused"][0]["message"], ended.outputs()["ids"][0].as_str().unwrap());
            assert!(message.as_str().unwrap().contains(child), "{message}");
            assert!(!ended.outputs()["statuses"][0].as_str().unwrap().starts_with("ENDED"));
        }
        let ended = run(host, &webhook, json!([forever()]), json!({ "when": "ALL_ENDED", "timeout_ms": 1 }));
        assert_eq!(ended.record["failure"]["flow_code"], "children.wait-timeout");
        let ended = run(host, &webhook, json!([good()]), json!({ "when": "ALL_ENDED", "timeout_ms": DAY }));
        assert_eq!(ended.outputs()["statuses"], json!(["ENDED_SUCCESS"]));
    }
}

#[test]
fn a_wait_for_nothing_or_for_strangers_is_refused() {
    let host = Host::shared();
    let webhook = family(host, "child-strangers");
    let handled = |children: Value, strangers: Value| {
        let more = json!({ "when": "ALL_ENDED", "strangers": strangers, "handle": true });
        run(host, &webhook, children, more)
    };
    let other = handled(json!([good()]), json!([]));
    assert!(refused(&other).is_empty());
    let foreign = [&other.outputs()["ids"][0], &other.record["id"], &json!("nonsense"), &json!("")];
    for stranger in foreign {
        let ended = handled(json!([good()]), json!([stranger]));
        assert_eq!(refused(&ended), [("wait", "children.not-found")], "{stranger}");
        assert!(text(&ended.outputs()["refused"][0], "message").contains(stranger.as_str().unwrap()));
    }
    assert_eq!(refused(&handled(json!([]), json!([]))), [("wait", "children.nothing-to-wait-for")]);
}

/// A parent whose child is a parent: each waits for a sleeper, and has started another that is detached.
fn clan() -> Value {
    let sleepers = json!([forever(), { "flow": "wait-forever", "detached": true }]);
    let waits = json!({ "when": "ALL_ENDED", "timeout_ms": DAY });
    let middle = json!({ "flow": "parent", "input": parent_of(sleepers.clone(), waits.clone()) });
    parent_of(json!([sleepers[0], sleepers[1], middle]), waits)
}

#[test]
fn a_cancelled_parent_takes_its_children_and_theirs_along_but_not_the_detached() {
    for (host, is_unloaded) in resident_and_unloaded().into_iter().zip([false, true]) {
        let webhook = family(host, "child-cancel");
        let top = webhook.call_async(host, &clan());
        until_children(host, &top, 3, "WAITING");
        let middle = text(&children_of(host, &top)[2], "id").to_owned();
        until_children(host, &middle, 2, "WAITING");
        if is_unloaded {
            for id in [&top, &middle] {
                until_unloaded(host, id);
                children_of(host, id).iter().for_each(|child| drop(until_unloaded(host, text(child, "id"))));
            }
        }
        host.cancel(&top).ok();
        assert_eq!(host.wait_until_ended(&top).status(), "ENDED_CANCELLED");
        until_children(host, &top, 2, "ENDED_CANCELLED");
        until_children(host, &middle, 1, "ENDED_CANCELLED");
        assert_eq!(statuses(host, &top), ["ENDED_CANCELLED", "WAITING", "ENDED_CANCELLED"]);
        assert_eq!(statuses(host, &middle), ["ENDED_CANCELLED", "WAITING"]);
        for detached in [&children_of(host, &top)[1], &children_of(host, &middle)[1]] {
            host.cancel(text(detached, "id")).ok();
            assert_eq!(host.wait_until_ended(text(detached, "id")).status(), "ENDED_CANCELLED");
        }
    }
}

#[test]
fn queued_and_paused_children_are_cancelled_with_their_parent() {
    let host = Setup::new().set("unload_ms", DAY).start();
    let webhook = family(&host, "family");
    let one_at_a_time = json!({ "flow": "wait-forever", "key": "k", "limit": 1 });
    let children = json!([one_at_a_time, one_at_a_time, forever()]);
    let parent = webhook.call_async(&host, &parent_of(children, json!({ "when": "ALL_ENDED" })));
    until_children(&host, &parent, 2, "WAITING");
    let paused = text(&children_of(&host, &parent)[2], "id").to_owned();
    assert_eq!(act(&host, &paused, "pause").ok()["status"], "PAUSED");
    assert_eq!(statuses(&host, &parent), ["WAITING", "SCHEDULED", "PAUSED"]);
    host.cancel(&parent).ok();
    assert_eq!(host.wait_until_ended(&parent).status(), "ENDED_CANCELLED");
    for child in until_children(&host, &parent, 3, "ENDED_CANCELLED") {
        assert!(child["ended_at"].is_string());
    }
    // What is over stays over.
    let host = host.crash();
    assert_eq!(statuses(&host, &parent), ["ENDED_CANCELLED"; 3]);
}

#[test]
fn children_end_with_their_parent_however_that_ends() {
    let host = Setup::new().set("cpu_ms", 500).start();
    let webhook = family(&host, "family");
    let busy = flowhost_tests::scene::webhook(&host, "busy", "busy-parent");
    let detached = json!({ "flow": "wait-forever", "detached": true });
    let children = json!([forever(), detached]);
    let success = webhook.call_async(&host, &parent_of(children.clone(), json!({})));
    let unknown = json!([forever(), detached, { "flow": "nobody-has-this" }]);
    let error = webhook.call_async(&host, &parent_of(unknown, json!({})));
    let cpu = busy.call_async(&host, &json!({ "flow": "wait-forever" }));
    assert_eq!(host.wait_until_ended(&success).status(), "ENDED_SUCCESS");
    let failed = host.wait_until_ended(&error);
    assert_eq!(failed.record["failure"]["flow_code"], "flow.not-found", "{}", failed.record);
    assert_eq!(host.wait_until_ended(&cpu).failure(), Some("flow.cpu-limit"));
    for parent in [&success, &error, &cpu] {
        until_children(&host, parent, 1, "ENDED_CANCELLED");
    }
    for parent in [&success, &error] {
        let kept = until_children(&host, parent, 1, "WAITING");
        assert_eq!(kept[0]["id"], children_of(&host, parent)[1]["id"]);
    }
    // A time limit ends a parent that computes, however little CPU it may use up.
    let host = Setup::new().set("cpu_ms", DAY).set("wall_ms", 2_000).start();
    host.deploy("wait-forever");
    let busy = flowhost_tests::scene::webhook(&host, "busy", "busy-parent");
    let wall = busy.call_async(&host, &json!({ "flow": "wait-forever" }));
    assert_eq!(host.wait_until_ended(&wall).failure(), Some("flow.time-limit"));
    until_children(&host, &wall, 1, "ENDED_CANCELLED");
}

#[test]
fn children_are_limited_in_number_and_in_depth() {
    let host = Setup::new().set("children", 3).set("child_depth", 2).start();
    host.deploy("outputs");
    let endless = webhook(&host, "endless", "endless-children");
    let outputs = endless.call(&host, &json!({ "flow": "outputs", "input": {} })).send().ok()["output_value"].clone();
    assert_eq!((&outputs["code"], &outputs["started"]), (&json!("children.too-many"), &json!(3)));
    assert_eq!(outputs["message"], "an execution starts at most 3 children");
    let deep = webhook(&host, "self-starter", "self-starter");
    let outputs = deep.call(&host, &json!({})).send().ok()["output_value"].clone();
    assert_eq!(outputs, json!({ "code": "children.too-deep", "depth": 2 }));
}

#[test]
fn children_of_one_flow_that_wait_have_half_of_the_places() {
    let host = Setup::new().set("executions", 1).set("queued", 5).start();
    host.deploy("outputs");
    host.deploy("wait-forever");
    let endless = webhook(&host, "endless", "endless-children");
    // It has the only slot, so that none of its children begins.
    let (cancelled, well) = (("wait-forever", false, "ENDED_CANCELLED"), ("outputs", true, "ENDED_SUCCESS"));
    for (flow, detached, status) in [cancelled, well, well] {
        let plan = json!({ "flow": flow, "input": {}, "detached": detached });
        let execution = endless.call(&host, &plan).send().ok();
        let outputs = &execution["output_value"];
        assert_eq!((&outputs["code"], &outputs["started"]), (&json!("host.busy"), &json!(3)), "{outputs}");
        // Those who begin or end leave their places to others.
        until_children(&host, text(&execution, "id"), 3, status);
    }
}

#[test]
fn what_is_no_child_is_refused() {
    let host = Host::shared();
    let webhook = family(host, "child-refused");
    let wrong = [
        (json!({ "flow": "nobody-has-this" }), "flow.not-found"),
        (json!({ "flow": "" }), "flow.not-found"),
        (json!({ "flow_id": "01a202e4-f47d-72a3-b440-9b77d4430568" }), "flow.not-found"),
        (json!({ "flow_id": "outputs" }), "flow.not-found"),
        (json!({ "flow": "outputs", "key": "" }), "children.invalid-limit"),
        (json!({ "flow": "outputs", "key": "x".repeat(129) }), "children.invalid-limit"),
        (json!({ "flow": "outputs", "key": "k", "limit": 0 }), "children.invalid-limit"),
    ];
    for (child, code) in wrong {
        let ended = run(host, &webhook, json!([child]), json!({ "handle": true }));
        assert_eq!(refused(&ended), [("start", code)], "{child}");
        assert!(children_of(host, text(&ended.record, "id")).is_empty());
    }
    let hoarder = flowhost_tests::scene::webhook(host, "child-large", "hoarder");
    let large = hoarder.call(host, &json!({ "op": "children.input", "bytes": 16 << 20 })).send().ok();
    assert_eq!(large["output_value"]["code"], "request.too-large");
    let just = json!({ "flow": "outputs", "input": {}, "key": "é".repeat(128), "limit": 1 });
    let ended = run(host, &webhook, json!([just]), json!({ "handle": true, "when": "ALL_SUCCEEDED" }));
    assert!(refused(&ended).is_empty());
    // A flow in the trash is none.
    let gone = host.deploy_as("child-gone", flowhost_tests::component("outputs")).ok();
    assert_eq!(host.delete(&format!("flow/{}", text(&gone["flow"], "id"))).status, 204);
    let ended = run(host, &webhook, json!([{ "flow": "child-gone" }]), json!({ "handle": true }));
    assert_eq!(refused(&ended), [("start", "flow.not-found")]);
}

#[test]
fn a_child_whose_flow_is_gone_for_good_fails_and_its_parent_learns_of_it() {
    let host = Setup::new().set("unload_ms", 1).start();
    let webhook = family(&host, "family");
    let waits = json!({ "when": "ALL_SUCCEEDED", "handle": true, "timeout_ms": DAY });
    let parent = webhook.call_async(&host, &parent_of(json!([forever()]), waits));
    until_unloaded(&host, &parent);
    let child = text(&children_of(&host, &parent)[0], "id").to_owned();
    until_unloaded(&host, &child);
    let flow = host.read("flow/wait-forever?by=name").ok();
    assert_eq!(host.delete(&format!("flow/{}?permanently=true", text(&flow, "id"))).status, 204);
    host.kill();
    fs::remove_dir_all(host.data().join("artifacts")).unwrap();
    database(&host).execute("UPDATE execution SET wake_at = 1 WHERE parent_id IS NOT NULL", []).unwrap();
    let host = host.restart();
    assert_eq!(host.wait_until_ended(&child).failure(), Some("flow.not-found"));
    assert_eq!(refused(&host.wait_until_ended(&parent)), [("wait", "children.failed")]);
}

#[test]
fn an_execution_starts_the_flows_that_it_may_read() {
    let host = Host::shared();
    family(host, "child-permitted");
    let none = host.webhook("child-no-role", "parent");
    let ended = run(host, &none, json!([good()]), json!({ "handle": true }));
    assert_eq!(refused(&ended), [("start", "access.forbidden")]);

    let [own, other] = ["child-own", "child-other"].map(|name| {
        let project = host.create("project", &json!({ "name": name })).ok();
        let flow = host.deploy_as(name, flowhost_tests::component("outputs")).ok()["flow"].clone();
        host.change(&format!("flow/{}", text(&flow, "id")), &json!({ "project_id": project["id"] })).ok();
        project
    });
    let read = json!({ "project_id": own["id"], "record_type": "FLOW", "operation": "READ" });
    host.create("role", &json!({ "name": "child-own", "permissions": [read] })).ok();
    let members = json!({ "roles": [{ "role_name": "child-own" }] });
    let webhook = webhook_with(host, "child-own", "parent", members);
    let children = json!([{ "flow": "child-own", "input": {} }, { "flow": "child-other", "input": {} }]);
    let ended = run(host, &webhook, children, json!({ "handle": true, "when": "ALL_SUCCEEDED" }));
    assert_eq!(refused(&ended), [("start", "flow.not-found")]);
    assert_eq!(ended.outputs()["statuses"], json!(["ENDED_SUCCESS"]));
    assert_ne!(own["id"], other["id"]);
}

#[test]
fn the_most_urgent_child_begins_first() {
    // One slot, which the parent has until all are started.
    let host = Setup::new().set("executions", 1).start();
    let webhook = family(&host, "family");
    host.deploy_as("urgent", flowhost_tests::component("outputs")).ok();
    let flow = host.read("flow/urgent?by=name").ok();
    host.change(&format!("flow/{}", text(&flow, "id")), &json!({ "options": { "priority": "high" } })).ok();
    let child = |priority: &str| json!({ "flow": "outputs", "input": {}, "priority": priority });
    let children = json!([
        child("low"),
        { "flow": "outputs", "input": {} },
        { "flow": "urgent", "input": {} },
        { "flow": "urgent", "input": {}, "priority": "low" },
        child("high"),
        child("normal"),
    ]);
    let ended = run(&host, &webhook, children, json!({ "when": "ALL_SUCCEEDED" }));
    let mut children = children_of(&host, text(&ended.record, "id"));
    let priorities: Vec<&str> = children.iter().map(|child| text(child, "priority")).collect();
    assert_eq!(priorities, ["low", "normal", "high", "low", "high", "normal"]);
    children.sort_by_key(|child| text(child, "started_at").to_owned());
    let begun: Vec<&str> = children.iter().map(|child| text(child, "priority")).collect();
    assert_eq!(begun, ["high", "high", "normal", "normal", "low", "low"]);
}

#[test]
fn at_most_so_many_with_a_key_run_at_once_whoever_started_them() {
    let host = Setup::new().set("unload_ms", DAY).start();
    let webhook = family(&host, "family");
    let keyed = |key: &str| json!({ "flow": "wait-forever", "key": key, "limit": 2 });
    let waits = json!({ "when": "ALL_ENDED" });
    let first = webhook.call_async(&host, &parent_of(json!([keyed("a"), keyed("a"), keyed("a")]), waits.clone()));
    until_children(&host, &first, 2, "WAITING");
    let second = webhook.call_async(&host, &parent_of(json!([keyed("a"), keyed("b"), forever()]), waits));
    until_children(&host, &second, 2, "WAITING");
    assert_eq!(statuses(&host, &first), ["WAITING", "WAITING", "SCHEDULED"]);
    assert_eq!(statuses(&host, &second), ["SCHEDULED", "WAITING", "WAITING"]);
    // The end of one lets the next begin, in the order of their start.
    let first_children = children_of(&host, &first);
    host.cancel(text(&first_children[0], "id")).ok();
    until_status(&host, text(&first_children[2], "id"), "WAITING");
    assert_eq!(statuses(&host, &second)[0], "SCHEDULED");
    host.cancel(&first).ok();
    until_children(&host, &second, 3, "WAITING");
}

#[test]
fn children_run_in_the_mode_of_their_parent() {
    let host = Host::shared();
    family(host, "child-mode");
    let webhook = webhook_with(host, "child-development", "parent", json!({ "is_productive": false }));
    let inner = parent_of(json!([good()]), json!({ "when": "ALL_SUCCEEDED" }));
    let children = json!([good(), { "flow": "parent", "input": inner }]);
    let ended = run(host, &webhook, children, json!({ "when": "ALL_SUCCEEDED" }));
    assert_eq!((ended.status(), &ended.record["is_productive"]), ("ENDED_SUCCESS", &json!(false)));
    let children = children_of(host, text(&ended.record, "id"));
    let grandchildren = children_of(host, text(&children[1], "id"));
    for child in children.iter().chain(&grandchildren) {
        assert_eq!(child["is_productive"], false);
    }
    assert_eq!(grandchildren.len(), 1);
}

#[test]
fn a_wait_for_children_goes_on_after_a_crash() {
    for unload_ms in [1, DAY] {
        let host = Setup::new().set("unload_ms", unload_ms).start();
        let webhook = family(&host, "family");
        let waits = json!({ "when": "ALL_SUCCEEDED", "timeout_ms": DAY });
        let children = json!([{ "flow": "sleeper", "input": { "ms": DAY } }, good()]);
        let parent = webhook.call_async(&host, &parent_of(children, waits));
        until_status(&host, &parent, "WAITING");
        until_children(&host, &parent, 1, "ENDED_SUCCESS");
        let child = text(&children_of(&host, &parent)[0], "id").to_owned();
        // Long before its time, which comes below.
        until_status(&host, &child, "WAITING");
        act(&host, &child, "pause").ok();
        let host = host.crash();
        until_status(&host, &parent, "WAITING");
        assert_eq!(execution(&host, &child)["status"], "PAUSED");
        host.cancel(&child).ok();
        let ended = host.wait_until_ended(&parent);
        assert_eq!(ended.record["failure"]["flow_code"], "children.failed", "{}", ended.record);
        assert_eq!(children_of(&host, &parent).len(), 2);
    }
}

#[test]
fn waiting_parents_never_keep_their_children_from_running() {
    let host = Setup::new().set("executions", 2).set("unload_ms", DAY).set("wait_ms", DAY).start();
    let webhook = family(&host, "family");
    let inner = parent_of(json!([good(), good()]), json!({ "when": "ALL_SUCCEEDED" }));
    let children = json!([{ "flow": "parent", "input": inner }, good()]);
    let payload = parent_of(children, json!({ "when": "ALL_SUCCEEDED" }));
    let parents: Vec<String> = (0..20).map(|_| webhook.call_async(&host, &payload)).collect();
    // One whose caller waits, among them.
    webhook.call(&host, &payload).send().ok();
    for parent in &parents {
        assert_eq!(host.wait_until_ended(parent).status(), "ENDED_SUCCESS");
    }
}

#[test]
fn the_children_of_an_execution_are_a_list() {
    let host = unloading();
    let webhook = family(host, "child-list");
    let ended = run(host, &webhook, json!([good(), bad(), good()]), json!({ "when": "ALL_ENDED" }));
    let id = text(&ended.record, "id");
    let listed = |filter: &Value| {
        let filter: String = filter.to_string().bytes().map(|byte| format!("%{byte:02X}")).collect();
        items(&host.read(&format!("execution?filter={filter}&limit=1000")).ok()).clone()
    };
    let of_parent = json!({ "field": "parent_id", "value": id });
    assert_eq!(listed(&of_parent).len(), 3);
    let failed = listed(&json!({ "and": [of_parent, { "field": "status", "value": "ENDED_ERROR" }] }));
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0]["status_message"], "boom");
    assert_eq!(ended.record["parent_id"], Value::Null);
    let roots = listed(
        &json!({ "and": [{ "field": "id", "value": id }, { "field": "parent_id", "op": "is_null", "value": true }] }),
    );
    assert_eq!(roots.len(), 1);
}

#[test]
fn the_failure_of_a_child_is_a_typed_error() {
    for host in resident_and_unloaded() {
        let parent = webhook(host, "children-failure", "parent");
        host.deploy("fail");
        host.deploy("panics");
        host.deploy("hello");
        let fails =
            json!({ "message": "sold out", "code": "shop.sold-out", "details": { "seats": 0 }, "retryable": true });
        let children = json!([{ "flow": "fail", "input": fails }, { "flow": "panics" }, { "flow": "hello" }]);
        let plan = parent_of(children, json!({ "when": "ALL_ENDED" }));
        let ended = host.wait_until_ended(&parent.call_async(host, &plan));
        let failures = items(&ended.outputs()["failures"]);
        assert_eq!(failures[0], fails);
        assert_eq!(failures[1]["code"], "flow.panic");
        assert_eq!(failures[2], Value::Null);
    }
}
