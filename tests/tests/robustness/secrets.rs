//! Tokens and keys are for their owners.

use std::os::unix::fs::PermissionsExt;

use flowhost_tests::{Host, Setup};
use serde_json::json;

#[test]
fn the_operators_token_is_for_the_owner_and_secrets_are_never_logged() {
    let key = "a-key-that-nobody-guesses";
    let host = Setup::new().variable("FLOWHOST_LOG", "trace").start();
    let token = host.data().join("operator-token");
    assert_eq!(token.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(host.data().metadata().unwrap().permissions().mode() & 0o077, 0);

    let webhook = host.webhook_with("hello", "hello", &json!({ "key": key }));
    host.post_json(&format!("{}?key={key}", webhook.path()), &json!({})).send().ok();
    webhook.call(&host, &json!({ "key": key })).send().ok();
    webhook.call(&host, &json!({})).header("X-Api-Key", key).send().ok();
    webhook.call(&host, &json!({ "key": "another" })).send().problem(401, "webhook.unauthorized");
    host.set("client.webhook.by-setting", format!("flow_name: hello\nuser_name: admin\nkey: {key}\n")).ok();
    host.cli(&["executions", "list"]);
    let wrong = host.get("/api/latest/flow").header("Authorization", "Bearer fh_wrong");
    wrong.send().problem(401, "access.unauthorized");

    let secret = host.token();
    let host = host.crash();
    for log in [Host::log(&host), std::fs::read_to_string(host.data().parent().unwrap().join("log-1")).unwrap()] {
        assert!(!log.is_empty());
        assert!(!log.contains(&secret), "the token is in the log");
        let line = log.lines().find(|line| line.contains(key));
        assert!(line.is_none(), "a key is in the log: {line:?}");
    }
}
