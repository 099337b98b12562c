//! The request that an execution serves, as its flow reads it.

use data_encoding::BASE64;
use flowhost_tests::{Host, Setup};
use serde_json::{Value, json};

use flowhost_tests::scene::{DAY, items, message_of, parent_of, respond, text, until_status, until_unloaded, webhook};

const BINARY: &str = "application/octet-stream";

#[test]
fn a_flow_reads_the_request_as_it_arrived() {
    let host = Host::shared();
    let webhook = webhook(host, "request-exact", "echo");
    let body: Vec<u8> = (0..=255).collect();
    let target = format!("{}/%7Ea?q=%41+b&&q", webhook.path());
    let request =
        host.post(&target, &body).header("X-Odd", b"caf\xe9 \t end").header("x-odd", "2").header("User-Agent", "t/1");
    let outputs = request.header("Content-Type", BINARY).send().ok()["output_value"].clone();
    let seen = &outputs["request"];
    assert_eq!(seen["method"], "POST");
    assert_eq!(seen["path"], "/%7Ea");
    assert_eq!(seen["query"], "q=%41+b&&q");
    assert_eq!(seen["body"]["base64"], BASE64.encode(&body));
    assert_eq!(seen["body_is_exact"], true);
    assert_eq!(seen["user_agent"]["text"], "t/1");
    let headers = items(&seen["headers"]);
    let header = |index: usize| (headers[index][0].as_str().unwrap(), text(&headers[index][1], "base64"));
    assert_eq!(header(0).0, "host");
    assert_eq!(header(1), ("x-odd", &*BASE64.encode(b"caf\xe9 \t end")));
    assert_eq!(header(2), ("x-odd", &*BASE64.encode(b"2")));
    assert_eq!(header(3), ("user-agent", &*BASE64.encode(b"t/1")));
    // The input has the same in a handier form.
    assert_eq!(outputs["input"]["json"], Value::Null);
    assert_eq!(outputs["input"]["headers"]["x-odd"], "caf\u{fffd} \t end, 2");
    assert_eq!(outputs["input"]["query"], json!({ "q": ["A b", ""] }));
}

#[test]
fn no_query_is_told_from_an_empty_one() {
    let host = Host::shared();
    let webhook = webhook(host, "request-query", "echo");
    let seen = |target: &str| host.get(target).send().ok()["output_value"]["request"].clone();
    let (none, empty) = (seen(webhook.path()), seen(&format!("{}?", webhook.path())));
    assert_eq!([&none["query"], &empty["query"]], [&Value::Null, &json!("")]);
    assert_eq!([&none["method"], &none["path"], &none["body"]["text"]], ["GET", "", ""]);
}

#[test]
fn what_no_webhook_started_has_no_request() {
    let host = Host::shared();
    host.deploy("echo");
    let parent = webhook(host, "request-parent", "parent");
    let plan =
        parent_of(json!([{ "flow": "echo", "input": { "path": "/no-request" } }]), json!({ "when": "ALL_SUCCEEDED" }));
    let outputs = parent.call(host, &plan).send().ok()["output_value"].clone();
    let child = &items(&outputs["child_outputs"])[0];
    assert_eq!([&child["request"], &child["input"]["path"]], [&Value::Null, &json!("/no-request")]);
}

#[test]
fn the_request_is_the_same_outside_of_memory_and_after_a_crash() {
    for unload_ms in [1, DAY] {
        let host = Setup::new().set("unload_ms", unload_ms).start();
        let webhook = webhook(&host, "request", "request");
        let body: Vec<u8> = (0..=255).rev().collect();
        let target = format!("{}/a%2Fb?async&b=%00", webhook.path());
        let accepted = host.post(&target, &body).header("X-Odd", b"\xff").header("Content-Type", BINARY).send();
        let id = text(&accepted.json(), "id").to_owned();
        if unload_ms == 1 {
            until_unloaded(&host, &id)
        } else {
            until_status(&host, &id, "WAITING")
        };
        let host = host.crash();
        until_status(&host, &id, "WAITING");
        respond(&host, &message_of(&host, &id), &json!(null)).ok();
        let ended = host.wait_until_ended(&id);
        let (before, after) = (&ended.outputs()["before"], &ended.outputs()["after"]);
        assert_eq!(before, after);
        assert_eq!([&after["path"], &after["query"]], ["/a%2Fb", "async&b=%00"], "{}", ended.record);
        assert_eq!(after["body"]["base64"], BASE64.encode(&body));
    }
}
