//! Webhooks that settings make.

use flowhost_tests::{Host, Setup};
use serde_json::{Value, json};

/// The brief's example, to the letter.
const SIGNUP: &str = "flow_name: signup\nuser_name: kevin\nkey: my-secret-api-key\n";

#[test]
fn the_briefs_setting_makes_the_briefs_webhook() {
    let host = Setup::new().flag("--workspace", "myclient").start();
    host.deploy("signup");
    host.user("kevin");
    let setting = host.set("client.webhook.signup", SIGNUP).ok();
    assert_eq!(setting["name"], "client.webhook.signup");
    let payload = r#"{"key": "my-secret-api-key", "email": "ada@example.org", "name": "Ada"}"#;
    for version in ["latest", "1"] {
        let execution = host.post(&format!("/api/{version}/webhook/myclient/signup"), payload).send().ok();
        assert_eq!(execution["output_value"]["greeting"], "Welcome, Ada! We will write to ada@example.org.");
        assert_eq!(execution["is_productive"], true);
    }
    host.post("/api/latest/webhook/myclient/signup", "{}").send().problem(401, "webhook.unauthorized");
}

#[test]
fn a_setting_is_yaml_or_json() {
    let host = Host::shared();
    host.deploy("echo");
    for (name, value) in [
        (
            "yaml",
            "# a comment\nflow_name:   'echo'\nuser_name: \"admin\"\nmode: dev # for now\noptions:\n  answer: outputs\n",
        ),
        ("flow", "{flow_name: echo, user_name: admin, mode: dev, options: {answer: outputs}}"),
        ("json", r#"{"flow_name":"echo","user_name":"admin","mode":"dev","options":{"answer":"outputs"}}"#),
        ("windows", "flow_name: echo\r\nuser_name: admin\r\nmode: dev\r\noptions: { answer: outputs }\r\n"),
    ] {
        let setting = host.set(&format!("client.webhook.set-{name}"), value).ok();
        let expected =
            json!({ "flow_name": "echo", "user_name": "admin", "mode": "dev", "options": { "answer": "outputs" } });
        assert_eq!(setting["value"], expected, "{name}");
        let outputs = host.post(&format!("/api/latest/webhook/default/set-{name}"), "").send().ok();
        assert_eq!(outputs["productive"], false, "{name}");
    }
}

#[test]
fn a_setting_that_becomes_a_webhook_by_its_new_name_keeps_its_key_secret() {
    let host = Host::shared();
    host.deploy("echo");
    let id = host.set("set-draft", "flow_name: echo\nuser_name: admin\nkey: draft-secret-of-it\n").ok()["id"].clone();
    let target = format!("setting/{}", id.as_str().unwrap());
    let renamed = host.change(&target, &json!({ "name": "client.webhook.set-draft" })).ok();
    assert_eq!(renamed["value"]["key"], "********");
    let path = "/api/latest/webhook/default/set-draft";
    host.post(path, "").send().problem(401, "webhook.unauthorized");
    host.post(&format!("{path}?key=draft-secret-of-it"), "").send().ok();
}

#[test]
fn a_flow_that_does_not_exist_yet_becomes_callable_when_it_does() {
    let host = Host::shared();
    host.set("client.webhook.set-later", "flow_name: set-later\nuser_name: admin").ok();
    let path = "/api/latest/webhook/default/set-later";
    host.post(path, "").send().problem(404, "webhook.not-found");
    let listed = host.read("webhook/set-later?by=name").ok();
    assert_eq!([&listed["flow_id"], &listed["flow_name"]], [&Value::Null, &json!("set-later")]);
    let deployed = host.deploy_as("set-later", flowhost_tests::component("echo")).ok();
    assert_eq!(host.post(path, "").send().ok()["flow"]["id"], deployed["flow"]["id"]);
    assert_eq!(host.read("webhook/set-later?by=name").ok()["flow_id"], deployed["flow"]["id"]);
}

#[test]
fn deleting_the_setting_takes_its_address_away() {
    let host = Host::shared();
    host.deploy("echo");
    let setting = host.set("client.webhook.set-deleted", "flow_name: echo\nuser_name: admin").ok();
    let path = "/api/latest/webhook/default/set-deleted";
    host.post(path, "").send().ok();
    let record = format!("setting/{}", setting["id"].as_str().unwrap());
    let deleted = host.delete(&record);
    assert_eq!((deleted.status, deleted.text()), (204, ""));
    host.post(path, "").send().problem(404, "webhook.not-found");
    assert_eq!(host.read(&record).ok()["is_deleted"], true);
    host.read("setting/client.webhook.set-deleted?by=name").problem(404, "record.not-found");
    // The name is free again.
    let again = host.set("client.webhook.set-deleted", "flow_name: echo\nuser_name: admin").ok();
    assert_ne!(again["id"], setting["id"]);
    host.post(path, "").send().ok();
}

#[test]
fn a_setting_is_replaced_as_a_whole() {
    let host = Host::shared();
    host.deploy("echo");
    host.deploy("canary");
    let path = "/api/latest/webhook/default/set-replaced";
    let first = host
        .set("client.webhook.set-replaced", "flow_name: echo\nuser_name: admin\nkey: k-0123456789abcde\nmode: dev")
        .ok();
    let second = host.set("client.webhook.set-replaced", "flow_name: canary\nuser_name: admin").ok();
    assert_eq!(first["id"], second["id"]);
    let execution = host.post(path, "").send().ok();
    assert_eq!(execution["flow"]["name"], "canary");
    assert_eq!(execution["is_productive"], true);
}

#[test]
fn the_key_is_masked_when_it_is_read_and_kept_when_the_mask_is_written() {
    let host = Host::shared();
    host.deploy("echo");
    let path = "/api/latest/webhook/default/set-masked?key=hush-hush-hush-hush";
    let written = host.set("client.webhook.set-masked", "flow_name: echo\nkey: hush-hush-hush-hush\nuser_name: admin");
    let expected = json!({ "flow_name": "echo", "user_name": "admin", "key": "********" });
    assert_eq!(written.ok()["value"], expected);
    let read = host.read("setting/client.webhook.set-masked?by=name");
    assert_eq!(read.ok()["value"], expected);
    let list = host.read("setting");
    list.ok();
    for answer in [&written, &read, &list, &host.read("webhook")] {
        assert!(!answer.text().contains("hush"), "{}", answer.text());
    }
    host.set("client.webhook.set-masked", read.ok()["value"].to_string()).ok();
    assert_eq!([host.post(path, "").send().status, host.post(&path[..39], "").send().status], [200, 401]);
    host.set("client.webhook.set-masked", "flow_name: echo\nuser_name: admin").ok();
    assert_eq!(host.read("setting/client.webhook.set-masked?by=name").ok()["value"]["key"], Value::Null);
    assert_eq!(host.post(&path[..39], "").send().status, 200);
}

#[test]
fn neither_an_empty_key_nor_a_mask_of_none_opens_a_webhook() {
    let host = Host::shared();
    host.deploy("echo");
    for key in ["", "''", "null", "'********'"] {
        let setting = host.set("client.webhook.set-open", format!("flow_name: echo\nuser_name: admin\nkey: {key}\n"));
        let problem = setting.problem(422, "record.invalid");
        assert!(problem["detail"].as_str().unwrap().contains("`key`"), "{problem}");
    }
    host.post("/api/latest/webhook/default/set-open", "").send().problem(404, "webhook.not-found");
}

#[test]
fn a_malformed_value_is_refused_with_its_place() {
    let host = Host::shared();
    for (value, words) in [
        ("flow_name: \"f\nuser_name: u\n", vec!["line"]),
        ("flow_name: f\nuser_name: u\n\t- x: {", vec!["line 2", "tab"]),
        ("flow_name: f\nflow_name: g\nuser_name: u", vec!["flow_name", "line 2"]),
        ("{\"flow_name\": \"f\",", vec!["line"]),
        ("flow_name: f\nuser_name: u\nmood: dev\n", vec!["`mood`", "`mode`"]),
        ("flow_name: f\nuser_name: u\noptions: {wait: 1}", vec!["`wait`", "`wait_ms`"]),
        ("flow_name: f\nuser_name: u\nmode: devel", vec!["`devel`", "`dev`"]),
        ("flow_name: f", vec!["user_name"]),
        ("user_name: admin", vec!["flow_name"]),
        ("flow_name: f\nuser_name: admin\nkey: 17", vec!["17", "string"]),
        ("- flow_name", vec!["flow_name"]),
        ("", vec!["holds no value"]),
        ("flow_name: f\nuser_name: set-nobody", vec!["no user named `set-nobody`", "flowhost user create"]),
        (
            "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n\
          d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\n\
          g: &g [*f,*f,*f,*f,*f,*f,*f,*f,*f]\nh: &h [*g,*g,*g,*g,*g,*g,*g,*g,*g]",
            vec![],
        ),
    ] {
        let refused = host.set("client.webhook.set-malformed", value);
        let problem = refused.problem(422, "record.invalid");
        assert_eq!(problem["fault"], "caller");
        let detail = problem["detail"].as_str().unwrap();
        for word in words {
            assert!(detail.contains(word), "`{word}` is not in: {detail}");
        }
    }
    host.set("client.webhook.set-malformed", b"flow_name: \xff").problem(422, "record.invalid");
    host.read("setting/client.webhook.set-malformed?by=name").problem(404, "record.not-found");
}

#[test]
fn a_refused_value_leaves_the_former_in_place() {
    let host = Host::shared();
    host.deploy("echo");
    let former = host.set("client.webhook.set-kept", "flow_name: echo\nuser_name: admin").ok();
    host.set("client.webhook.set-kept", "flow_name: canary\nuser_name: nobody").problem(422, "record.invalid");
    assert_eq!(host.read("setting/client.webhook.set-kept?by=name").ok(), former);
    assert_eq!(host.post("/api/latest/webhook/default/set-kept", "").send().ok()["flow"]["name"], "echo");
}

#[test]
fn other_settings_hold_whatever_they_like() {
    let host = Host::shared();
    for (name, text, value) in [
        ("colours", "- red\n- green: {key: x}\n", json!(["red", { "green": { "key": "x" } }])),
        ("client.webhooks", "key: open", json!({ "key": "open" })),
        ("a/b c", "12345678901234567890", json!(12_345_678_901_234_567_890_u64)),
        ("nothing", "null", Value::Null),
    ] {
        assert_eq!(host.set(name, text).ok()["value"], value, "{name}");
    }
    assert_eq!(host.read("setting/a%2Fb%20c?by=name").ok()["name"], "a/b c");
    host.set("too-large", format!("\"{}\"", "x".repeat(1 << 20))).problem(413, "request.too-large");
}

#[test]
fn a_webhook_of_a_setting_is_changed_through_the_setting_alone() {
    let host = Host::shared();
    host.deploy("echo");
    host.set("client.webhook.set-listed", "flow_name: echo\nuser_name: admin\nkey: k-0123456789abcde").ok();
    let listed = host.read("webhook/set-listed?by=name").ok();
    assert_eq!(listed["form"], "setting");
    assert_eq!(listed["url"], "/api/latest/webhook/default/set-listed");
    assert_eq!(listed["is_key_required"], true);
    assert_eq!(listed["is_enabled"], true);
    assert_eq!(listed["user_name"], "admin");
    let record = format!("webhook/{}", listed["id"].as_str().unwrap());
    let problem = host.change(&record, &json!({ "is_enabled": false })).problem(422, "record.invalid");
    assert!(problem["detail"].as_str().unwrap().contains("setting"));
}

#[test]
fn settings_and_keys_survive_a_restart() {
    let host = Host::start();
    host.deploy("echo");
    host.set("client.webhook.kept", "flow_name: echo\nuser_name: admin\nkey: k-0123456789abcde\nmode: dev").ok();
    let host = host.crash();
    let path = "/api/latest/webhook/default/kept";
    // A crash forgets what was done in its last moments; in development mode the user must be active.
    host.read("setting").ok();
    host.post(path, "").send().problem(401, "webhook.unauthorized");
    let execution = host.post(path, r#"{"key":"k-0123456789abcde"}"#).send().ok();
    assert_eq!(execution["is_productive"], false);
}

#[test]
fn webhook_setting_keeps_its_key_under_other_names() {
    let host = Host::shared();
    host.deploy("echo");
    let value = "flow_name: echo\nuser_name: admin\nkey: key-that-is-not-lost\n";
    let id = host.set("client.webhook.set-moved", value).ok()["id"].clone();
    let target = format!("setting/{}", id.as_str().unwrap());
    let named = |name: &str| host.change(&target, &json!({ "name": name })).ok();
    let call = |query: &str| host.post(&format!("/api/latest/webhook/default/set-back{query}"), "").send();
    assert_eq!(named("set-aside")["value"]["key"], "********");
    assert_eq!(named("client.webhook.set-back")["value"]["key"], "********");
    call("").problem(401, "webhook.unauthorized");
    call("?key=key-that-is-not-lost").ok();
    // A value that is written meanwhile says by itself whether there is a key.
    named("set-aside");
    let open = json!({ "flow_name": "echo", "user_name": "admin" });
    assert_eq!(host.change(&target, &json!({ "value": open })).ok()["value"], open);
    named("client.webhook.set-back");
    call("").ok();
}
