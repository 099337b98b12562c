//! Requests to the outside as an ordinary client of `wasi:http` sends them.

use flowhost_tests::outside::{Outside, echoed};
use flowhost_tests::scene::{items, said_by_host, setting, text, webhook};
use flowhost_tests::{Host, Setup, Webhook};
use serde_json::{Value, json};

use crate::requests::{get, send};

const ANYWHERE: &str = "http://*:*";

fn open() -> (Host, Webhook) {
    open_with(Setup::new(), &[ANYWHERE])
}

fn open_with(setup: Setup, of_flow: &[&str]) -> (Host, Webhook) {
    let setup = setup.flag("--set", "http_private=127.0.0.0/8").flag("--set", &format!("http_allow={ANYWHERE}"));
    let host = setup.start();
    let webhook = webhook(&host, "wasi-http", "wasi-http");
    let flow = host.read("flow/wasi-http?by=name").ok();
    host.change(&format!("flow/{}", text(&flow, "id")), &json!({ "options": { "http_allow": of_flow } })).ok();
    (host, webhook)
}

/// The error of a result.
fn error(result: &Value) -> &str {
    result["error"].as_str().unwrap_or_else(|| panic!("not refused: {result}"))
}

#[test]
fn an_ordinary_client_sends_and_receives() {
    let (host, webhook) = open();
    let outside = Outside::start();
    let post = json!({ "method": "POST", "url": outside.url("/echo?a=b"), "body": "hi", "headers": [["x-a", "b"]] });
    let large = json!({ "method": "PUT", "url": outside.url("/status/201"), "size": 1_000_000 });
    let requests = [post, get(outside.url("/echo")), large, get(outside.url("/bytes/2000000"))];
    let results = send(&host, &webhook, &requests);
    let echo = echoed(text(&results[0], "body"));
    assert_eq!([&echo["method"], &echo["target"], &echo["body"]], ["POST", "/echo?a=b", "hi"]);
    assert_eq!((&echo["headers"]["x-a"], &echo["headers"]["content-length"]), (&json!("b"), &json!("2")));
    assert_eq!(results[0]["headers"]["content-type"], json!(["application/json"]));
    assert_eq!(echoed(text(&results[1], "body"))["method"], "GET");
    assert_eq!((&results[2]["status"], outside.requests()[2].body.len()), (&json!(201), 1_000_000));
    assert_eq!(results[3]["body"]["size"], 2_000_000);
    // A redirect is the client's to follow.
    let redirect = send(&host, &webhook, &[get(outside.url("/redirect/302?/echo"))]).remove(0);
    assert_eq!((&redirect["status"], &redirect["headers"]["location"]), (&json!(302), &json!(["/echo"])));
}

#[test]
fn refusals_have_the_codes_of_the_standard_and_the_log_has_the_reason() {
    let outside = Outside::start();
    let allowed = [outside.line(), "http://10.0.0.1".into(), "http://there-is-no-such-name.invalid".into()];
    let (host, webhook) =
        open_with(Setup::new().set("http_body_bytes", 10_000), &allowed.each_ref().map(String::as_str));
    let steps: Vec<Value> = [
        get("http://127.0.0.1:1/"),
        get("http://10.0.0.1/"),
        get("http://there-is-no-such-name.invalid/"),
        get(outside.url("/cut")),
        json!({ "url": outside.url("/gate"), "timeout_ms": 50 }),
        get(outside.url("/bytes/10001")),
        json!({ "method": "POST", "url": outside.url("/echo"), "size": 10_001 }),
    ]
    .map(|request| json!({ "send": [request] }))
    .to_vec();
    let id = webhook.call_async(&host, &json!({ "steps": steps }));
    let results = items(&host.wait_until_ended(&id).outputs()["results"]).clone();
    let expected = [
        "HttpRequestDenied",
        "DestinationIpProhibited",
        "DnsError",
        "ConnectionTerminated",
        "HttpResponseTimeout",
        "HttpResponseBodySize",
    ];
    for (result, expected) in results.iter().zip(expected) {
        assert!(error(result).contains(expected), "{expected}: {result}");
    }
    assert!(error(&results[6]).contains("HttpRequestBodySize"), "{}", results[6]);
    let lines = said_by_host(&host, &id);
    let line = "add `GET http://127.0.0.1:1` to `options.http_allow` of the flow `wasi-http`";
    assert!(lines[0].contains(line), "{lines:?}");
    assert_eq!(outside.requests().len(), 3);
}

#[test]
fn more_headers_than_there_may_be_refuse_the_request_and_the_flow_goes_on() {
    let (host, webhook) = open();
    let outside = Outside::start();
    let many: Vec<(String, String)> = (0..201).map(|number| (format!("x-{number}"), "a".to_owned())).collect();
    let with = |headers: Value| json!({ "send": [{ "method": "POST", "url": outside.url("/echo"), "headers": headers, "body": "a" }] });
    let steps = [with(json!([["x-large", "a".repeat(70_000)]])), with(json!(many)), with(json!(many[..150]))];
    let id = webhook.call_async(&host, &json!({ "steps": steps }));
    let ended = host.wait_until_ended(&id);
    let results = items(&ended.outputs()["results"]).clone();
    for refused in &results[..2] {
        assert!(error(refused).contains("HttpRequestHeaderSectionSize"), "{refused}");
    }
    assert_eq!((&results[2]["status"], outside.requests().len()), (&json!(200), 1));
    assert!(said_by_host(&host, &id)[0].contains("http.too-large"));
}

#[test]
fn several_exchanges_run_at_the_same_time() {
    let (host, webhook) = open();
    let outside = Outside::start();
    let requests: Vec<Value> = (0..3).map(|_| get(outside.url("/gate"))).collect();
    let id = webhook.call_async(&host, &json!({ "steps": [{ "send": requests }] }));
    outside.until_waiting(3);
    outside.open();
    let results = items(&host.wait_until_ended(&id).outputs()["results"]).clone();
    assert!(results.iter().all(|result| result["body"] == "open"), "{results:?}");
}

#[test]
fn what_was_told_is_told_again_after_a_crash_and_nobody_is_asked() {
    let (host, webhook) = open();
    let outside = Outside::start();
    let post = |path: &str| json!({ "method": "POST", "url": outside.url(path), "body": "once" });
    let steps = json!([
        { "send": [get(outside.url("/echo")), post("/echo"), get("http://10.0.0.1/")] },
        { "save": "between" },
        { "send": [get(outside.url("/gate")), post("/gate")] },
        { "save": "after" },
    ]);
    let id = webhook.call_async(&host, &json!({ "steps": steps }));
    outside.until_waiting(2);
    let host = host.crash();
    // Of the two that were cut off in the middle, the one that is safe to repeat is sent again.
    outside.until_waiting(3);
    outside.open();
    let ended = host.wait_until_ended(&id);
    let results = items(&ended.outputs()["results"]).clone();
    assert_eq!(
        [&results[0]["status"], &results[1]["status"], &results[3]["body"]],
        [&json!(200), &json!(200), &json!("open")]
    );
    assert!(error(&results[2]).contains("DestinationIpProhibited"), "{results:?}");
    assert!(error(&results[4]).contains("http.outcome-unknown"), "{results:?}");
    let count = |target: &str| outside.requests().iter().filter(|request| request.target == target).count();
    assert_eq!((count("/echo"), count("/gate")), (2, 3));
    assert_eq!([setting(&host, "between"), setting(&host, "after")], [Some(json!(1)), Some(json!(1))]);
}

#[test]
fn what_went_wrong_is_told_by_its_kind_and_times_that_would_limit_nothing_are_refused() {
    let (host, webhook) = open_with(Setup::new().set("http_body_bytes", 10_000), &[ANYWHERE]);
    let outside = Outside::start();
    let closed = {
        let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        gone.local_addr().unwrap()
    };
    let times = |connect: Value, between: Value, first: Value| json!({ "url": outside.url("/echo"), "connect_ms": connect, "between_ms": between, "timeout_ms": first });
    let results = send(
        &host,
        &webhook,
        &[
            get(format!("http://{closed}/")),
            get(outside.url("/headers/1000")),
            // As a path it could be; with its host it is too long.
            get(outside.url(&format!("/{}", "x".repeat(16_380)))),
            times(json!(1_000), Value::Null, Value::Null),
            times(Value::Null, json!(1_000), Value::Null),
            times(json!(30_000), json!(30_000), json!(30_000)),
        ],
    );
    let codes = ["ConnectionRefused", "HttpResponseHeaderSectionSize", "HttpRequestUriTooLong"];
    for (result, code) in results.iter().zip(codes) {
        assert!(error(result).contains(code), "{code}: {result}");
    }
    for result in &results[3..5] {
        assert!(error(result).contains("set that one as well"), "{result}");
    }
    assert_eq!(results[5]["status"], 200);
}

#[test]
fn an_exchange_neither_leaves_memory_nor_counts_against_the_time() {
    let (host, webhook) = open_with(Setup::new().set("unload_ms", 1).set("wall_ms", 2_000), &[ANYWHERE]);
    let outside = Outside::start();
    let id = webhook.call_async(&host, &json!({ "steps": [{ "send": [get(outside.url("/gate"))] }] }));
    outside.until_waiting(1);
    std::thread::sleep(std::time::Duration::from_millis(2_500));
    outside.open();
    let ended = host.wait_until_ended(&id);
    assert_eq!((&ended.outputs()["results"][0]["body"], &ended.record["attempt"]), (&json!("open"), &json!(1)));
    assert_eq!(outside.requests().len(), 1);
}

#[test]
fn a_response_that_nobody_waits_for_holds_up_nobody() {
    let (host, webhook) = open();
    let outside = Outside::start();
    let steps = json!([{ "drop": get(outside.url("/gate")) }, { "send": [get(outside.url("/echo"))] }]);
    let answer = webhook.call(&host, &json!({ "steps": steps })).send().ok();
    assert_eq!(answer["output_value"]["results"][0]["status"], 200);
}

#[test]
fn no_post_is_received_twice_whichever_commit_a_flow_is_cut_off_after() {
    crate::http::no_post_is_received_twice("wasi-http");
}
