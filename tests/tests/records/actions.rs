//! Actions: cancel, re-run, rotate a key.

use flowhost_tests::scene::text;
use flowhost_tests::{Host, component};
use serde_json::{Value, json};

use crate::person::{Person, act_on, path};

const NOBODY: &str = "01a202e4-f47d-72a3-b440-9b77d4430568";

#[test]
fn a_running_execution_is_cancelled() {
    let host = Host::shared();
    let webhook = host.webhook("act-cancel", "sleeper");
    let id = webhook.call_async(host, &json!({ "ms": 600_000 }));
    host.wait_until(&id, "waits", |execution| execution["status"] == "WAITING");
    assert_eq!(act_on(host, &format!("execution/{id}/action/cancel"), &json!({})).ok()["id"], *id);
    assert_eq!(host.wait_until_ended(&id).status(), "ENDED_CANCELLED");
    // Once more is no error, and changes nothing.
    let ended = host.read(&format!("execution/{id}")).ok();
    assert_eq!(act_on(host, &format!("execution/{id}/action/cancel"), &json!({})).ok(), ended);
}

#[test]
fn a_re_run_has_the_same_input_and_the_present_version() {
    let host = Host::shared();
    let flow = host.deploy_as("act-rerun", component("outputs")).ok()["flow"].clone();
    let webhook = host.webhook("act-rerun", "canary");
    host.change(&webhook.record_path(), &json!({ "flow_id": flow["id"] })).ok();
    let first = host.post(webhook.path(), r#"{ "return": { "a": 1.10 } }"#).send().ok();
    let again = act_on(host, &format!("execution/{}/action/rerun", text(&first, "id")), &json!({})).ok();
    assert_ne!(again["id"], first["id"]);
    let ended = host.wait_until_ended(text(&again, "id"));
    assert_eq!((ended.status(), ended.outputs()), ("ENDED_SUCCESS", &json!({ "a": 1.1 })));
    assert_eq!(ended.record["input_value"], first["input_value"]);
    assert_eq!([&ended.record["webhook"], &ended.record["project_id"]], [&first["webhook"], &flow["project_id"]]);
    assert_eq!(ended.record["flow"]["version"], 1);
    // To the letter.
    let raw = host.read(&format!("execution/{}", text(&again, "id")));
    assert!(raw.text().contains(r#""json":{ "return": { "a": 1.10 } }"#), "{}", raw.text());
    host.deploy_as("act-rerun", component("echo")).ok();
    let again = act_on(host, &format!("execution/{}/action/rerun", text(&first, "id")), &json!({})).ok();
    let ended = host.wait_until_ended(text(&again, "id"));
    assert_eq!(ended.record["flow"]["version"], 2);
    assert_eq!(ended.outputs()["input"]["json"], json!({ "return": { "a": 1.1 } }));
    assert_eq!(host.delete(&path("flow", &flow)).status, 204);
    act_on(host, &format!("execution/{}/action/rerun", text(&first, "id")), &json!({})).problem(404, "flow.not-found");
}

#[test]
fn to_steer_an_execution_is_to_update_it() {
    let host = Host::shared();
    let webhook = host.webhook("act-steer", "canary");
    let id = webhook.call(host, &json!({})).send().ok()["id"].as_str().unwrap().to_owned();
    let rerun = format!("execution/{id}/action/rerun");
    let [viewer, operator] =
        [("act-viewer", "User"), ("act-operator", "Operator")].map(|(name, role)| Person::in_role(host, name, role));
    let stranger = Person::with(host, "act-stranger", &json!([{ "record_type": "FLOW" }]));
    stranger.create(&rerun, &json!({})).problem(404, "record.not-found");
    viewer.create(&rerun, &json!({})).problem(403, "access.forbidden");
    let again = operator.create(&rerun, &json!({})).ok();
    assert_eq!([&again["created_by"], &again["user_id"]], [operator.id(), operator.id()]);
    assert_eq!(host.wait_until_ended(text(&again, "id")).status(), "ENDED_SUCCESS");
}

#[test]
fn what_cannot_be_done_with_an_execution() {
    let host = Host::shared();
    let webhook = host.webhook("act-wrong", "canary");
    let id = webhook.call(host, &json!({})).send().ok()["id"].as_str().unwrap().to_owned();
    let wrong = |action: &str| act_on(host, &format!("execution/{id}/action/{action}"), &json!({}));
    wrong("dance").problem(404, "request.not-found");
    wrong("resume").problem(409, "record.conflict");
    assert_eq!(wrong("set-productive").ok()["is_productive"], true);
    for action in ["cancel", "resume", "rerun", "set-productive"] {
        act_on(host, &format!("execution/{NOBODY}/action/{action}"), &json!({})).problem(404, "record.not-found");
        act_on(host, &format!("execution/x/action/{action}"), &json!({})).problem(404, "record.not-found");
    }
}

#[test]
fn a_rotated_key_is_shown_once_and_the_former_is_wrong_from_then_on() {
    let host = Host::shared();
    let webhook = host.webhook_with("act-rotate", "canary", &json!({ "key": "former-key-of-the-test" }));
    let call = |key: &str| host.post(&format!("{}?key={key}", webhook.path()), "").send();
    call("former-key-of-the-test").ok();
    let rotated = act_on(host, &format!("{}/action/rotate-key", webhook.record_path()), &json!({})).ok();
    assert_eq!(rotated["id"], webhook.record["id"]);
    let key = text(&rotated, "key");
    assert!((32..=128).contains(&key.len()), "{key}");
    call("former-key-of-the-test").problem(401, "webhook.unauthorized");
    call(key).ok();
    assert!(!host.read(&webhook.record_path()).text().contains(key));
    let history = host.read(&format!("{}/history", webhook.record_path()));
    assert_eq!(history.ok()[0]["commit_message"], "the key was rotated");
    assert!(!history.text().contains(key));
    let again = act_on(host, "webhook/act-rotate/action/rotate-key?by=name", &json!({})).ok();
    assert_ne!(again["key"], rotated["key"]);
    // Also a webhook that had none.
    let open = host.webhook("act-rotate-open", "canary");
    act_on(host, &format!("{}/action/rotate-key", open.record_path()), &json!({})).ok();
    host.post(open.path(), "").send().problem(401, "webhook.unauthorized");
    let viewer = Person::in_role(host, "act-rotate-viewer", "User");
    let rotate = format!("{}/action/rotate-key", webhook.record_path());
    viewer.create(&rotate, &Value::Null).problem(403, "access.forbidden");
    call(text(&again, "key")).ok();
}
