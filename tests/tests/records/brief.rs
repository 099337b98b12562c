//! The brief's two lines, unchanged, for a host where nothing but its administrator and the brief's own setting text decides.

use std::process::Command;

use flowhost_tests::{Ran, Setup, component};
use serde_json::json;

use crate::person::Person;

const SETTING: &str = "flow_name: my-flow-name\nuser_name: my-user-name\nkey: my-secret-api-key\n";
const PAYLOAD: &str = r#"{"key": "my-secret-api-key"}"#;

#[test]
fn the_two_lines_work_for_a_setting_that_its_own_user_wrote() {
    let host = Setup::new().flag("--workspace", "test-client").start();
    let person = Person::in_role(&host, "my-user-name", "Developer");
    person.deploy("my-flow-name", &component("hello")).ok();
    person.set("client.webhook.my-webhook", SETTING).ok();
    let curl = |target: &str| {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--noproxy", "*", "-d", PAYLOAD, &format!("{}{target}", host.url())]);
        Ran::of(&mut curl, "").json()
    };
    let execution = curl("/api/1/webhook/test-client/my-webhook");
    assert_eq!(execution["status"], "ENDED_SUCCESS");
    assert_eq!(execution["output_value"], json!({ "greeting": "Hello, world!" }));
    let accepted = curl("/api/latest/webhook/test-client/my-webhook?async");
    assert_eq!(host.wait_until_ended(accepted["id"].as_str().unwrap()).status(), "ENDED_SUCCESS");
}
