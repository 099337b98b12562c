//! The brief's own lines, against a host that was set up by the brief's own text.

use std::process::Command;

use flowhost_tests::{Answer, Host, Ran, Setup, component};
use serde_json::{Value, json};

const SETTING: &str = "flow_name: my-flow-name\nuser_name: my-user-name\nkey: my-secret-api-key\n";
const PAYLOAD: &str = r#"{"key": "my-secret-api-key"}"#;
const SYNC: &str = "/api/1/webhook/test-client/my-webhook";
const ASYNC: &str = "/api/latest/webhook/test-client/my-webhook?async";

fn host() -> Host {
    let host = Setup::new().flag("--workspace", "test-client").start();
    host.deploy_as("my-flow-name", component("hello")).ok();
    host.user("my-user-name");
    host.set("client.webhook.my-webhook", SETTING).ok();
    host
}

/// What `curl -d PAYLOAD https://app.cloudomation.com/…` sends once the connection stands.
fn sent_by_curl(target: &str) -> String {
    format!(
        "POST {target} HTTP/1.1\r\nHost: app.cloudomation.com\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n\
         Content-Length: {}\r\nContent-Type: application/x-www-form-urlencoded\r\n\r\n{PAYLOAD}",
        PAYLOAD.len()
    )
}

fn assert_sync_answer(execution: &Value) {
    assert_eq!(execution["flow"]["name"], "my-flow-name");
    assert_eq!(execution["status"], "ENDED_SUCCESS");
    assert_eq!(execution["input_value"]["json"], json!({}));
    assert_eq!(execution["input_value"]["method"], "POST");
    assert_eq!(execution["output_value"], json!({ "greeting": "Hello, world!" }));
}

#[test]
fn the_first_line_is_answered_with_the_flow_its_inputs_and_outputs() {
    let host = host();
    let mut connection = host.connect();
    connection.write(sent_by_curl(SYNC));
    let answer: Answer = connection.answer("POST");
    assert_sync_answer(&answer.ok());
    assert!(!answer.text().contains("my-secret-api-key"));
}

#[test]
fn the_second_line_is_answered_at_once_with_the_executions_id() {
    let host = host();
    let mut connection = host.connect();
    connection.write(sent_by_curl(ASYNC));
    let answer = connection.answer("POST");
    assert_eq!(answer.status, 202);
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    assert_sync_answer(&host.wait_until_ended(&id).record);
}

#[test]
fn a_get_request_executes_the_flow_too() {
    let host = host();
    let execution = host.get(&format!("{SYNC}?key=my-secret-api-key")).send().ok();
    assert_eq!(execution["output_value"], json!({ "greeting": "Hello, world!" }));
}

#[test]
fn curl_itself_gets_both_answers() {
    if Command::new("curl").arg("--version").output().is_err() {
        eprintln!("this machine has no curl; the tests above send its very bytes");
        return;
    }
    let host = host();
    let curl = |target: &str| {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--noproxy", "*", "-d", PAYLOAD, &format!("{}{target}", host.url())]);
        Ran::of(&mut curl, "").json()
    };
    assert_sync_answer(&curl(SYNC));
    let accepted = curl(ASYNC);
    assert_sync_answer(&host.wait_until_ended(accepted["id"].as_str().unwrap()).record);
}
