//! What a flow gets of a request.

use data_encoding::BASE64;
use flowhost_tests::{Answer, Host, Webhook};
use serde_json::{Value, json};

/// The `json` member of the flow's input, for a body with this content type.
fn payload_of(host: &Host, webhook: &Webhook, content_type: Option<&str>, body: &[u8]) -> Value {
    send(host, webhook, content_type, body).ok()["input_value"]["json"].clone()
}

fn send(host: &Host, webhook: &Webhook, content_type: Option<&str>, body: &[u8]) -> Answer {
    let request = host.post(webhook.path(), body);
    match content_type {
        Some(content_type) => request.header("Content-Type", content_type).send(),
        None => request.send(),
    }
}

const FORM: Option<&str> = Some("application/x-www-form-urlencoded");

#[test]
fn the_input_is_one_object_with_five_members() {
    let host = Host::shared();
    let webhook = host.webhook("input-whole", "echo");
    let answer = host.send_raw(format!(
        "PUT {}/sub?b=2&a=1&b=%20x+y&c HTTP/1.1\r\nHost: flows.example\r\nX-Tag: one\r\nContent-Type: text/plain\r\n\
         Cookie: a=1\r\nx-tag: two\r\nX-TAG:\t three \r\nCookie: b=2\r\nContent-Length: 32\r\nConnection: close\r\n\r\n\
         {{ \"z\": 1.10, \"a\": [ 1e2, null ]}}",
        webhook.path()
    ));
    let input = concat!(
        r#"{"headers":{"host":"flows.example","x-tag":"one, two, three","content-type":"text/plain","cookie":"a=1; b=2","#,
        r#""content-length":"32","connection":"close"},"method":"PUT","path":"/sub","#,
        r#""query":{"b":["2"," x y"],"a":"1","c":""},"json":{ "z": 1.10, "a": [ 1e2, null ]}}"#,
    );
    answer.ok();
    assert!(answer.text().contains(&format!(r#""input_value":{input},"output_value""#)), "{}", answer.text());
    let id = answer.header("flowhost-execution-id").unwrap();
    // The record has the very same text.
    assert!(host.read(&format!("execution/{id}")).text().contains(input));
}

#[test]
fn a_chunked_body_is_put_together() {
    let host = Host::shared();
    let webhook = host.webhook("input-chunked", "echo");
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
        webhook.path()
    );
    let execution = host.send_raw(head + "5\r\n{\"a\":\r\n3;x=y\r\n 1}\r\n0\r\n\r\n").ok();
    assert_eq!(execution["input_value"]["json"], json!({ "a": 1 }));
    assert_eq!(execution["output_value"]["request"]["body"]["text"], "{\"a\": 1}");
}

#[test]
fn json_is_tried_first_whatever_the_content_type_says() {
    let host = Host::shared();
    let webhook = host.webhook("input-json-first", "echo");
    for content_type in [None, FORM, Some("text/plain"), Some("multipart/form-data; boundary=x"), Some("nonsense")] {
        assert_eq!(payload_of(host, &webhook, content_type, br#"{"a":"b=c&d"}"#), json!({ "a": "b=c&d" }));
    }
    assert_eq!(payload_of(host, &webhook, FORM, b" [1, 2]\n"), json!([1, 2]));
    assert_eq!(payload_of(host, &webhook, None, b"17"), json!(17));
}

#[test]
fn json_is_carried_as_it_was_written() {
    let host = Host::shared();
    let webhook = host.webhook("input-verbatim", "echo");
    let written = r#"{"z": 12345678901234567890123456789, "a": 1.0e+2,"a":2, "e":"\u00e9\/","n":-0}"#;
    let answer = send(host, &webhook, Some("application/json"), written.as_bytes());
    answer.ok();
    assert!(answer.text().contains(&format!(r#""json":{written}}}"#)), "{}", answer.text());
    let id = answer.header("flowhost-execution-id").unwrap();
    assert!(host.read(&format!("execution/{id}")).text().contains(&format!(r#""json":{written}}}"#)));
}

#[test]
fn a_form_becomes_an_object_of_texts() {
    let host = Host::shared();
    let webhook = host.webhook("input-form", "echo");
    let form = b"name=Ada+L&tag=1&tag=%C3%A9&empty=&bare";
    assert_eq!(
        payload_of(host, &webhook, FORM, form),
        json!({ "name": "Ada L", "tag": ["1", "é"], "empty": "", "bare": "" })
    );
    // Without the content type of a form it is none.
    assert_eq!(payload_of(host, &webhook, Some("text/plain"), form), Value::Null);
}

#[test]
fn text_of_a_form_that_is_not_utf_8_is_replaced_where_it_cannot_be_read() {
    let host = Host::shared();
    let webhook = host.webhook("input-latin", "echo");
    let expected = json!({ "name": "caf\u{fffd}!" });
    assert_eq!(payload_of(host, &webhook, FORM, b"name=caf%E9!"), expected);
    send(host, &webhook, FORM, b"name=caf\xe9!").problem(400, "request.malformed");
    let body = b"--x\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\ncaf\xe9!\r\n--x--\r\n";
    assert_eq!(payload_of(host, &webhook, Some("multipart/form-data; boundary=x"), body), expected);
}

#[test]
fn a_multipart_form_becomes_an_object_with_its_files_described() {
    let host = Host::shared();
    let webhook = host.webhook("input-multipart", "echo");
    let body = b"--x\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nhi\r\n\
        --x\r\nContent-Disposition: form-data; name=\"photo\"; filename=\"a.png\"\r\nContent-Type: image/png\r\n\r\n\x89PNG\xff\r\n\
        --x--\r\n";
    let execution = send(host, &webhook, Some("multipart/form-data; boundary=x"), body).ok();
    let expected = json!({ "note": "hi", "photo": { "filename": "a.png", "content_type": "image/png", "size": 5 } });
    assert_eq!(execution["input_value"]["json"], expected);
    assert_eq!(execution["output_value"]["request"]["body"]["base64"], BASE64.encode(body));
}

#[test]
fn a_broken_multipart_form_is_refused() {
    let host = Host::shared();
    let webhook = host.webhook("input-multipart-broken", "echo");
    let answer =
        send(host, &webhook, Some("multipart/form-data; boundary=x"), b"--x\r\nContent-Disposition: form-data");
    answer.problem(400, "request.malformed");
}

#[test]
fn no_body_and_any_other_body_is_null() {
    let host = Host::shared();
    let webhook = host.webhook("input-null", "echo");
    assert_eq!(payload_of(host, &webhook, Some("application/json"), b""), Value::Null);
    assert_eq!(payload_of(host, &webhook, Some("text/plain"), b"hello"), Value::Null);
    assert_eq!(payload_of(host, &webhook, Some("text/plain"), b"[06:00] disk full"), Value::Null);
    assert_eq!(payload_of(host, &webhook, Some("text/plain"), b"42"), Value::Null);
    assert_eq!(payload_of(host, &webhook, None, b" \r\n"), Value::Null);
    assert_eq!(payload_of(host, &webhook, Some("application/octet-stream"), b"\xff\0"), Value::Null);
    assert_eq!(host.get(webhook.path()).send().ok()["input_value"]["json"], Value::Null);
}

#[test]
fn what_should_be_json_and_is_not_is_refused() {
    let host = Host::shared();
    let webhook = host.webhook("input-malformed", "echo");
    for (content_type, body) in [
        (Some("application/json"), &b"name=x"[..]),
        (Some("Application/JSON; charset=utf-8"), b"{} {}"),
        (Some("application/vnd.acme+json"), b"nope"),
        (None, b"hello"),
        (None, b"\r\n\t[1,"),
        (Some("application/json"), b"\"\xff\""),
        (None, b"{\"\xff\":1}"),
    ] {
        let problem = send(host, &webhook, content_type, body).problem(400, "request.malformed-json");
        assert_eq!(problem["fault"], "caller");
        assert!(problem["detail"].as_str().unwrap().contains("line 1") || body.starts_with(b"\r\n"), "{problem}");
    }
    assert_eq!(host.executions_of("input-malformed").len(), 0);
}

#[test]
fn deeply_nested_json_harms_nobody() {
    let host = Host::shared();
    let webhook = host.webhook_with("input-deep", "canary", &json!({ "key": "k-0123456789abcde" }));
    let deep = "[".repeat(200_000) + &"]".repeat(200_000);
    let answer = host.post(webhook.path(), &deep).header("X-Api-Key", "k-0123456789abcde").send();
    // The host carries it; what the flow's own parser makes of it is the flow's matter.
    assert_eq!(answer.status, 422);
    assert!(answer.text().contains("flow.invalid-input") && answer.text().contains(&deep));
    let unclosed = "[".repeat(500_000);
    host.post(webhook.path(), unclosed)
        .header("X-Api-Key", "k-0123456789abcde")
        .send()
        .problem(400, "request.malformed-json");
}
