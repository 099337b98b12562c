//! Development mode: executions that start only while their user is active.

use flowhost_tests::scene::text;
use flowhost_tests::{Answer, Host, Setup, Webhook};
use serde_json::{Value, json};

use crate::person::{Person, act_on, login};

/// A host on which nobody counts as active a moment later.
fn impatient() -> Host {
    Setup::new().set("development_ms", 0).start()
}

fn development(host: &Host, name: &str, guest: &str) -> Webhook {
    host.webhook_with(name, guest, &json!({ "is_productive": false }))
}

fn paused(answer: &Answer) -> String {
    assert_eq!(answer.status, 202, "{}", answer.text());
    let accepted = answer.json();
    assert_eq!(accepted["status"], "PAUSED");
    assert_eq!(answer.header("flowhost-execution-id"), accepted["id"].as_str());
    text(&accepted, "id").to_owned()
}

#[test]
fn it_starts_while_its_user_is_active() {
    let host = Host::shared();
    let webhook = development(host, "dev-active", "echo");
    let execution = webhook.call(host, &json!({})).send().ok();
    assert_eq!([&execution["is_productive"], &execution["output_value"]["productive"]], [false, false]);
}

#[test]
fn it_is_paused_while_its_user_is_not() {
    let host = impatient();
    let webhook = development(&host, "dev-paused", "echo");
    let answer = webhook.call(&host, &json!({ "a": 1 })).send();
    let id = paused(&answer);
    let execution = host.read(&format!("execution/{id}")).ok();
    assert_eq!([&execution["status"], &execution["is_productive"]], [&json!("PAUSED"), &json!(false)]);
    assert_eq!([&execution["started_at"], &execution["ended_at"]], [&Value::Null, &Value::Null]);
    assert_eq!(execution["input_value"]["json"], json!({ "a": 1 }));
    let listed = host.read("execution?status=PAUSED").ok();
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]["id"]), (1, &execution["id"]));
    // The caller can follow it without a login.
    let followed = host.get(answer.header("location").unwrap()).send().ok();
    assert_eq!(followed["status"], "PAUSED");
    // An asynchronous call alike; a productive webhook does not ask.
    paused(&host.post(&format!("{}?async", webhook.path()), "").send());
    host.webhook("dev-productive", "echo").call(&host, &json!({})).send().ok();
}

#[test]
fn only_so_many_wait_for_somebody() {
    let host = Setup::new().set("development_ms", 0).set("queued", 1).start();
    let webhook = development(&host, "dev-many", "echo");
    let first = paused(&webhook.call(&host, &json!({})).send());
    webhook.call(&host, &json!({})).send().problem(503, "host.busy");
    host.cancel(&first).ok();
    paused(&webhook.call(&host, &json!({})).send());
}

#[test]
fn it_is_resumed_by_hand() {
    let host = impatient();
    let webhook = development(&host, "dev-resume", "echo");
    let id = paused(&webhook.call(&host, &json!({ "a": 1 })).send());
    let resumed = act_on(&host, &format!("execution/{id}/action/resume"), &json!({})).ok();
    assert_eq!(resumed["id"], *id);
    let ended = host.wait_until_ended(&id);
    assert_eq!((ended.status(), &ended.outputs()["productive"]), ("ENDED_SUCCESS", &json!(false)));
    // With its whole request.
    assert_eq!(ended.outputs()["request"]["body"]["text"], r#"{"a":1}"#);
    act_on(&host, &format!("execution/{id}/action/resume"), &json!({})).problem(409, "record.conflict");
}

#[test]
fn it_is_made_productive_and_runs() {
    let host = impatient();
    let webhook = development(&host, "dev-switch", "echo");
    let id = paused(&webhook.call(&host, &json!({})).send());
    act_on(&host, &format!("execution/{id}/action/set-productive"), &json!({})).ok();
    let ended = host.wait_until_ended(&id);
    assert_eq!(ended.status(), "ENDED_SUCCESS");
    assert_eq!([&ended.record["is_productive"], &ended.outputs()["productive"]], [true, true]);
}

#[test]
fn a_paused_execution_is_cancelled() {
    let host = impatient();
    let webhook = development(&host, "dev-cancel", "echo");
    let id = paused(&webhook.call(&host, &json!({})).send());
    act_on(&host, &format!("execution/{id}/action/cancel"), &json!({})).ok();
    assert_eq!(host.wait_until_ended(&id).status(), "ENDED_CANCELLED");
    act_on(&host, &format!("execution/{id}/action/resume"), &json!({})).problem(409, "record.conflict");
}

#[test]
fn it_stays_paused_over_a_restart() {
    let host = impatient();
    let webhook = development(&host, "dev-restart", "echo");
    let id = paused(&webhook.call(&host, &json!({})).send());
    let host = host.crash();
    assert_eq!(host.read(&format!("execution/{id}")).ok()["status"], "PAUSED");
    act_on(&host, &format!("execution/{id}/action/resume"), &json!({})).ok();
    assert_eq!(host.wait_until_ended(&id).status(), "ENDED_SUCCESS");
}

#[test]
fn the_setting_forms_user_is_the_one_who_counts() {
    let host = Host::shared();
    host.deploy("echo");
    let members = json!({ "name": "dev-kevin", "password": "correct horse" });
    let kevin = host.create("user", &members).ok();
    host.set("client.webhook.dev-kevin", "flow_name: echo\nuser_name: dev-kevin\nmode: dev").ok();
    let address = "/api/latest/webhook/default/dev-kevin";
    // Others are active, he never was.
    let id = paused(&host.post(address, "").send());
    assert_eq!(host.read(&format!("execution/{id}")).ok()["user_id"], kevin["id"]);
    login(host, "dev-kevin", "correct horse").ok();
    assert_eq!(host.post(address, "").send().ok()["is_productive"], false);
    // What was paused waits for somebody's hand all the same.
    assert_eq!(host.read(&format!("execution/{id}")).ok()["status"], "PAUSED");
    act_on(host, &format!("execution/{id}/action/resume"), &json!({})).ok();
    host.wait_until_ended(&id);
}

#[test]
fn the_record_forms_last_editor_is_the_one_who_counts() {
    let host = Host::shared();
    let editor = Person::in_role(host, "dev-editor", "Developer");
    let webhook = development(host, "dev-editor", "echo");
    let owner = |id: &str| host.read(&format!("execution/{id}")).ok()["user_id"].clone();
    let execution = webhook.call(host, &json!({})).send().ok();
    assert_eq!(owner(text(&execution, "id")), webhook.record["modified_by"]);
    editor.change(&webhook.record_path(), &json!({ "description": "mine" })).ok();
    let execution = webhook.call(host, &json!({})).send().ok();
    assert_eq!(owner(text(&execution, "id")), editor.id());
}

#[test]
fn a_call_of_the_webhook_is_no_activity_of_its_user() {
    let host = Host::shared();
    host.deploy("echo");
    host.user("dev-idle");
    host.set("client.webhook.dev-idle", "flow_name: echo\nuser_name: dev-idle\nmode: dev").ok();
    for _ in 0..3 {
        paused(&host.post("/api/latest/webhook/default/dev-idle", "").send());
    }
    assert_eq!(host.read("user/dev-idle?by=name").ok()["last_activity"], Value::Null);
    // A failed login is none either.
    login(host, "dev-idle", "wrong").problem(401, "access.login-failed");
    paused(&host.post("/api/latest/webhook/default/dev-idle", "").send());
}

#[test]
fn resuming_needs_the_permission_to_update_executions() {
    let host = impatient();
    let webhook = development(&host, "dev-permit", "echo");
    let id = paused(&webhook.call(&host, &json!({})).send());
    let viewer = Person::in_role(&host, "dev-viewer", "User");
    for action in ["resume", "set-productive", "cancel"] {
        viewer.create(&format!("execution/{id}/action/{action}"), &json!({})).problem(403, "access.forbidden");
    }
    assert_eq!(host.read(&format!("execution/{id}")).ok()["status"], "PAUSED");
    let operator = Person::in_role(&host, "dev-operator", "Operator");
    operator.create(&format!("execution/{id}/action/resume"), &json!({})).ok();
    assert_eq!(host.wait_until_ended(&id).status(), "ENDED_SUCCESS");
}
