//! One caller who takes all that it gets leaves as much for others, and little memory is taken without a key.

use std::net::{IpAddr, Ipv4Addr};
use std::thread;
use std::time::Duration;

use flowhost_tests::{Answer, Connection, Host, Setup};
use serde_json::json;

use crate::footprint::Footprint;

const ALIVE: &str = "GET /api/latest/alive HTTP/1.1\r\nHost: flowhost\r\n\r\n";

/// An address of this machine that is not the one of other callers.
const OTHER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

/// By how much the host may grow while one connection leaves all of its bodies unfinished, in KiB.
const GROWTH_KIB: u64 = 96 << 10;

/// The header of bodies that are no JSON.
const TEXT: &str = "Content-Type: text/plain";

fn post(connection: &mut Connection, path: &str, body: &str) -> Answer {
    connection.write(announced(path, body.len()));
    connection.write(body);
    connection.answer("POST")
}

fn announced(path: &str, bytes: usize) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: flowhost\r\n{TEXT}\r\nContent-Length: {bytes}\r\n\r\n")
}

/// The head of a request whose client waits to be asked for the body.
fn awaited(path: &str, bytes: usize) -> String {
    announced(path, bytes).replace("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n")
}

#[test]
fn connections_of_one_address_leave_places_for_others() {
    let host = Setup::new().set("max_connections", 20).start();
    // From here on they count, and are not on their way.
    let mut greedy: Vec<Connection> = (0..10).map(|_| host.connect()).collect();
    for connection in &mut greedy {
        connection.write(ALIVE);
        assert_eq!(connection.answer("GET").status, 200);
    }
    let refused = host.get("/api/latest/alive").send();
    refused.problem(503, "host.busy");
    assert_eq!(refused.header("retry-after"), Some("1"));
    for _ in 0..3 {
        let mut other = host.connect_from(OTHER);
        other.write(ALIVE);
        assert_eq!(other.answer("GET").status, 200);
    }
    greedy[0].write(ALIVE);
    assert_eq!(greedy[0].answer("GET").status, 200);
}

#[test]
fn announced_bodies_of_one_address_leave_room_for_others() {
    let host = Setup::new().set("request_bytes", 4 << 20).set("admission_wait_ms", 50).start();
    let webhook = host.webhook("greed", "canary");
    // Three quarters of the room are for webhooks without a key, half of which one address gets.
    let mut waiting: Vec<Connection> = (0..3).map(|_| host.connect()).collect();
    for connection in &mut waiting {
        connection.write(awaited(webhook.path(), 500_000));
        // The body is asked for when there is room for it.
        connection.interim();
    }
    let refused = host.post(webhook.path(), "x".repeat(500_000)).header("Content-Type", "text/plain").send();
    refused.problem(503, "host.busy");
    assert_eq!(refused.header("retry-after"), Some("1"));
    let large = "x".repeat(700_000);
    post(&mut host.connect_from(OTHER), webhook.path(), &large).ok();
    // What was begun is finished.
    for connection in &mut waiting {
        connection.write("x".repeat(500_000));
        connection.answer("POST").ok();
    }
    host.post(webhook.path(), "x".repeat(500_000)).header("Content-Type", "text/plain").send().ok();
}

#[test]
fn bodies_that_may_hold_the_key_have_a_room_of_their_own() {
    let host = Setup::new().set("request_bytes", 4 << 20).set("admission_wait_ms", 50).start();
    let webhook = host.webhook_with("greed-key", "canary", &json!({ "key": "my-secret-api-key" }));
    let mut waiting = host.connect();
    waiting.write(awaited(webhook.path(), 400_000));
    waiting.interim();
    host.post(webhook.path(), "x".repeat(400_000))
        .header("Content-Type", "text/plain")
        .send()
        .problem(503, "host.busy");
    let body = "x".repeat(900_000);
    host.post(webhook.path(), &body)
        .header("Content-Type", "text/plain")
        .header("X-Api-Key", "my-secret-api-key")
        .send()
        .ok();
    let refused =
        host.post(webhook.path(), &body).header("Content-Type", "text/plain").send().problem(413, "request.too-large");
    assert!(refused["detail"].as_str().unwrap().contains("X-Api-Key"), "{refused}");
}

#[test]
fn refused_call_is_answered_before_its_body_is_sent() {
    let host = Host::shared();
    let login = host.webhook_with("greed-login", "canary", &json!({ "require_login": true }));
    let mut connection = host.connect();
    connection.write(announced(login.path(), 900_000));
    connection.answer("POST").problem(401, "webhook.unauthorized");

    let full = host.webhook_with("greed-full", "sleeper", &json!({ "options": { "max_executions": 1 } }));
    let id = full.call_async(host, &json!({ "ms": 3_600_000 }));
    let mut connection = host.connect();
    connection.write(announced(full.path(), 900_000));
    connection.answer("POST").problem(429, "webhook.busy");
    host.cancel(&id).ok();
}

#[test]
fn unfinished_bodies_of_one_http_2_connection_take_little_memory() {
    let host = Setup::new().set("admission_wait_ms", 200).start();
    let webhook = host.webhook("greed-2", "canary");
    post(&mut host.connect(), webhook.path(), "1").ok();
    let before = Footprint::of(&host);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let statuses = runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(host.address()).await.unwrap();
        let (client, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(async move {
            let _ended = connection.await;
        });
        let mut client = client.ready().await.unwrap();
        let (mut answers, mut unfinished) = (Vec::new(), Vec::new());
        for _ in 0..64 {
            let url = format!("http://{}{}", host.address(), webhook.path());
            let request = http::Request::post(url).header("content-length", "900000").body(()).unwrap();
            let (answer, mut body) = client.send_request(request, false).unwrap();
            body.send_data(vec![b'x'; 899_999].into(), false).unwrap();
            answers.push(answer);
            unfinished.push(body);
            client = client.ready().await.unwrap();
        }
        // As many as have no room are told so.
        let mut statuses = Vec::new();
        while statuses.len() < 30 {
            let answer = answers.pop().unwrap();
            if let Ok(answer) = tokio::time::timeout(Duration::from_secs(5), answer).await {
                statuses.push(answer.unwrap().status().as_u16());
            }
        }
        statuses
    });
    assert!(statuses.iter().all(|status| *status == 503), "{statuses:?}");
    let grown = Footprint::of(&host).peak_kib.saturating_sub(before.peak_kib);
    assert!(grown < GROWTH_KIB, "by {} MiB", grown >> 10);
}

#[test]
fn connection_that_rests_is_served_again_and_gives_its_buffers_back() {
    const CONNECTIONS: u64 = 400;
    let host = Host::start();
    let webhook = host.webhook("rest", "canary");
    let mut connections: Vec<Connection> = (0..CONNECTIONS).map(|_| host.connect()).collect();
    for connection in &mut connections {
        post(connection, webhook.path(), "1").ok();
    }
    // Longer than a connection keeps its buffers. Whether it has rested or not, it is served.
    thread::sleep(Duration::from_millis(500));
    for connection in &mut connections {
        post(connection, webhook.path(), "2").ok();
        connection.write(ALIVE.repeat(2));
        assert_eq!([connection.answer("GET").status, connection.answer("GET").status], [200, 200]);
    }
}
