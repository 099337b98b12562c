//! The audit log and the access log: what an operator finds of those who called.

use std::fs;

use flowhost_tests::{Host, Setup, Webhook, scene};
use serde_json::{Value, json};

const KEY: &str = "a-key-beyond-any-guess";

/// A host whose log is JSON.
fn logging() -> Setup {
    Setup::new().flag("--log-format", "json")
}

/// The entries of the audit log.
fn audit(host: &Host) -> Vec<Value> {
    let log = host.log();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["target"] == "flowhost::audit").map(|line| line["fields"].clone()).collect()
}

/// The entries with this event and code.
fn refused<'a>(entries: &'a [Value], event: &str, code: &str) -> Vec<&'a Value> {
    entries.iter().filter(|entry| entry["event"] == event && entry["code"] == code).collect()
}

#[test]
fn refused_calls_leave_a_line_with_webhook_and_address() {
    let host = logging().start();
    let webhook = host.webhook_with("audited", "canary", &json!({ "key": KEY }));
    let guess = "a-guess-that-is-logged-nowhere";
    host.post(webhook.path(), "").header("X-Api-Key", guess).send().problem(401, "webhook.unauthorized");
    host.post("/api/latest/webhook/no%0asuch/call", "").send().problem(404, "webhook.not-found");
    host.post(webhook.path(), "x".repeat((1 << 20) + 1)).send().problem(413, "request.too-large");
    let entries = audit(&host);
    let wrong = refused(&entries, "call.refused", "webhook.unauthorized");
    assert_eq!(wrong.len(), 1, "{entries:?}");
    assert_eq!((&wrong[0]["webhook"], &wrong[0]["address"]), (&json!("audited"), &json!("127.0.0.1")));
    assert!(wrong[0]["message"].as_str().unwrap().contains("wrong key"), "{}", wrong[0]);
    assert_eq!(refused(&entries, "call.refused", "webhook.not-found").len(), 1, "{entries:?}");
    assert_eq!(refused(&entries, "call.refused", "request.too-large")[0]["webhook"], "audited");
    assert!(!host.log().contains(guess) && !host.log().contains(KEY));
}

#[test]
fn burst_of_refused_calls_is_a_line_and_a_number() {
    let host = logging().start();
    let webhook = host.webhook_with("flooded", "canary", &json!({ "key": KEY }));
    for _ in 0..40 {
        host.post(webhook.path(), "").send().problem(401, "webhook.unauthorized");
    }
    host.terminate();
    assert!(host.wait().success());
    let entries = audit(&host);
    let lines = refused(&entries, "call.refused", "webhook.unauthorized");
    let counted: u64 = lines.iter().map(|line| line["count"].as_u64().unwrap_or(1)).sum();
    assert_eq!(counted, 40, "{entries:?}");
    assert!(lines.len() < 20, "{entries:?}");
}

#[test]
fn failed_logins_and_missing_permissions_say_who_and_whence() {
    let host = logging().start();
    let login = |name: &str, password: &str| {
        let login = json!({ "user_name": name, "password": password });
        host.post_json("/api/latest/auth/login", &login).send()
    };
    host.create("user", &json!({ "name": "ada", "password": "correct horse" })).ok();
    login("ada", "wrong horse").problem(401, "access.login-failed");
    // A password that was typed into the wrong field is not written.
    login("my real password\nforged line", "ada").problem(401, "access.login-failed");
    let token = login("ada", "correct horse").ok()["token"].as_str().unwrap().to_owned();
    let forbidden = host
        .post_json("/api/latest/role", &json!({ "name": "mine", "permissions": [] }))
        .header("Authorization", &token);
    forbidden.send().problem(403, "access.forbidden");
    host.get("/api/latest/flow").header("Authorization", "fh_wrong").send().problem(401, "access.unauthorized");

    let entries = audit(&host);
    let failed = refused(&entries, "request.refused", "access.login-failed");
    assert_eq!(failed.iter().map(|entry| &entry["user"]).collect::<Vec<_>>(), [&json!("ada"), &Value::Null]);
    let forbidden = refused(&entries, "request.refused", "access.forbidden");
    assert_eq!(forbidden.len(), 1, "{entries:?}");
    for (member, value) in [("user", "ada"), ("method", "POST"), ("path", "/api/latest/role"), ("address", "127.0.0.1")]
    {
        assert_eq!(forbidden[0][member], value, "{}", forbidden[0]);
    }
    assert_eq!(refused(&entries, "request.refused", "access.unauthorized").len(), 1, "{entries:?}");
    assert!(!host.log().contains("real password") && !host.log().contains(&token));
}

#[test]
fn whatever_changes_something_leaves_who_did_it() {
    let host = logging().start();
    let webhook = host.webhook("changed", "canary");
    let user = host.create("user", &json!({ "name": "ada", "password": "correct horse" })).ok();
    let id = user["id"].as_str().unwrap();
    let token = host.create(&format!("user/{id}/token"), &json!({ "name": "t" })).ok();
    let token_path = format!("user/{id}/token/{}", token["id"].as_str().unwrap());
    assert_eq!(host.delete(&token_path).status, 204);
    host.change(&webhook.record_path(), &json!({ "description": "a value that is not logged" })).ok();
    let execution = webhook.call(&host, &json!({})).send().ok()["id"].as_str().unwrap().to_owned();
    let rerun = host.create(&format!("execution/{execution}/action/rerun"), &json!({})).ok();
    host.read("webhook").ok();

    let entries = audit(&host);
    let done: Vec<_> = entries.iter().filter(|entry| entry["event"] == "request.done").collect();
    let find = |method: &str, path: &str| {
        let found =
            done.iter().find(|entry| entry["method"] == method && entry["path"] == format!("/api/latest/{path}"));
        *found.unwrap_or_else(|| panic!("{method} {path} is not in {done:?}"))
    };
    assert_eq!(find("POST", "user")["record"], user["id"]);
    assert_eq!(find("POST", &format!("user/{id}/token"))["record"], token["id"]);
    assert_eq!(find("POST", &format!("execution/{execution}/action/rerun"))["record"], rerun["id"]);
    find("POST", "flow");
    find("DELETE", &token_path);
    find("PATCH", &webhook.record_path());
    assert!(done.iter().all(|entry| entry["user"] == "admin" && entry["address"] == "127.0.0.1"), "{done:?}");
    assert!(done.iter().all(|entry| entry["method"] != "GET"), "{done:?}");
    let log = host.log();
    for secret in ["not logged", "correct horse", token["token"].as_str().unwrap()] {
        assert!(!log.contains(secret), "{secret}");
    }
}

#[test]
fn changes_by_flows_leave_execution_and_actor() {
    let host = logging().start();
    let by_user = host.webhook_of_admin("by-user", "records");
    let by_webhook = scene::webhook(&host, "by-webhook", "records");
    let record = |op: &str, record_type: &str, name: &str, members: Value| json!({ "op": op, "type": record_type, "name": name, "members": members });
    let mut operations = vec![
        json!({ "op": "create", "type": "role", "members": { "name": "made", "permissions": [] } }),
        record("update", "role", "made", json!({ "description": "a value that is not logged" })),
        json!({ "op": "delete", "type": "role", "name": "made" }),
        json!({ "op": "create", "type": "setting", "members": { "name": "counted", "value": 0 } }),
    ];
    operations.extend((1..=20).map(|number| record("update", "setting", "counted", json!({ "value": number }))));
    operations.push(json!({ "op": "delete", "type": "setting", "name": "counted", "permanently": true }));
    let call = |webhook: &Webhook| webhook.call(&host, &json!({ "ops": operations })).send().ok();
    let executions = [call(&by_user), call(&by_webhook)];
    let admin = host.read("user/admin?by=name").ok()["id"].clone();
    host.terminate();
    assert!(host.wait().success());

    let entries = audit(&host);
    let made = |execution: &Value, record_type: &str, change: &str| -> Vec<Value> {
        let is_meant = |entry: &&Value| {
            entry["event"] == "record.changed"
                && entry["execution"] == execution["id"]
                && (&entry["record_type"], &entry["change"]) == (&json!(record_type), &json!(change))
        };
        entries.iter().filter(is_meant).cloned().collect()
    };
    let [by_user, _] = &executions;
    for change in ["created", "updated", "trashed"] {
        let lines = made(by_user, "ROLE", change);
        assert_eq!(lines.len(), 1, "{change}: {entries:?}");
        assert_eq!((&lines[0]["user"], &lines[0]["actor"]), (&json!("admin"), &admin), "{}", lines[0]);
        assert_eq!(lines[0]["webhook"], "by-user");
        assert!(lines[0]["record"].is_string(), "{}", lines[0]);
    }
    for execution in &executions {
        let updated = made(execution, "SETTING", "updated");
        let counted: u64 = updated.iter().map(|line| line["count"].as_u64().unwrap_or(1)).sum();
        assert_eq!(counted, 20, "{updated:?}");
        assert!(updated.len() < 20, "{updated:?}");
        assert_eq!(made(execution, "SETTING", "created").len(), 1, "{entries:?}");
        assert_eq!(made(execution, "SETTING", "deleted").len(), 1, "{entries:?}");
    }
    let created = &made(&executions[1], "SETTING", "created")[0];
    assert_eq!((&created["actor"], created.get("user")), (&by_webhook.record["id"], None), "{created}");
    assert!(!host.log().contains("not logged"));
}

#[test]
fn text_log_has_no_control_characters_of_strangers() {
    let host = Host::start();
    let path = "/api/latest/user/\u{202e}x%1b[31m";
    host.request("PATCH", path).body("{}").send();
    host.request("PATCH", "/api/latest/user/a%0ab").body("{}").send().problem(401, "access.unauthorized");
    let log = host.log();
    assert!(log.contains("access.unauthorized"), "{log}");
    assert!(!log.contains('\u{1b}') && !log.contains('\u{202e}'), "{log:?}");
}

#[test]
fn access_log_has_a_line_for_each_request() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("access.log");
    let host = Setup::new().flag("--set", &format!("access_log={}", file.display())).start();
    let webhook = host.webhook_with("logged", "canary", &json!({ "key": KEY }));
    let answer = host.post(&format!("{}?key={KEY}", webhook.path()), "{}").send();
    host.post(webhook.path(), "").send().problem(401, "webhook.unauthorized");
    host.terminate();
    assert!(host.wait().success());
    let text = fs::read_to_string(&file).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let calls: Vec<_> = lines.iter().filter(|line| line["webhook"] == "logged").collect();
    assert_eq!(calls.len(), 2, "{text}");
    assert_eq!(calls[0]["execution"], answer.header("flowhost-execution-id").unwrap());
    assert_eq!(calls[0]["response_bytes"], answer.body.len());
    assert_eq!((&calls[0]["status"], &calls[1]["status"]), (&json!(answer.status), &json!(401)));
    assert_eq!((&calls[1]["code"], &calls[1]["address"]), (&json!("webhook.unauthorized"), &json!("127.0.0.1")));
    assert!(lines.iter().any(|line| line["path"] == "/api/latest/webhook" && line["status"] == 200), "{text}");
    assert!(!text.contains(KEY));
}
