//! Requests to the outside as flows send them.

use flowhost_tests::outside::{Outside, echoed};
use flowhost_tests::scene::{DAY, act, items, patient, said_by_host, setting, text, until_status, webhook};
use flowhost_tests::{Host, Setup, Webhook, after_every_commit};
use serde_json::{Value, json};

use crate::requests::{get, send};

/// A host that lets flows reach this machine: `allow` is its list.
fn host_with(allow: &str) -> Setup {
    Setup::new().flag("--set", "http_private=127.0.0.0/8,::1/128").flag("--set", &format!("http_allow={allow}"))
}

/// A host and a flow that may send anything to this machine.
fn open() -> (Host, Webhook) {
    open_with(Setup::new())
}

fn open_with(setup: Setup) -> (Host, Webhook) {
    let setup = setup.flag("--set", "http_private=127.0.0.0/8,::1/128").flag("--set", "http_allow=http://*:*");
    let host = setup.start();
    let webhook = allowing(&host, &["http://*:*"]);
    (host, webhook)
}

/// A webhook whose flow has this list.
fn allowing(host: &Host, allow: &[&str]) -> Webhook {
    let webhook = webhook(host, "http", "http");
    let flow = host.read("flow/http?by=name").ok();
    host.change(&format!("flow/{}", text(&flow, "id")), &json!({ "options": { "http_allow": allow } })).ok();
    webhook
}

fn code(result: &Value) -> &str {
    result["code"].as_str().unwrap_or_else(|| panic!("not refused: {result}"))
}

#[test]
fn a_request_is_sent_as_it_was_made_and_its_response_comes_whole() {
    let (host, webhook) = open();
    let outside = Outside::start();
    let request = json!({
        "method": "PATCH", "url": outside.url("/echo?a=b%20c#fragment"), "body": "{}",
        "headers": [["X-Custom", "one"], ["Content-Type", "application/json"]],
    });
    let result = &send(&host, &webhook, &[request])[0];
    assert_eq!(result["status"], 200, "{result}");
    assert_eq!(result["url"], outside.url("/echo?a=b%20c"));
    assert_eq!(result["headers"]["content-type"], json!(["application/json"]));
    let echo = echoed(text(result, "body"));
    assert_eq!([&echo["method"], &echo["target"], &echo["body"]], ["PATCH", "/echo?a=b%20c", "{}"]);
    let agent = format!("flowhost/{}", env!("CARGO_PKG_VERSION"));
    let expected = json!({
        "content-length": "2", "content-type": "application/json", "x-custom": "one", "user-agent": agent,
        "host": format!("127.0.0.1:{}", outside.port()),
    });
    assert_eq!(echo["headers"], expected);
    let own = json!({ "url": outside.url("/echo"), "headers": [["user-agent", "me"]] });
    let echo = echoed(text(&send(&host, &webhook, &[own])[0], "body"));
    assert_eq!(echo["headers"]["user-agent"], "me");
    assert_eq!(send(&host, &webhook, &[get(outside.url("/status/503"))])[0]["status"], 503);
}

#[test]
fn nothing_is_sent_unless_both_lists_permit_it() {
    let outside = Outside::start();
    let (line, url) = (outside.line(), outside.url("/echo"));
    let wanted = format!("GET {line}");
    for (of_host, of_flow, place) in [
        ("", vec![], Some("to `http_allow` of the host and to `options.http_allow` of the flow `http`")),
        ("", vec![line.as_str()], Some("to `http_allow` of the host")),
        (line.as_str(), vec![], Some("to `options.http_allow` of the flow `http`")),
        (line.as_str(), vec![line.as_str()], None),
    ] {
        let host = host_with(of_host).start();
        let webhook = allowing(&host, &of_flow);
        let result = &send(&host, &webhook, &[get(&url)])[0];
        let Some(place) = place else {
            assert_eq!(result["status"], 200, "{result}");
            continue;
        };
        assert_eq!(code(result), "http.not-allowed");
        let expected = format!("`{wanted}` is not allowed: add `{wanted}` {place}");
        assert_eq!(result["message"], expected);
        assert!(outside.requests().is_empty());
    }
    assert_eq!(outside.requests().len(), 1);
}

#[test]
fn the_line_that_a_refusal_names_permits_the_request() {
    let outside = Outside::start();
    let host = host_with("http://*:*").start();
    let webhook = allowing(&host, &["http://elsewhere.example"]);
    let refused = send(&host, &webhook, &[get(outside.url("/echo"))]).remove(0);
    let line = text(&refused, "message").split('`').nth(1).unwrap().to_owned();
    let webhook = allowing_again(&host, &webhook, &line);
    assert_eq!(send(&host, &webhook, &[get(outside.url("/echo"))])[0]["status"], 200);
    // Neither another method nor another port.
    let other = Outside::start();
    let post = json!({ "method": "POST", "url": outside.url("/echo") });
    let results = send(&host, &webhook, &[post, get(other.url("/echo"))]);
    assert_eq!(results.iter().map(code).collect::<Vec<_>>(), ["http.not-allowed"; 2]);
}

fn allowing_again(host: &Host, webhook: &Webhook, line: &str) -> Webhook {
    let flow = host.read("flow/http?by=name").ok();
    host.change(&format!("flow/{}", text(&flow, "id")), &json!({ "options": { "http_allow": [line] } })).ok();
    webhook.clone()
}

#[test]
fn a_list_of_a_flow_is_checked_when_it_is_saved() {
    let host = Host::shared();
    host.deploy("http");
    let flow = host.read("flow/http?by=name").ok();
    let path = format!("flow/{}", text(&flow, "id"));
    let problem = host.change(&path, &json!({ "options": { "http_allow": ["api.example.com"] } }));
    let problem = problem.problem(422, "record.invalid");
    assert!(
        text(&problem, "detail").contains("`api.example.com` is no line of an allow-list: it has no scheme"),
        "{problem}"
    );
}

#[test]
fn what_is_not_public_is_not_reached_however_it_is_written() {
    let host = Setup::new().flag("--set", "http_allow=http://*:*").start();
    let webhook = allowing(&host, &["http://*:*"]);
    let (four, six) = (Outside::start(), Outside::start_at("::1".parse().unwrap()));
    let port = four.port();
    let addresses = [
        format!("http://127.0.0.1:{port}/echo"),
        format!("http://127.1:{port}/echo"),
        format!("http://2130706433:{port}/echo"),
        format!("http://0x7f.1:{port}/echo"),
        format!("http://0177.0.0.1:{port}/echo"),
        format!("http://127.0.0.1.:{port}/echo"),
        format!("http://0:{port}/echo"),
        format!("http://[::ffff:127.0.0.1]:{port}/echo"),
        format!("http://[::127.0.0.1]:{port}/echo"),
        format!("http://localhost:{port}/echo"),
        format!("http://[::1]:{}/echo", six.port()),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "http://[fd00:ec2::254]/latest/meta-data/".to_owned(),
        "http://10.0.0.1/".to_owned(),
    ];
    let results = send(&host, &webhook, &addresses.clone().map(get));
    for (address, result) in addresses.iter().zip(&results) {
        assert_eq!(code(result), "http.address-not-allowed", "{address}");
    }
    assert_eq!((four.connections(), six.connections()), (0, 0));
}

#[test]
fn an_operator_permits_a_private_network() {
    let outside = Outside::start();
    let setup = Setup::new().flag("--set", "http_private=127.0.0.0/8").flag("--set", "http_allow=http://*:*");
    let host = setup.start();
    let webhook = allowing(&host, &["http://*:*"]);
    let by_name = format!("http://localhost:{}/echo", outside.port());
    let mapped = format!("http://[::ffff:127.0.0.1]:{}/echo", outside.port());
    let results =
        send(&host, &webhook, &[get(outside.url("/echo")), get(by_name), get(mapped), get("http://10.0.0.1/")]);
    assert_eq!([&results[0]["status"], &results[1]["status"], &results[2]["status"]], [200, 200, 200], "{results:?}");
    assert_eq!(code(&results[3]), "http.address-not-allowed");
}

#[test]
fn a_redirect_is_followed_and_checked_anew() {
    let (outside, other) = (Outside::start(), Outside::start());
    let host = host_with(&format!("{},{}", outside.line(), "http://10.0.0.1")).start();
    let webhook = allowing(&host, &["http://*:*"]);
    let to = |status: u16, url: String| outside.url(&format!("/redirect/{status}?{url}"));
    let results = send(
        &host,
        &webhook,
        &[
            get(to(302, "/echo".into())),
            get(to(301, to(308, outside.url("/echo?x")))),
            get(to(302, other.url("/echo"))),
            get(to(302, "http://10.0.0.1/".into())),
            get(to(302, "file:///etc/passwd".into())),
            json!({ "url": to(302, "/echo".into()), "redirects": 0 }),
            get(outside.url("/loop")),
            json!({ "url": outside.url("/loop"), "redirects": 1_000 }),
        ],
    );
    assert_eq!(results[0]["url"], outside.url("/echo"));
    assert_eq!(results[1]["url"], outside.url("/echo?x"));
    assert_eq!(code(&results[2]), "http.not-allowed");
    assert_eq!(code(&results[3]), "http.address-not-allowed");
    assert_eq!(code(&results[4]), "http.invalid-request");
    assert_eq!((&results[5]["status"], &results[5]["headers"]["location"]), (&json!(302), &json!(["/echo"])));
    assert_eq!(code(&results[6]), "http.too-many-redirects");
    assert_eq!(code(&results[7]), "http.too-many-redirects");
    let loops = outside.requests().iter().filter(|request| request.target == "/loop").count();
    assert_eq!(loops, 6 + 21);
    assert_eq!(other.connections(), 0);
}

#[test]
fn a_redirect_keeps_the_method_or_becomes_get_and_loses_what_is_secret_elsewhere() {
    let (host, webhook) = open();
    let (outside, other) = (Outside::start(), Outside::start());
    let post = |status: u16, to: String| {
        let headers =
            json!([["authorization", "Bearer x"], ["cookie", "y"], ["content-type", "text/plain"], ["x-a", "z"]]);
        let url = outside.url(&format!("/redirect/{status}?{to}"));
        json!({ "method": "POST", "url": url, "body": "hi", "headers": headers })
    };
    let statuses = [301, 302, 303, 307, 308];
    let results = send(&host, &webhook, &statuses.map(|status| post(status, "/echo".into())));
    for (status, result) in statuses.into_iter().zip(&results) {
        let echo = echoed(text(result, "body"));
        let (method, body) = if status < 304 { ("GET", "") } else { ("POST", "hi") };
        assert_eq!((text(&echo, "method"), text(&echo, "body")), (method, body), "{status}");
        assert_eq!(echo["headers"].get("content-type").is_some(), method == "POST", "{status}");
        assert_eq!(echo["headers"]["authorization"], "Bearer x");
    }
    let elsewhere = send(&host, &webhook, &[post(307, other.url("/echo"))]).remove(0);
    let headers = &echoed(text(&elsewhere, "body"))["headers"];
    assert_eq!((headers.get("authorization"), headers.get("cookie"), &headers["x-a"]), (None, None, &json!("z")));
}

#[test]
fn what_cannot_be_sent_is_refused_and_the_flow_goes_on() {
    let (host, webhook) = open();
    let outside = Outside::start();
    let with = |name: &str| json!({ "url": outside.url("/echo"), "headers": [[name, "x"]] });
    let requests = [
        get("no address"),
        get("ftp://a"),
        get("http://user:word@127.0.0.1/"),
        json!({ "method": "CONNECT", "url": outside.url("/echo") }),
        json!({ "method": "G T", "url": outside.url("/echo") }),
        with("Host"),
        with("Transfer-Encoding"),
        with("a b"),
        with("content-length"),
        get(outside.url("/echo")),
    ];
    let results = send(&host, &webhook, &requests);
    for (request, result) in requests.iter().zip(&results[..9]) {
        assert_eq!(code(result), "http.invalid-request", "{request}");
    }
    assert_eq!(results[9]["status"], 200);
    assert_eq!(outside.requests().len(), 1);
}

#[test]
fn what_goes_wrong_on_the_way_has_a_code() {
    let (host, webhook) = open();
    let outside = Outside::start();
    let results = send(
        &host,
        &webhook,
        &[
            // Where nobody listens.
            get("http://127.0.0.1:1/"),
            get(outside.url("/cut")),
            get("http://there-is-no-such-name.invalid/"),
            json!({ "url": outside.url("/gate"), "timeout_ms": 50 }),
            get(outside.url("/headers/1000")),
        ],
    );
    let codes: Vec<&str> = results.iter().map(code).collect();
    let expected = ["connection-failed", "connection-failed", "name-not-found", "timeout", "too-large"];
    assert_eq!(codes, expected.map(|code| format!("http.{code}")));
}

#[test]
fn bodies_have_a_limit_in_both_directions() {
    let (host, webhook) = open_with(Setup::new().set("http_body_bytes", 10_000));
    let outside = Outside::start();
    let sized = |size: usize| json!({ "method": "POST", "url": outside.url("/status/200"), "size": size });
    let requests = [get(outside.url("/bytes/10000")), get(outside.url("/bytes/10001")), sized(10_000), sized(10_001)];
    let results = send(&host, &webhook, &requests);
    assert_eq!(results[0]["body"]["size"], 10_000);
    assert_eq!(code(&results[1]), "http.too-large");
    assert_eq!(results[2]["status"], 200);
    assert_eq!(code(&results[3]), "http.too-large");
    assert_eq!(outside.requests().len(), 3);
}

#[test]
fn the_time_of_an_exchange_is_the_hosts_at_most() {
    let (host, webhook) = open_with(Setup::new().set("http_time_ms", 50));
    let outside = Outside::start();
    let long = json!({ "url": outside.url("/gate"), "timeout_ms": DAY });
    assert_eq!(code(&send(&host, &webhook, &[long])[0]), "http.timeout");
}

#[test]
fn the_time_that_a_flow_gives_an_exchange_includes_the_wait_for_its_turn() {
    let (host, webhook) = open_with(Setup::new().set("http_parallel", 1));
    let outside = Outside::start();
    let within = |ms: u32| json!({ "url": outside.url("/gate"), "timeout_ms": ms });
    let answer = webhook.call(&host, &json!({ "steps": [{ "send": [within(1_000), within(50)] }] })).send().ok();
    let results = items(&answer["output_value"]["results"]);
    assert_eq!(results.iter().map(code).collect::<Vec<_>>(), ["http.timeout"; 2]);
    assert_eq!(text(&results[0], "message"), "there was no whole response within 1000 ms");
    assert!(text(&results[1], "message").ends_with("(`http_parallel`)"), "{results:?}");
    assert_eq!(outside.requests().len(), 1);
}

#[test]
fn all_executions_together_have_as_many_exchanges_as_the_host_may() {
    let (host, webhook) = open_with(Setup::new().set("http_host_parallel", 1));
    let outside = Outside::start();
    let id = webhook.call_async(&host, &json!({ "steps": [{ "send": [get(outside.url("/gate"))] }] }));
    outside.until_waiting(1);
    let late = json!({ "url": outside.url("/gate"), "timeout_ms": 50 });
    let result = send(&host, &webhook, &[late]).remove(0);
    assert_eq!(code(&result), "http.timeout");
    assert!(text(&result, "message").ends_with("(`http_host_parallel`)"), "{result}");
    let next = webhook.call_async(&host, &json!({ "steps": [{ "send": [get(outside.url("/gate"))] }] }));
    outside.open();
    for id in [id, next] {
        assert_eq!(host.wait_until_ended(&id).outputs()["results"][0]["body"], "open");
    }
    assert_eq!((outside.most_waiting(), outside.requests().len()), (1, 2));
}

#[test]
fn a_connection_that_does_not_come_about_is_given_up() {
    let (host, webhook) = open_with(Setup::new().set("http_connect_ms", 50));
    let (address, _waiting, _listener) = Outside::unanswering();
    let request = json!({ "url": format!("http://{address}/"), "timeout_ms": 5_000 });
    let result = send(&host, &webhook, &[request]).remove(0);
    assert_eq!(code(&result), "http.timeout");
    assert_eq!(text(&result, "message"), "`127.0.0.1` could not be reached in time");
}

#[test]
fn the_exchanges_of_an_execution_have_a_time_together() {
    let (host, webhook) = open_with(Setup::new().set("http_total_ms", 100));
    let outside = Outside::start();
    let results = send(&host, &webhook, &[get(outside.url("/gate")), get(outside.url("/echo"))]);
    for result in &results {
        assert_eq!(code(result), "http.timeout");
        assert!(text(result, "message").contains("`http_total_ms`"), "{result}");
    }
    assert_eq!(outside.requests().len(), 1);
    // Another execution has its own.
    assert_eq!(send(&host, &webhook, &[get(outside.url("/echo"))])[0]["status"], 200);
}

#[test]
fn a_response_that_the_journal_has_no_room_for_is_refused_and_the_flow_goes_on() {
    let (host, webhook) = open_with(Setup::new().set("journal_bytes", 100_000));
    let outside = Outside::start();
    // In the journal it takes a third more, so that there is room for the bytes of the smaller one and not for its entry.
    let (large, smaller) = (get(outside.url("/bytes/30000")), get(outside.url("/bytes/15000")));
    let steps = json!([
        { "send": [large] },
        { "send": [large] },
        { "send": [smaller] },
        { "send": [get(outside.url("/gate"))] },
        { "send": [large] },
        { "send": [get(outside.url("/echo"))] },
    ]);
    let id = webhook.call_async(&host, &json!({ "steps": steps }));
    outside.until_waiting(1);
    // What it was told before takes the same room when it runs again.
    let host = host.crash();
    outside.until_waiting(2);
    outside.open();
    let ended = host.wait_until_ended(&id);
    assert_eq!(ended.status(), "ENDED_SUCCESS", "{}", ended.record);
    let results = items(&ended.outputs()["results"]).clone();
    for fits in [0, 1, 3, 5] {
        assert_eq!(results[fits]["status"], 200, "{results:?}");
    }
    for refused in [2, 4] {
        assert_eq!(code(&results[refused]), "http.too-large");
        assert!(text(&results[refused], "message").contains("`journal_bytes`"), "{results:?}");
    }
}

#[test]
fn an_execution_sends_no_more_requests_than_it_may() {
    let (host, webhook) = open_with(patient().set("http_requests", 3));
    let outside = Outside::start();
    let steps = json!([{ "send": [get(outside.url("/status/200"))], "times": 6 }]);
    let answer = webhook.call(&host, &json!({ "steps": steps })).send().ok();
    let results = items(&answer["output_value"]["results"]).clone();
    assert!(results[..3].iter().all(|result| result["status"] == 200), "{results:?}");
    assert_eq!(results[3..].iter().map(code).collect::<Vec<_>>(), ["http.too-many"; 3]);
    assert_eq!(outside.requests().len(), 3);
    // A million of them end where the journal is full, and the log of the host stays short.
    let steps = json!([{ "send": [get(outside.url("/status/200"))], "times": 1_000_000 }]);
    webhook.call(&host, &json!({ "steps": steps })).send().problem(500, "flow.journal-limit");
    assert_eq!(outside.requests().len(), 6);
}

#[test]
fn requests_that_are_sent_together_run_at_the_same_time_and_keep_their_order() {
    let (host, webhook) = open_with(Setup::new().set("http_parallel", 3));
    let outside = Outside::start();
    let mut requests: Vec<Value> = (0..5).map(|_| get(outside.url("/gate"))).collect();
    requests.insert(2, get("no address"));
    let id = webhook.call_async(&host, &json!({ "steps": [{ "send": requests }] }));
    outside.until_waiting(3);
    outside.open();
    let results = host.wait_until_ended(&id).outputs()["results"].clone();
    let told: Vec<&str> =
        items(&results).iter().map(|one| one["code"].as_str().unwrap_or_else(|| text(one, "body"))).collect();
    assert_eq!(told, ["open", "open", "http.invalid-request", "open", "open", "open"]);
    assert_eq!(outside.most_waiting(), 3);
}

#[test]
fn connections_are_used_again() {
    let (host, webhook) = open();
    let outside = Outside::start();
    let steps = json!([{ "send": [get(outside.url("/echo"))], "times": 20 }]);
    for _ in 0..3 {
        webhook.call(&host, &json!({ "steps": steps })).send().ok();
    }
    // Also those of redirects, and across executions.
    send(&host, &webhook, &[get(outside.url("/redirect/302?/echo"))]);
    // A connection is given back beside the answer, so that a request that follows at once may find none.
    assert_eq!(outside.requests().len(), 62);
    assert!(outside.connections() < 10, "{} connections", outside.connections());
}

#[test]
fn a_secure_connection_is_made_to_whom_a_trusted_certificate_names() {
    let (outside, certificate) = Outside::start_secure();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, certificate).unwrap();
    let policy = || Setup::new().flag("--set", "http_private=127.0.0.0/8").flag("--set", "http_allow=https://*:*");
    let trusting = policy().flag("--set", &format!("http_ca_file={}", file.display())).start();
    let url = |host: &str| format!("https://{host}:{}/echo", outside.port());
    let results =
        send(&trusting, &allowing(&trusting, &["https://*:*"]), &[get(url("localhost")), get(url("127.0.0.1"))]);
    assert_eq!(results[0]["status"], 200, "{results:?}");
    // The certificate does not name the address.
    assert_eq!(code(&results[1]), "http.tls-failed");
    let doubting = policy().start();
    let results = send(&doubting, &allowing(&doubting, &["https://*:*"]), &[get(url("localhost"))]);
    assert_eq!(code(&results[0]), "http.tls-failed");
    assert_eq!(outside.requests().len(), 1);
}

#[test]
fn each_request_has_a_line_in_the_log_without_what_may_be_secret() {
    let (host, webhook) = open();
    let outside = Outside::start();
    let steps = json!([{ "send": [get(outside.url("/status/204?key=secret"))] }, { "send": [get("http://10.0.0.1/x?key=secret")] }]);
    let id = webhook.call_async(&host, &json!({ "steps": steps }));
    host.wait_until_ended(&id);
    let lines = said_by_host(&host, &id);
    assert!(lines[0].starts_with(&format!("GET {}: 204 in ", outside.url("/status/204"))), "{lines:?}");
    assert!(lines[0].ends_with(" ms (attempt 1)"), "{lines:?}");
    assert!(lines[1].starts_with("GET http://10.0.0.1/x: http.address-not-allowed ("), "{lines:?}");
    assert!(lines.iter().all(|line| !line.contains("secret")), "{lines:?}");
    // And so has each redirect, also where what it leads to has no response.
    let away = |to: &str| outside.url(&format!("/redirect/302?{to}?key=secret"));
    let late = json!({ "url": away("/gate"), "timeout_ms": 50 });
    let id = webhook.call_async(&host, &json!({ "steps": [{ "send": [get(away("/echo"))] }, { "send": [late] }] }));
    host.wait_until_ended(&id);
    let lines = said_by_host(&host, &id);
    for (line, (path, said)) in lines.iter().zip([
        ("/redirect/302", "302 in "),
        ("/echo", "200 in "),
        ("/redirect/302", "302 in "),
        ("/gate", "http.timeout ("),
    ]) {
        assert!(line.starts_with(&format!("GET {}: {said}", outside.url(path))), "{line}");
        assert!(!line.contains("secret"), "{line}");
    }
    assert_eq!(lines.len(), 4, "{lines:?}");
}

#[test]
fn what_was_told_is_told_again_after_a_crash_and_nobody_is_asked() {
    let (host, webhook) = open_with(Setup::new().set("unload_ms", 1));
    let outside = Outside::start();
    let post = json!({ "method": "POST", "url": outside.url("/echo"), "body": "once" });
    let steps = json!([
        { "send": [get(outside.url("/echo")), post, get("no address")] },
        { "sleep_ms": 1 },
        { "send": [get(outside.url("/gate"))] },
    ]);
    let id = webhook.call_async(&host, &json!({ "steps": steps }));
    outside.until_waiting(1);
    let host = host.crash();
    outside.until_waiting(2);
    outside.open();
    let ended = host.wait_until_ended(&id);
    let results = items(&ended.outputs()["results"]).clone();
    let told: Vec<&Value> =
        results.iter().map(|one| if one["status"].is_null() { &one["code"] } else { &one["status"] }).collect();
    assert_eq!(told, [&json!(200), &json!(200), &json!("http.invalid-request"), &json!(200)]);
    let targets: Vec<String> = outside.requests().iter().map(|request| request.target.clone()).collect();
    // The last was cut off in the middle: a GET is sent again.
    assert_eq!(targets.iter().filter(|target| *target == "/echo").count(), 2);
    assert_eq!(targets.iter().filter(|target| *target == "/gate").count(), 2);
}

#[test]
fn a_request_that_is_not_safe_to_repeat_is_not_sent_again_when_it_was_cut_off() {
    let (host, webhook) = open();
    let outside = Outside::start();
    let post = |more: Value| {
        let mut request = json!({ "method": "POST", "url": outside.url("/gate"), "body": "once" });
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        webhook.call_async(&host, &json!({ "steps": [{ "send": [request] }, { "save": "went-on" }] }))
    };
    let unsafe_id = post(json!({}));
    let keyed = post(json!({ "headers": [["Idempotency-Key", "7"]] }));
    let wished = post(json!({ "repeat": true }));
    outside.until_waiting(3);
    let host = host.crash();
    let ended = host.wait_until_ended(&unsafe_id);
    let result = &ended.outputs()["results"][0];
    assert_eq!(code(result), "http.outcome-unknown");
    assert!(text(result, "message").contains("nobody knows whether it was received"), "{result}");
    assert_eq!(setting(&host, "went-on"), Some(json!(1)));
    outside.until_requests(5);
    outside.open();
    for id in [keyed, wished] {
        assert_eq!(host.wait_until_ended(&id).outputs()["results"][0]["body"], "open");
    }
    assert_eq!(outside.requests().len(), 5);
}

#[test]
fn an_exchange_neither_leaves_memory_nor_counts_against_the_time() {
    let (host, webhook) = open_with(Setup::new().set("unload_ms", 1).set("wall_ms", 2_000).set("executions", 1));
    let outside = Outside::start();
    let id = webhook.call_async(&host, &json!({ "steps": [{ "send": [get(outside.url("/gate"))] }] }));
    outside.until_waiting(1);
    // Somebody else who wants its slot does not get it.
    let other = webhook.call_async(&host, &json!({ "steps": [] }));
    until_status(&host, &other, "SCHEDULED");
    std::thread::sleep(std::time::Duration::from_millis(2_500));
    outside.open();
    let ended = host.wait_until_ended(&id);
    assert_eq!(ended.outputs()["results"][0]["body"], "open");
    assert_eq!(ended.record["attempt"], 1);
    assert_eq!(outside.requests().len(), 1);
    host.wait_until_ended(&other);
}

#[test]
fn a_stop_ends_an_exchange() {
    let (host, webhook) = open();
    let outside = Outside::start();
    let begin = |method: &str| {
        let request = json!({ "method": method, "url": outside.url("/gate") });
        webhook.call_async(&host, &json!({ "steps": [{ "send": [request] }] }))
    };
    let (cancelled, paused) = (begin("GET"), begin("POST"));
    outside.until_waiting(2);
    host.cancel(&cancelled).ok();
    host.wait_until(&cancelled, "is cancelled", |execution| execution["status"] == "ENDED_CANCELLED");
    act(&host, &paused, "pause").ok();
    until_status(&host, &paused, "PAUSED");
    act(&host, &paused, "resume").ok();
    assert_eq!(code(&host.wait_until_ended(&paused).outputs()["results"][0]), "http.outcome-unknown");
    assert_eq!(outside.requests().len(), 2);
}

/// Cuts a flow off right after each commit that it makes, in turn. It changes something, reads, and posts twice.
pub(crate) fn no_post_is_received_twice(guest: &str) {
    let setup = Setup::new().flag("--set", "http_private=127.0.0.0/8").flag("--set", "http_allow=http://*:*");
    let host = setup.start();
    let webhook = webhook(&host, guest, guest);
    let flow = host.read(&format!("flow/{guest}?by=name")).ok();
    host.change(&format!("flow/{}", text(&flow, "id")), &json!({ "options": { "http_allow": ["http://*:*"] } })).ok();
    let outside = Outside::start();
    let received = |what: &str| outside.requests().iter().filter(|request| request.target == what).count();
    let targets = |commits: u64| ["first", "second"].map(|name| format!("/echo?{name}-{commits}"));
    let call = |host: &Host, commits| {
        let [first, second] = targets(commits);
        let post = |target: &str| json!({ "method": "POST", "url": outside.url(target), "body": "once" });
        let steps = json!([
            { "save": "begun" },
            { "send": [get(outside.url("/echo"))] },
            { "send": [post(&first)] },
            { "save": "between" },
            { "send": [post(&second)] },
        ]);
        webhook.call(host, &json!({ "steps": steps })).try_send()
    };
    // The first change, each post and its response, and the change in between.
    after_every_commit(host, &webhook, 4, call, |_, commits, ended| {
        let results = items(&ended.outputs()["results"]);
        assert_eq!((results.len(), &results[0]["status"]), (3, &json!(200)));
        for (result, target) in results[1..].iter().zip(targets(commits)) {
            if result["status"] == 200 {
                assert_eq!(received(&target), 1, "{target}: {result}");
            } else {
                assert!(result.to_string().contains("http.outcome-unknown"), "{target}: {result}");
                assert!(received(&target) <= 1, "{target}");
            }
        }
    });
}

#[test]
fn no_post_is_received_twice_whichever_commit_a_flow_is_cut_off_after() {
    no_post_is_received_twice("http");
}
