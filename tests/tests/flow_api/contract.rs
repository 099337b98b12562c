//! Components that were built for earlier versions of the contract. They are kept as they were built then, and never built
//! again.

use flowhost_tests::scene::{parent_of, webhook};
use flowhost_tests::{Host, Webhook, workspace_file};
use serde_json::{Value, json};

/// A webhook for a component that was built for a version of the contract.
fn built_for(host: &Host, version: &str, name: &str) -> Webhook {
    let flow = format!("{name}-{version}");
    host.deploy_as(&flow, workspace_file(&format!("tests/components/{version}/{name}.wasm"))).ok();
    let members = json!({
        "name": flow, "flow_name": flow, "is_enabled": true, "roles": [{ "role_name": "Developer" }],
    });
    Webhook { record: host.create("webhook", &members).ok() }
}

/// What a webhook answers to a payload: the outputs, or why it was refused.
fn answered(host: &Host, webhook: &Webhook, payload: &[u8], headers: &[(&str, &str)]) -> Value {
    let request = host.post(webhook.path(), payload);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(name, value));
    let answer = request.send();
    assert!(matches!(answer.status, 200 | 422), "{}", answer.text());
    let answered = answer.json();
    if answer.status == 200 { answered["output_value"].clone() } else { answered["detail"].clone() }
}

#[test]
fn components_built_for_the_first_contract_run_unchanged() {
    let host = Host::shared();
    let same = |name: &str, payloads: &[&[u8]], headers: &[(&str, &str)]| {
        let (old, new) = (built_for(host, "1.0.0", name), webhook(host, &format!("new-{name}"), name));
        let outputs: Vec<Value> = payloads.iter().map(|payload| answered(host, &old, payload, headers)).collect();
        let as_now: Vec<Value> = payloads.iter().map(|payload| answered(host, &new, payload, headers)).collect();
        assert_eq!(outputs, as_now, "{name}");
        outputs[0].clone()
    };
    assert_eq!(same("hello", &[br#"{"name":"Ada"}"#], &[]), json!({ "greeting": "Hello, Ada!" }));
    assert_eq!(same("outputs", &[br#"{"set":{"a":1},"return":{"b":2}}"#], &[]), json!({ "a": 1, "b": 2 }));
    let signup = workspace_file("examples/signup/requests/signup.json");
    assert_eq!(same("signup", &[&signup, b"{}"], &[])["name"], "Ada Lovelace");
    let push = workspace_file("examples/github-push/requests/push.json");
    assert_eq!(same("github-push", &[&push], &[("X-GitHub-Event", "push")])["event"], "push");
    let form = workspace_file("examples/order-form/requests/order.form");
    let is_form = [("Content-Type", "application/x-www-form-urlencoded")];
    assert_eq!(same("order-form", &[&form], &is_form)["quantity"], 4);
}

#[test]
fn components_built_for_the_contract_of_durable_executions_run_unchanged() {
    let host = Host::shared();
    let call = |name: &str, payload: Value| {
        let webhook = built_for(host, "1.1.0", name);
        answered(host, &webhook, payload.to_string().as_bytes(), &[])
    };
    let operations = json!([
        { "op": "save", "name": "contract-1.1.0", "value": { "a": 1 } },
        { "op": "get", "name": "contract-1.1.0" },
        { "op": "delete", "name": "contract-1.1.0" },
    ]);
    let outputs = call("settings", json!({ "ops": operations }));
    assert_eq!(outputs["results"], json!([{ "ok": null }, { "ok": { "a": 1 } }, { "ok": true }]));
    let outputs = call("nap", json!({ "for_ms": 1, "times": 2 }));
    assert_eq!(outputs["naps"].as_array().unwrap().len(), 2);
    host.deploy("hello");
    let children = json!([{ "flow": "hello", "input": { "name": "Ada" } }]);
    let outputs = call("parent", parent_of(children, json!({ "when": "ALL_SUCCEEDED" })));
    assert_eq!(outputs["child_outputs"], json!([{ "greeting": "Hello, Ada!" }]), "{outputs}");
}
