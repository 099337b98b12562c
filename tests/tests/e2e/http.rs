//! Requests as HTTP does not want them: too large, too slow, broken off, malformed; and HTTP/2.

use std::fs;

use flowhost_tests::{Host, Setup, until};
use serde_json::{Value, json};

#[test]
fn a_body_up_to_the_limit_is_taken() {
    let host = Host::shared();
    let webhook = host.webhook("http-body", "canary");
    let limit = 1 << 20;
    host.post(webhook.path(), "x".repeat(limit)).header("Content-Type", "text/plain").send().ok();
    let answer = host.post(webhook.path(), "x".repeat(limit + 1)).send();
    let problem = answer.problem(413, "request.too-large");
    assert!(problem["detail"].as_str().unwrap().contains("1048576 bytes"), "{problem}");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}

#[test]
fn a_body_that_says_that_it_is_too_large_is_refused_before_it_is_sent() {
    let host = Host::shared();
    let webhook = host.webhook("http-announced", "canary");
    let mut connection = host.connect();
    connection.write(format!("POST {} HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n", webhook.path()));
    connection.answer("POST").problem(413, "request.too-large");
}

#[test]
fn a_client_that_sends_all_of_a_far_too_large_body_gets_the_answer() {
    let host = Host::shared();
    let webhook = host.webhook("http-all", "canary");
    for _ in 0..20 {
        host.post(webhook.path(), "x".repeat(3 << 20)).send().problem(413, "request.too-large");
    }
}

#[test]
fn early_answer_leaves_the_connection_for_the_next_call() {
    let host = Host::shared();
    let webhook = host.webhook_with("http-early", "canary", &json!({ "key": "secret-0123456789" }));
    let body = "x".repeat(3 << 20);
    let early = [
        ("POST", "/nothing/is/here".to_owned(), 404),
        ("POST", "/api/latest/webhook/http-nothing/call".to_owned(), 404),
        ("TRACE", webhook.path().to_owned(), 405),
        ("OPTIONS", webhook.path().to_owned(), 204),
        ("POST", webhook.path().to_owned(), 413),
        ("POST", "/api/latest/setting".to_owned(), 401),
        ("PUT", "/api/latest/setting".to_owned(), 405),
        ("POST", "/api/latest/auth/login".to_owned(), 413),
    ];
    for (method, path, status) in early {
        let length = body.len();
        let framed = [
            format!("Content-Length: {length}\r\n\r\n{body}"),
            format!("Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n{body}\r\n0\r\n\r\n"),
        ];
        for framed in framed {
            let mut connection = host.connect();
            connection.write(format!("{method} {path} HTTP/1.1\r\nHost: x\r\n{framed}"));
            assert_eq!(connection.answer(method).status, status, "{method} {path}");
            connection.write("GET /api/latest/alive HTTP/1.1\r\nHost: x\r\n\r\n");
            connection.answer("GET").ok();
        }
    }
}

#[test]
fn client_that_sends_more_than_is_read_is_told_that_the_connection_ends() {
    let host = Host::shared();
    let webhook = host.webhook("http-enormous", "canary");
    let length = 40 << 20;
    let mut connection = host.connect();
    connection.write(format!("POST {} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n", webhook.path()));
    connection.write(vec![b'x'; length]);
    let answer = connection.answer("POST");
    answer.problem(413, "request.too-large");
    assert_eq!(answer.header("connection"), Some("close"));
    assert_eq!(connection.closed(), b"");
}

#[test]
fn client_that_waits_to_be_asked_for_its_body_is_not_asked_for_what_is_not_read() {
    let host = Host::shared();
    let mut connection = host.connect();
    connection.write("POST /nothing HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n");
    connection.until_arrived("HTTP/1.1 404");
    let answer = connection.answer("POST");
    assert_eq!(answer.header("connection"), Some("close"));
    assert_eq!(connection.closed(), b"");
}

#[test]
fn head_that_two_servers_could_read_differently_is_refused() {
    let host = Host::shared();
    let webhook = host.webhook("http-heads", "canary");
    let path = webhook.path();
    let call = |head: &str| host.send_raw(format!("POST {path} HTTP/1.1\r\n{head}\r\n"));
    call("").problem(400, "request.malformed");
    call("Host: a\r\nHost: b\r\n").problem(400, "request.malformed");
    call("Host: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n").problem(501, "request.malformed");
    call("Host: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n").ok();
}

#[test]
fn a_chunked_body_over_the_limit_is_refused() {
    let host = Host::shared();
    let webhook = host.webhook("http-chunked", "canary");
    let mut connection = host.connect();
    connection.write(format!("POST {} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", webhook.path()));
    for _ in 0..17 {
        connection.write(format!("10000\r\n{}\r\n", "x".repeat(0x10000)));
    }
    connection.answer("POST").problem(413, "request.too-large");
}

#[test]
fn form_that_would_take_long_to_read_is_refused() {
    let host = Host::shared();
    let webhook = host.webhook("http-form", "canary");
    let call =
        |content_type: &str, body: &[u8]| host.post(webhook.path(), body).header("Content-Type", content_type).send();
    let boundary = "b".repeat(20_000);
    let part = format!("--{boundary}\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n");
    let multipart = format!("multipart/form-data; boundary={boundary}");
    call(&multipart, part.repeat(20).as_bytes()).problem(400, "request.malformed");
    call("application/x-www-form-urlencoded", &b"a&".repeat(500_000)).problem(400, "request.malformed");
    let query = format!("{}?{}", webhook.path(), "a&".repeat(15_000));
    host.post(&query, "").send().problem(400, "request.malformed");
    // What is large and is none of these is read as it was.
    call("application/json", format!("[{}0]", "0,".repeat(400_000)).as_bytes()).ok();
    call("application/x-www-form-urlencoded", format!("a={}", "%41".repeat(300_000)).as_bytes()).ok();
}

#[test]
fn a_webhook_may_take_larger_bodies_up_to_the_cap() {
    let host = Host::shared();
    let webhook = host.webhook_with("http-larger", "canary", &json!({ "options": { "max_body_bytes": 16 << 20 } }));
    let cap = 16 << 20;
    host.post(webhook.path(), vec![0; cap]).header("Content-Type", "application/octet-stream").send().ok();
    host.post(webhook.path(), vec![0; cap + 1]).send().problem(413, "request.too-large");
    let smaller = host.webhook_with("http-smaller", "canary", &json!({ "options": { "max_body_bytes": 4 } }));
    host.post(smaller.path(), "1234").send().ok();
    host.post(smaller.path(), "12345").send().problem(413, "request.too-large");
}

#[test]
fn the_hosts_body_limit_can_be_set() {
    let host = Setup::new().config("body_bytes = 10\n").start();
    let webhook = host.webhook("http-set", "canary");
    host.post(webhook.path(), "1234567890").send().ok();
    host.post(webhook.path(), "12345678901").send().problem(413, "request.too-large");
}

#[test]
fn header_fields_that_are_too_large_are_refused() {
    let host = Host::shared();
    let webhook = host.webhook("http-headers", "canary");
    host.post(webhook.path(), "").header("X-Large", "x".repeat(30 << 10)).send().ok();
    let answer = host.post(webhook.path(), "").header("X-Large", "x".repeat(33 << 10)).send();
    answer.problem(431, "request.too-large");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let many = |count: usize| {
        (0..count).fold(host.post(webhook.path(), ""), |request, n| request.header(&format!("x-{n}"), ""))
    };
    many(90).send().ok();
    // Beyond what is read at all there is no document, and the connection ends.
    for request in [many(1_000), host.post(webhook.path(), "").header("X-Large", "x".repeat(1 << 20))] {
        let answer = request.send();
        assert_eq!(answer.status, 431);
    }
    assert_eq!(host.post(&format!("{}?{}", webhook.path(), "x".repeat(1 << 20)), "").send().status / 100, 4);
    webhook.call(host, &json!({})).send().ok();
}

#[test]
fn a_body_that_breaks_off_is_refused_and_starts_nothing() {
    let host = Host::shared();
    let webhook = host.webhook("http-half", "canary");
    for rest in ["Content-Length: 100\r\n\r\n{\"a\"", "Transfer-Encoding: chunked\r\n\r\n4\r\n{\"a\"\r\n3"] {
        let mut connection = host.connect();
        connection.write(format!("POST {} HTTP/1.1\r\nHost: x\r\n{rest}", webhook.path()));
        connection.finish();
        if let Some(answer) = connection.try_answer("POST") {
            answer.problem(400, "request.malformed");
        }
    }
    // Chunks that are none.
    let mut connection = host.connect();
    connection
        .write(format!("POST {} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", webhook.path()));
    connection.answer("POST").problem(400, "request.malformed");
    assert_eq!(host.executions_of("http-half").len(), 0);
}

#[test]
fn a_client_that_goes_away_does_not_end_its_execution() {
    let host = Host::shared();
    let webhook = host.webhook("http-gone", "sleeper");
    let connection = webhook.call(host, &json!({ "ms": 2_000 })).start();
    let id =
        until("the execution is listed", || Some(host.executions_of("http-gone").first()?["id"].as_str()?.to_owned()));
    drop(connection);
    let ended = host.wait_until_ended(&id);
    assert_eq!(ended.status(), "ENDED_SUCCESS");
    assert_eq!(host.executions_of("http-gone")[0]["id"], id.as_str());
}

#[test]
fn a_client_that_sends_and_leaves_at_once_is_served() {
    let host = Host::shared();
    let webhook = host.webhook("http-left", "canary");
    for _ in 0..50 {
        drop(webhook.call(host, &json!({})).start());
    }
    until("all calls are recorded", || (host.executions_of("http-left").len() == 50).then_some(()));
    // One who has said all and still listens gets the answer.
    let mut connection = webhook.call(host, &json!({})).start();
    connection.finish();
    connection.answer("POST").ok();
}

#[test]
fn malformed_requests_are_refused_and_the_host_goes_on() {
    let host = Host::shared();
    let webhook = host.webhook("http-malformed", "echo");
    let path = webhook.path();
    let post = format!("POST {path} HTTP/1.1\r\nHost: x\r\n");
    for malformed in [
        "nonsense\r\n\r\n".to_owned(),
        "\0\0\0\0\r\n\r\n".to_owned(),
        format!("POST {path}\r\n\r\n"),
        format!("POST {path} HTTP/7.0\r\n\r\n"),
        format!("PO ST {path} HTTP/1.1\r\n\r\n"),
        format!("POST {path} and more HTTP/1.1\r\nHost: x\r\n\r\n"),
        format!("{post}Bad Name: x\r\n\r\n"),
        format!("{post}no colon\r\n\r\n"),
        format!("{post}: no name\r\n\r\n"),
        format!("{post}X-Bad: a\0b\r\n\r\n"),
        format!("{post}Content-Length: -1\r\n\r\n"),
        format!("{post}Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
        format!("{post}Content-Length: two\r\n\r\nab"),
        format!("{post}Transfer-Encoding: gzip\r\n\r\nab"),
    ] {
        let answer = host.send_raw(&malformed);
        assert_eq!(answer.status, 400, "{malformed:?}");
    }
    let answer = host.send_raw(format!("POST {path}/\u{fc} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
    assert!(matches!(answer.status, 200 | 400), "{}", answer.status);
    host.post(path, "").send().ok();
}

#[test]
fn a_path_or_query_that_is_no_text_is_no_fault() {
    let host = Host::shared();
    let webhook = host.webhook("http-odd", "echo");
    for address in ["/api/latest/webhook/%ff/call", "/api/latest/webhook/default/%c3%28", "/api/latest/webhook/%/%zz/"]
    {
        let answer = host.post(address, "").send();
        assert_eq!(answer.status, 404, "{address}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    }
    host.post("/api/latest/webhook/%zz/call", "").send().problem(404, "webhook.not-found");
    let execution = host.post(&format!("{}/%ff/%zz?a=%ff&%=%zz&=", webhook.path()), "").send().ok();
    assert_eq!(execution["input_value"]["path"], "/%ff/%zz");
    assert_eq!(execution["input_value"]["query"], json!({ "a": "\u{fffd}", "%": "%zz", "": "" }));
    assert_eq!(execution["output_value"]["request"]["query"], "a=%ff&%=%zz&=");
    assert_eq!(host.send_raw("GET * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").status / 100, 4);
    let absolute =
        format!("POST http://elsewhere.example{} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", webhook.path());
    host.send_raw(absolute).ok();
}

#[test]
fn a_connection_serves_request_after_request() {
    let host = Host::shared();
    let webhook = host.webhook("http-kept", "canary");
    let mut connection = host.connect();
    let request = format!("POST {} HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n7", webhook.path());
    // Sent at once, answered in order.
    connection.write(request.repeat(3));
    for _ in 0..3 {
        let outputs = connection.answer("POST").ok()["output_value"].clone();
        assert_eq!(outputs, json!({ "calls": 1, "found": Value::Null }));
    }
}

#[test]
fn a_client_that_is_slow_with_its_head_is_left() {
    let host = Setup::new().set("header_timeout_ms", 50).set("drain_timeout_ms", 100).start();
    let mut connection = host.connect();
    connection.write("POST /api/latest/webhook/a/call HTTP/1.1\r\nHost");
    let said = connection.closed();
    assert!(said.is_empty() || said.starts_with(b"HTTP/1.1 408"), "{}", String::from_utf8_lossy(&said));
}

#[test]
fn a_client_that_says_nothing_is_left() {
    let host = Setup::new().set("idle_timeout_ms", 2_000).set("drain_timeout_ms", 100).start();
    let [silent, mut served, mut begun] = [(); 3].map(|()| host.connect());
    // Between two requests likewise.
    served.write("GET /api/latest/alive HTTP/1.1\r\nHost: x\r\n\r\n");
    served.answer("GET").ok();
    // One byte is not enough to stay.
    begun.write("P");
    for connection in [silent, served, begun] {
        assert_eq!(connection.closed(), b"");
    }
}

#[test]
fn a_client_that_is_slow_with_its_body_is_told_and_left() {
    let host = Host::start();
    let webhook = host.webhook("slow", "canary");
    host.kill();
    let host = Setup::new().data_of(&host).set("body_timeout_ms", 50).start();
    let mut connection = host.connect();
    connection.write(format!("POST {} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n123", webhook.path()));
    let answer = connection.answer("POST");
    assert_eq!(answer.problem(408, "request.timeout")["retryable"], true);
    assert_eq!(connection.closed(), b"");
    assert_eq!(host.executions_of("slow").len(), 0);
}

#[test]
fn a_connection_too_many_is_turned_away() {
    let host = Setup::new().set("max_connections", 2).start();
    let mut first = host.connect();
    let alive = "GET /api/latest/alive HTTP/1.1\r\nHost: x\r\n\r\n";
    first.write(alive);
    first.answer("GET").ok();
    let answer = host.get("/api/latest/alive").send();
    let problem = answer.problem(503, "host.busy");
    assert_eq!(problem["retryable"], true);
    assert_eq!(answer.header("retry-after"), Some("1"));
    first.write(alive);
    first.answer("GET").ok();
    drop(first);
    until("there is room again", || (host.get("/api/latest/alive").send().status == 200).then_some(()));
}

#[test]
fn http_2_is_spoken_to_those_who_know_it() {
    let host = Host::shared();
    let webhook = host.webhook_with("http-2", "echo", &json!({ "key": "secret-0123456789" }));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let call = |target: String, key: &'static str, body: &'static str| {
        let address = host.address();
        async move {
            let stream = tokio::net::TcpStream::connect(address).await.unwrap();
            let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
            tokio::spawn(async move {
                let _ended = connection.await;
            });
            let request = http::Request::post(format!("http://{address}{target}"));
            let request = request.header("x-api-key", key).header("cookie", "a=1").header("cookie", "b=2");
            let (answer, mut sending) = client.send_request(request.body(()).unwrap(), false).unwrap();
            sending.send_data(body.into(), true).unwrap();
            let (head, mut receiving) = answer.await.unwrap().into_parts();
            let mut body = Vec::new();
            while let Some(data) = receiving.data().await {
                let data = data.unwrap();
                receiving.flow_control().release_capacity(data.len()).unwrap();
                body.extend_from_slice(&data);
            }
            let json: Value = serde_json::from_slice(&body).unwrap();
            (head.status.as_u16(), head.headers, json)
        }
    };
    let (status, headers, execution) =
        runtime.block_on(call(format!("{}/sub?a=1", webhook.path()), "secret-0123456789", r#"{"b":2}"#));
    assert_eq!(status, 200);
    assert_eq!(headers["flowhost-execution-id"], execution["id"].as_str().unwrap());
    let input = &execution["input_value"];
    assert_eq!(
        [&input["method"], &input["path"], &input["json"]],
        [&json!("POST"), &json!("/sub"), &json!({ "b": 2 })]
    );
    assert_eq!(input["headers"]["cookie"], "a=1; b=2");
    assert_eq!(input["headers"]["x-api-key"], Value::Null);
    // HTTP/2 has no `Host`; a flow finds the name it was called by all the same.
    assert_eq!(input["headers"]["host"], host.address().to_string());

    let (status, headers, problem) = runtime.block_on(call(webhook.path().to_owned(), "wrong", ""));
    assert_eq!((status, &problem["code"]), (401, &json!("webhook.unauthorized")));
    assert_eq!(headers["cache-control"], "no-store");
}

#[test]
fn piece_of_an_answer_that_looks_like_an_error_arrives_as_it_is() {
    let host = Host::shared();
    let mut file = vec![b'x'; 1 << 20];
    file.extend_from_slice(b"HTTP/1.1 404 tail of a file\n");
    let path = "/api/latest/file/like-an-error/content?by=name";
    let upload = host.request("PUT", path).body(&file).header("Content-Type", "text/plain");
    assert!(upload.as_operator().send().status < 300);
    let mut connection = host.get(path).as_operator().start();
    let answer = connection.answer("GET");
    assert!(answer.status == 200 && answer.body == file, "{} bytes", answer.body.len());
    assert_eq!(connection.closed(), b"", "nothing follows");
}

#[test]
fn call_without_a_body_takes_room_for_its_head() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("access.log");
    let setup = Setup::new().set("request_bytes", 1 << 20).set("admission_wait_ms", 24 * 3_600_000);
    let host = setup.flag("--set", &format!("access_log={}", log.display())).start();
    let webhook = host.webhook_with("http-head", "spin", &json!({ "options": { "max_executions": 1000 } }));
    let flow = host.read("flow/spin?by=name").ok();
    host.change(&format!("flow/{}", flow["id"].as_str().unwrap()), &json!({ "options": { "max_executions": 1 } })).ok();
    let running = webhook.call_async(&host, &json!({}));
    host.wait_until(&running, "runs", |execution| execution["status"] == "RUNNING");
    // An address has 384 KiB here: twelve of these.
    let _waiting: Vec<_> =
        (0..20).map(|_| host.get(webhook.path()).header("X-A", "x".repeat(30_000)).start()).collect();
    until("there is no room for more", || fs::read_to_string(&log).unwrap().contains("\"status\":503").then_some(()));
}
