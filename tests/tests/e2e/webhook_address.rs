//! Which address reaches which webhook, with which method.

use flowhost_tests::{Host, Setup};
use serde_json::json;

#[test]
fn the_record_form_is_reached_under_its_name() {
    let host = Host::shared();
    let webhook = host.webhook("address-record", "echo");
    assert_eq!(webhook.path(), "/api/latest/webhook/address-record/call");
    let execution = webhook.call(host, &json!({ "a": 1 })).send().ok();
    assert_eq!(execution["webhook"], json!({ "id": webhook.record["id"], "name": "address-record" }));
}

#[test]
fn the_setting_form_is_reached_under_latest_and_1() {
    let host = Host::shared();
    host.deploy("echo");
    host.set("client.webhook.address-setting", "flow_name: echo\nuser_name: admin").ok();
    for version in ["latest", "1"] {
        let execution = host.post(&format!("/api/{version}/webhook/default/address-setting"), "").send().ok();
        assert_eq!(execution["webhook"]["name"], "address-setting");
        assert_eq!(execution["output_value"]["input"]["path"], "");
    }
    host.post("/api/2/webhook/default/address-setting", "").send().problem(404, "request.not-found");
}

#[test]
fn the_setting_form_is_reached_under_the_workspaces_name_alone() {
    let host = Setup::new().flag("--workspace", "Acme & Söhne").start();
    host.deploy("echo");
    host.set("client.webhook.hook", "flow_name: echo\nuser_name: admin").ok();
    host.post("/api/latest/webhook/Acme%20%26%20S%C3%B6hne/hook", "").send().ok();
    host.post("/api/latest/webhook/default/hook", "").send().problem(404, "webhook.not-found");
    assert_eq!(host.read("webhook").ok()[0]["url"], "/api/latest/webhook/Acme%20%26%20S%C3%B6hne/hook");
}

#[test]
fn the_record_form_wins_where_both_could_match() {
    let host = Host::shared();
    // Named like the workspace, so that the address has the shape of the setting form too.
    let webhook = host.webhook("default", "echo");
    assert_eq!(webhook.path(), "/api/latest/webhook/default/call");
    let execution = host.post(webhook.path(), "").send().ok();
    assert_eq!(execution["webhook"]["id"], webhook.record["id"]);
    // The record form has no other version than the latest.
    host.post("/api/1/webhook/default/call", "").send().problem(404, "webhook.not-found");
}

#[test]
fn what_no_address_could_hold_is_no_name_of_a_webhook() {
    let host = Host::shared();
    host.deploy("echo");
    for name in ["call", " call ", "a/b", ".", ".."] {
        let refused = host.create("webhook", &json!({ "name": name, "flow_name": "echo" }));
        assert!(refused.problem(422, "record.invalid")["detail"].as_str().unwrap().contains("call"));
        let refused = host.set(&format!("client.webhook.{}", name.trim()), "flow_name: echo\nuser_name: admin");
        assert!(refused.problem(422, "record.invalid")["detail"].as_str().unwrap().contains("call"));
    }
    host.set("client.webhook.", "flow_name: echo\nuser_name: admin").problem(422, "record.invalid");
}

#[test]
fn a_name_that_begins_with_call_is_an_ordinary_one() {
    let host = Host::shared();
    host.deploy("echo");
    host.set("client.webhook.callback", "flow_name: echo\nuser_name: admin").ok();
    let execution = host.post("/api/latest/webhook/default/callback", "").send().ok();
    assert_eq!(execution["webhook"]["name"], "callback");
}

#[test]
fn a_name_is_percent_encoded_in_its_address() {
    let host = Host::shared();
    let webhook = host.webhook("Größe 1 % 100?", "echo");
    assert_eq!(webhook.path(), "/api/latest/webhook/Gr%C3%B6%C3%9Fe%201%20%25%20100%3F/call");
    let execution = host.post(webhook.path(), "").send().ok();
    assert_eq!(execution["webhook"]["name"], "Größe 1 % 100?");
}

#[test]
fn what_follows_the_record_form_is_the_path() {
    let host = Host::shared();
    let webhook = host.webhook("address-path", "echo");
    for (below, path) in
        [("", ""), ("/", "/"), ("/a/b", "/a/b"), ("/a%2Fb/%C3%A9//", "/a%2Fb/%C3%A9//"), ("/call", "/call")]
    {
        let outputs = host.post(&format!("{}{below}?x", webhook.path()), "").send().ok()["output_value"].clone();
        assert_eq!(outputs["input"]["path"], path);
        assert_eq!(outputs["request"]["path"], path);
    }
}

#[test]
fn nothing_follows_the_setting_form() {
    let host = Host::shared();
    host.deploy("echo");
    host.set("client.webhook.address-flat", "flow_name: echo\nuser_name: admin").ok();
    host.post("/api/latest/webhook/default/address-flat/below", "").send().problem(404, "request.not-found");
    host.post("/api/latest/webhook/default/address-flat/", "").send().ok();
}

#[test]
fn every_method_starts_the_flow_and_is_told_to_it() {
    let host = Host::shared();
    let webhook = host.webhook("address-methods", "echo");
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
        let outputs = host.request(method, webhook.path()).send().ok()["output_value"].clone();
        assert_eq!(outputs["input"]["method"], method);
        assert_eq!(outputs["request"]["method"], method);
    }
}

#[test]
fn head_is_answered_by_the_host_and_starts_nothing() {
    let host = Host::shared();
    let webhook = host.webhook("address-preview", "echo");
    let mut connection = host.request("HEAD", webhook.path()).start();
    let answer = connection.answer("HEAD");
    assert_eq!((answer.status, answer.header("flowhost-execution-id")), (200, None));
    assert!(host.executions_of("address-preview").is_empty());
    assert_eq!(host.request("HEAD", "/api/latest/webhook/nobody-there/call").send().status, 404);
}

#[test]
fn webhook_takes_the_methods_of_its_options() {
    let host = Host::shared();
    let options = json!({ "options": { "methods": ["POST", "DELETE"] } });
    let webhook = host.webhook_with("address-some", "echo", &options);
    host.post(webhook.path(), "").send().ok();
    host.request("DELETE", webhook.path()).send().ok();
    for method in ["GET", "PUT", "PATCH"] {
        let answer = host.request(method, webhook.path()).send();
        answer.problem(405, "request.method-not-allowed");
        assert_eq!(answer.header("allow"), Some("HEAD, POST, DELETE, OPTIONS"));
    }
    let options = host.request("OPTIONS", webhook.path()).send();
    assert_eq!((options.status, options.header("allow")), (204, Some("HEAD, POST, DELETE, OPTIONS")));
    assert_eq!(host.executions_of("address-some").len(), 2);
    for wrong in [json!({ "methods": [] }), json!({ "methods": ["post"] }), json!({ "methods": ["TRACE"] })] {
        host.change(&webhook.record_path(), &json!({ "options": wrong })).problem(422, "record.invalid");
    }
}

#[test]
fn option_that_would_not_hold_is_refused() {
    let host = Host::shared();
    let webhook = host.webhook("address-limits", "echo");
    let largest = json!({ "wait_ms": 3_600_000, "max_body_bytes": 16 << 20 });
    host.change(&webhook.record_path(), &json!({ "options": largest })).ok();
    for wrong in [json!({ "wait_ms": 0 }), json!({ "wait_ms": 3_600_001 }), json!({ "max_body_bytes": (16 << 20) + 1 })]
    {
        host.change(&webhook.record_path(), &json!({ "options": wrong })).problem(422, "record.invalid");
    }
}

#[test]
fn head_runs_the_flow_where_the_webhook_says_so() {
    let host = Host::shared();
    let webhook = host.webhook_with("address-head", "echo", &json!({ "options": { "methods": ["GET", "HEAD"] } }));
    let mut connection = host.request("HEAD", webhook.path()).start();
    let answer = connection.answer("HEAD");
    assert_eq!(answer.status, 200);
    let id = answer.header("flowhost-execution-id").unwrap();
    assert_eq!(host.wait_until_ended(id).outputs()["input"]["method"], "HEAD");
    assert_ne!(answer.header("content-length"), Some("0"));
    assert_eq!(connection.closed(), b"");
}

#[test]
fn another_method_is_refused_with_those_that_are_taken() {
    let host = Host::shared();
    let webhook = host.webhook("address-405", "echo");
    for method in ["TRACE", "PROPFIND", "get"] {
        let answer = host.request(method, webhook.path()).send();
        answer.problem(405, "request.method-not-allowed");
        assert_eq!(answer.header("allow"), Some("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    assert_eq!(host.executions_of("address-405").len(), 0);
}

#[test]
fn options_is_answered_by_the_host_and_never_starts_a_flow() {
    let host = Host::shared();
    let webhook = host.webhook("address-options", "echo");
    let answer = host.request("OPTIONS", webhook.path()).send();
    assert_eq!((answer.status, answer.text()), (204, ""));
    assert_eq!(answer.header("allow"), Some("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("flowhost-execution-id"), None);
    // Whether there is a webhook is not told.
    let unknown = host.request("OPTIONS", "/api/latest/webhook/address-no-such/call").send();
    assert_eq!((unknown.status, unknown.header("allow")), (204, answer.header("allow")));
    assert_eq!(host.executions_of("address-options").len(), 0);
}

#[test]
fn a_webhook_that_cannot_be_called_answers_like_one_that_does_not_exist() {
    let host = Host::shared();
    let unknown = host.post("/api/latest/webhook/hidden-unknown/call", "").send();
    unknown.problem(404, "webhook.not-found");

    let disabled =
        host.webhook_with("hidden-disabled", "echo", &json!({ "is_enabled": false, "key": "k-0123456789abcde" }));
    let deleted = host.webhook("hidden-deleted", "echo");
    assert_eq!(host.delete(&deleted.record_path()).status, 204);
    host.set("client.webhook.hidden-unresolved", "flow_name: no-such-flow\nuser_name: admin\nkey: k-0123456789abcde")
        .ok();
    let addresses = [
        disabled.path(),
        deleted.path(),
        "/api/latest/webhook/default/hidden-unresolved",
        "/api/1/webhook/default/hidden-unresolved",
        "/api/latest/webhook/default/hidden-unknown",
        "/api/latest/webhook/other-client/hidden-unresolved",
    ];
    let too_large = "x".repeat((1 << 20) + 1);
    for address in addresses {
        for body in ["", "{}", r#"{"key":"k-0123456789abcde"}"#, "{", &too_large] {
            let answer = host.post(address, body).send();
            assert_eq!((answer.status, answer.text()), (404, unknown.text()), "{address} {body:.10}");
            let without_date = |headers: &[(String, String)]| -> Vec<_> {
                headers.iter().filter(|(name, _)| name != "date").cloned().collect()
            };
            assert_eq!(without_date(&answer.headers), without_date(&unknown.headers), "{address}");
        }
    }
}

#[test]
fn address_is_found_as_senders_join_it() {
    let host = Host::shared();
    let webhook = host.webhook("joined", "echo");
    for path in
        ["//api/latest/webhook/joined/call", "/api/latest//webhook///joined//call", "/api/latest/webhook/joined/call/"]
    {
        assert_eq!(host.post(path, "{}").send().status, 200, "{path}");
    }
    assert_eq!(host.post(webhook.path(), "{}").send().status, 200);
    for (method, path, status) in
        [("POST", "/api/latest/webhook/joined", 405), ("GET", "/api/latest/webhook/joined", 401)]
    {
        let answer = host.request(method, path).send();
        assert_eq!(answer.status, status, "{method}");
        assert_eq!(answer.json()["detail"], "webhooks are called at /api/latest/webhook/joined/call", "{method}");
    }
}
