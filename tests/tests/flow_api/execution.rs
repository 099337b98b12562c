//! What an execution says of itself and does to itself.

use flowhost_tests::scene::{
    DAY, begin, children_of, let_time_come, resident_and_unloaded, results, settings, text, until_status,
    until_unloaded, webhook, webhook_with,
};
use flowhost_tests::{Ended, Host, Setup, Webhook};
use serde_json::{Value, json};

fn plan(operations: Value) -> Value {
    json!({ "ops": operations })
}

/// Performs operations in an execution that nobody waits for.
fn run(host: &Host, webhook: &Webhook, operations: Value) -> Ended {
    host.wait_until_ended(&begin(host, webhook, operations))
}

#[test]
fn the_input_is_what_the_execution_was_started_with() {
    let host = Host::shared();
    let webhook = webhook(host, "execution-input", "execution");
    let ended = run(host, &webhook, json!([{ "op": "input" }]));
    let input = &results(ended.success())[0];
    assert_eq!(*input, ended.record["input_value"]);
    assert_eq!((&input["method"], &input["json"]), (&json!("POST"), &plan(json!([{ "op": "input" }]))));
}

#[test]
fn it_says_with_whose_permissions_it_acts() {
    let host = Host::shared();
    let webhook = webhook(host, "execution-acting", "execution");
    let identity = json!([{ "op": "identity" }]);
    let expected = json!({ "type": "WEBHOOK", "id": webhook.record["id"], "name": "execution-acting" });
    assert_eq!(results(run(host, &webhook, identity.clone()).success()), std::slice::from_ref(&expected));
    let by_setting = host.webhook_of_admin("execution-admin", "execution");
    let ended = run(host, &by_setting, identity.clone());
    let acting = &results(ended.success())[0];
    assert_eq!((&acting["type"], &acting["name"]), (&json!("USER"), &json!("admin")));
    assert_eq!(acting["id"], ended.record["user_id"]);
    // A child acts as its parent.
    let ended = run(host, &webhook, json!([{ "op": "clone", "input": plan(identity) }]));
    let clone = host.wait_until_ended(text(&children_of(host, text(&ended.record, "id"))[0], "id"));
    assert_eq!(results(clone.success()), [expected]);
}

#[test]
fn who_is_gone_is_nobody() {
    let host = Setup::new().set("unload_ms", 1).start();
    let webhook = webhook(&host, "gone", "execution");
    let wait = |operations: Value| {
        let id = webhook.call_async(&host, &plan(operations));
        until_unloaded(&host, &id);
        id
    };
    let sleep = json!({ "op": "sleep", "ms": DAY });
    let late = wait(json!([sleep, { "op": "identity" }]));
    let early = wait(json!([{ "op": "identity" }, sleep, { "op": "identity" }]));
    assert_eq!(host.delete(&webhook.record_path()).status, 204);
    host.kill();
    let_time_come(&host);
    let host = host.restart();
    let of = |id: &str| results(host.wait_until_ended(id).success());
    assert_eq!(of(&late)[1], Value::Null);
    // What it was told stays.
    let told = of(&early);
    assert_eq!((&told[0]["name"], &told[2]), (&json!("gone"), &Value::Null));
}

#[test]
fn the_attempt_is_told_once() {
    let host = Setup::new().set("unload_ms", DAY).start();
    let webhook = webhook(&host, "attempt", "execution");
    let operations = json!([
        { "op": "attempt" },
        { "op": "increment", "name": "attempt.steps" },
        { "op": "sleep", "ms": 2_000 },
        { "op": "attempt" },
    ]);
    let id = webhook.call_async(&host, &plan(operations));
    host.wait_until(&id, "has made its step", |_| settings(&host, "attempt.").len() == 1);
    let host = host.crash();
    let ended = host.wait_until_ended(&id);
    assert_eq!(ended.record["attempt"], 2);
    assert_eq!(results(ended.success()), [json!(1), json!(1), json!(null), json!(2)]);
}

#[test]
fn outputs_are_merged_replaced_and_added_to() {
    for host in resident_and_unloaded() {
        let webhook = webhook(host, "execution-outputs", "execution");
        let operations = json!([
            { "op": "set", "name": "old", "value": 1 },
            { "op": "replace", "value": { "a": 1, "b": [1] } },
            { "op": "merge", "value": { "b": [2], "c": null } },
            { "op": "append", "name": "b", "value": { "x": [] } },
            { "op": "sleep", "ms": 20 },
            { "op": "append", "name": "new", "raw": " 1.50 " },
            { "op": "append", "name": "new", "value": "two" },
            { "op": "append", "name": "a", "value": 1 },
            { "op": "append", "name": "c", "value": 1 },
            { "op": "append", "name": "new", "raw": "1, 2" },
            { "op": "merge", "raw": "[]" },
            { "op": "merge", "raw": "{\"d\":" },
            { "op": "replace", "raw": "null" },
        ]);
        let ended = run(host, &webhook, operations);
        let mut outputs = ended.outputs().clone();
        outputs.as_object_mut().unwrap().remove("results");
        assert_eq!(outputs, json!({ "a": 1, "b": [2, { "x": [] }], "c": null, "new": [1.5, "two"] }));
        let (not_a_list, invalid) = (json!(["execution.not-a-list"]), json!(["json.invalid"]));
        let refused = &results(ended.success())[7..];
        assert_eq!(refused, [&not_a_list, &not_a_list, &invalid, &invalid, &invalid, &invalid].map(Clone::clone));
    }
}

#[test]
fn outputs_have_their_budget_however_they_are_set() {
    let host = Setup::new().set("output_bytes", 1_000).start();
    let webhook = webhook(&host, "budget", "execution");
    let large = json!("x".repeat(600));
    for operation in [
        json!({ "op": "merge", "value": { "a": large, "b": large } }),
        json!({ "op": "replace", "value": { "a": large, "b": large } }),
        json!({ "op": "append", "name": "old", "value": large }),
    ] {
        let operations = json!([{ "op": "set", "name": "old", "value": [large] }, operation]);
        let ended = run(&host, &webhook, operations);
        assert_eq!(ended.failure(), Some("flow.output-limit"), "{operation}");
    }
    // Room that was given back is room.
    let operations = json!([
        { "op": "set", "name": "old", "value": [large] },
        { "op": "replace", "value": { "new": [] } },
        { "op": "append", "name": "new", "value": large },
    ]);
    assert_eq!(run(&host, &webhook, operations).outputs()["new"], json!([large]));
    let ended =
        run(&host, &webhook, json!([{ "op": "end-error", "message": "x".repeat(2_000), "code": "", "details": 1 }]));
    assert_eq!(ended.failure(), Some("flow.output-limit"));
}

#[test]
fn it_ends_itself_and_nothing_runs_after_it() {
    for host in resident_and_unloaded() {
        let webhook = webhook(host, "execution-ends", "execution");
        let around = |operation: Value| {
            json!([
                { "op": "set", "name": "before", "value": 1 },
                { "op": "sleep", "ms": 20 },
                { "op": "print", "text": "no line break" },
                operation,
                { "op": "set", "name": "after", "value": 1 },
                { "op": "increment", "name": "execution-ends.after" },
            ])
        };
        let details = json!({ "seats": 0 });
        for (operation, status, message) in [
            (json!({ "op": "end-success", "message": "enough" }), "ENDED_SUCCESS", json!("enough")),
            (json!({ "op": "end-success", "message": "" }), "ENDED_SUCCESS", json!(null)),
            (json!({ "op": "end-cancelled", "message": "no need" }), "ENDED_CANCELLED", json!("no need")),
            (json!({ "op": "end-cancelled", "message": "" }), "ENDED_CANCELLED", json!("cancelled")),
            (
                json!({ "op": "end-error", "message": "full", "code": "shop.full", "details": details }),
                "ENDED_ERROR",
                json!("full"),
            ),
        ] {
            let ended = run(host, &webhook, around(operation.clone()));
            assert_eq!((ended.status(), &ended.record["status_message"]), (status, &message), "{operation}");
            assert_eq!(*ended.outputs(), json!({ "before": 1 }));
            let log = host.log_of(text(&ended.record, "id"));
            assert!(log.iter().any(|line| line["message"] == "no line break" && line["source"] == "stdout"), "{log:?}");
            let failure = &ended.record["failure"];
            if status == "ENDED_ERROR" {
                let expected = json!(["flow.error", "full", "shop.full", details, true]);
                let members = ["code", "message", "flow_code", "details", "retryable"];
                assert_eq!(json!(members.map(|member| &failure[member])), expected);
            } else {
                assert!(failure.is_null());
            }
        }
        assert!(settings(host, "execution-ends.").is_empty());
    }
}

#[test]
fn its_caller_is_answered_as_it_ended() {
    let host = Host::shared();
    let webhook = webhook(host, "execution-answers", "execution");
    let call =
        |operation: Value| webhook.call(host, &plan(json!([{ "op": "progress", "message": "far" }, operation]))).send();
    let answer = call(json!({ "op": "end-success", "message": "" })).ok();
    assert_eq!([&answer["status"], &answer["status_message"]], ["ENDED_SUCCESS", "far"]);
    assert_eq!(call(json!({ "op": "end-success", "message": "enough" })).ok()["status_message"], "enough");
    let problem = call(json!({ "op": "end-cancelled", "message": "no need" })).problem(409, "execution.cancelled");
    assert_eq!(problem["detail"], "no need");
    let wrong = json!({ "op": "end-error", "message": "no name", "code": "flow.invalid-input", "details": null });
    assert_eq!(call(wrong).problem(422, "flow.invalid-input")["detail"], "no name");
}

#[test]
fn a_long_message_of_an_end_loses_its_end() {
    let host = Host::shared();
    let webhook = webhook(host, "execution-long", "execution");
    let ended = run(host, &webhook, json!([{ "op": "end-success", "message": "é".repeat(2_000) }]));
    assert_eq!(ended.record["status_message"], "é".repeat(500));
}

#[test]
fn a_clone_is_a_detached_child_of_the_same_flow() {
    for host in resident_and_unloaded() {
        let webhook = webhook(host, "execution-clone", "execution");
        let other = plan(json!([{ "op": "set", "name": "cloned", "value": true }]));
        let operations =
            json!([{ "op": "clone", "input": other }, { "op": "sleep", "ms": 20 }, { "op": "clone", "raw": "{" }]);
        let ended = run(host, &webhook, operations);
        let results = results(ended.success());
        assert_eq!(results[2], json!(["json.invalid"]));
        let children = children_of(host, text(&ended.record, "id"));
        assert_eq!(children.len(), 1);
        assert_eq!(results[0], children[0]["id"]);
        let clone = host.wait_until_ended(text(&children[0], "id"));
        assert_eq!(clone.outputs()["cloned"], true);
        assert_eq!(clone.record["flow"], ended.record["flow"]);
        assert_eq!([&clone.record["parent_id"], &clone.record["input_value"]], [&ended.record["id"], &other]);
        // It goes on when its parent has ended.
        let sleeping = plan(json!([{ "op": "sleep", "ms": DAY }]));
        let ended = run(host, &webhook, json!([{ "op": "clone", "input": sleeping }]));
        let clone = text(&children_of(host, text(&ended.record, "id"))[0], "id").to_owned();
        until_status(host, &clone, "WAITING");
        host.cancel(&clone).ok();
    }
}

#[test]
fn a_clone_with_the_same_input_comes_to_an_end_by_the_limit_of_depth() {
    let host = Setup::new().set("child_depth", 2).start();
    let webhook = webhook(&host, "generations", "execution");
    let mut generation = run(&host, &webhook, json!([{ "op": "clone" }]));
    for _ in 0..2 {
        let children = children_of(&host, text(&generation.record, "id"));
        assert_eq!(children[0]["input_value"], generation.record["input_value"]);
        generation = host.wait_until_ended(text(&children[0], "id"));
    }
    assert_eq!(results(generation.success()), [json!(["children.too-deep"])]);
}

#[test]
fn a_clone_needs_to_read_its_flow() {
    let host = Host::shared();
    let webhook = webhook_with(host, "execution-poor", "execution", json!({ "roles": [] }));
    let ended = run(host, &webhook, json!([{ "op": "clone" }, { "op": "attempt" }, { "op": "identity" }]));
    let results = results(ended.success());
    assert_eq!(results[..2], [json!(["access.forbidden"]), json!(1)]);
    assert_eq!(results[2]["type"], "WEBHOOK");
}
