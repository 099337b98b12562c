//! The key of a webhook: where it may stand, and that no one sees it afterwards.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;

use data_encoding::BASE64;
use flowhost_tests::{Answer, Host, Request, Setup, Webhook};
use serde_json::{Value, json};

/// The key of the webhooks here.
const KEY: &str = "secret-0123456789";

/// Far more than anything takes here.
const PATIENCE: Duration = Duration::from_secs(60);

const FORM: &str = "application/x-www-form-urlencoded";
const MULTIPART: &str = "multipart/form-data; boundary=x";

fn multipart(key: &str) -> String {
    format!(
        "--x\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\n{key}\r\n\
         --x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--x--\r\n"
    )
}

/// A call for every place where a key may stand, each with its name.
fn carriers<'a>(host: &'a Host, path: &str, key: &str) -> Vec<(&'static str, Request<'a>)> {
    vec![
        ("query", host.post(&format!("{path}?a=1&key={key}&b=2"), r#"{"a":1}"#)),
        ("encoded query", host.get(&format!("{path}?k%65y=%{:02X}{}", key.as_bytes()[0], &key[1..]))),
        ("json", host.post(path, format!(r#"{{"a":1,"key":"{key}","b":2}}"#)).header("Content-Type", FORM)),
        ("escaped json", host.post(path, format!(r#"{{"k\u0065y" : "\u00{:02x}{}"}}"#, key.as_bytes()[0], &key[1..]))),
        ("form", host.post(path, format!("a=1&key={key}&b=2")).header("Content-Type", FORM)),
        ("multipart", host.post(path, multipart(key)).header("Content-Type", MULTIPART)),
        (
            "multipart with blanks",
            host.post(path, multipart(key).replace("name=\"key\"", "name =\t\"key\""))
                .header("Content-Type", MULTIPART),
        ),
        ("header", host.post(path, r#"{"a":1}"#).header("X-API-Key", key)),
        (
            "everywhere",
            host.post(&format!("{path}?key={key}"), format!(r#"{{"key":"{key}"}}"#)).header("x-api-key", key),
        ),
    ]
}

fn assert_without(key: &str, what: &str, bytes: &[u8]) {
    for secret in [key.to_owned(), BASE64.encode(key.as_bytes()), format!("{}%", &key[1..]), key[1..].to_owned()] {
        let is_seen = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!is_seen, "`{secret}` is in {what}");
    }
}

fn assert_folder_without(key: &str, folder: &Path) {
    let mut files = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            assert_folder_without(key, &path);
        } else {
            assert_without(key, &path.display().to_string(), &fs::read(&path).unwrap());
            files += 1;
        }
    }
    assert!(files > 0, "{} has no file to look at", folder.display());
}

#[test]
fn the_key_opens_wherever_it_stands_and_is_seen_nowhere() {
    let key = "seCret-0f-this-Test";
    let host = Setup::new().variable("FLOWHOST_LOG", "trace").start();
    let record = host.webhook_with("keyed", "echo", &json!({ "key": key }));
    host.set("client.webhook.keyed", format!("flow_name: echo\nuser_name: admin\nkey: {key}")).ok();
    for path in [record.path(), "/api/latest/webhook/default/keyed"] {
        for (carrier, request) in carriers(&host, path, key) {
            let answer = request.send();
            answer.ok();
            assert_without(key, &format!("the answer to the key by {carrier}"), &answer.body);
            let id = answer.header("flowhost-execution-id").unwrap().to_owned();
            let echoed = &answer.json()["output_value"];
            for base64 in [&echoed["request"]["body"]["base64"]].into_iter().chain(header_values(echoed)) {
                let bytes = BASE64.decode(base64.as_str().unwrap().as_bytes()).unwrap();
                assert_without(key, &format!("the request with the key by {carrier}"), &bytes);
            }
            assert_without(key, "the record", &host.read(&format!("execution/{id}")).body);
            assert_without(key, "the log", &host.read(&format!("execution/{id}/log")).body);
        }
    }
    // Async executions are stored with their request before they run.
    for (carrier, request) in carriers(&host, record.path(), key) {
        let answer = request.header("Prefer", "respond-async").send();
        assert_eq!(answer.status, 202, "{carrier}");
        host.wait_until_ended(answer.json()["id"].as_str().unwrap());
    }
    for records in ["webhook", "setting", "flow", "execution"] {
        assert_without(key, records, &host.read(records).body);
    }
    assert_folder_without(key, host.data());
    host.terminate();
    assert!(host.wait().success());
    assert_without(key, "the host's log", host.log().as_bytes());
    assert_folder_without(key, host.data());
}

fn header_values(echoed: &Value) -> impl Iterator<Item = &Value> {
    echoed["request"]["headers"].as_array().unwrap().iter().map(|header| &header[1]["base64"])
}

#[test]
fn what_is_left_of_the_carrier_is_as_it_was() {
    let host = Host::shared();
    let webhook = host.webhook_with("key-left", "echo", &json!({ "key": KEY }));
    let outputs = |request: Request<'_>| request.send().ok()["output_value"].clone();

    let seen = outputs(host.post(&format!("{}?b=%41&key={KEY}&a", webhook.path()), ""));
    assert_eq!(seen["request"]["query"], "b=%41&a");
    assert_eq!(seen["input"]["query"], json!({ "b": "A", "a": "" }));
    assert_eq!(seen["request"]["body_is_exact"], true);

    let seen = outputs(host.post(webhook.path(), format!(r#"{{ "b" : 1, "key": "{KEY}", "a":[ 2] }}"#)));
    assert_eq!(seen["request"]["body"]["text"], r#"{ "b" : 1, "key": "", "a":[ 2] }"#);
    assert_eq!(seen["request"]["body_is_exact"], false);
    assert_eq!(seen["input"]["json"], json!({ "b": 1, "a": [2] }));

    let form = host.post(webhook.path(), format!("b=%41&key={KEY}&a=+")).header("Content-Type", FORM);
    let seen = outputs(form);
    assert_eq!(seen["request"]["body"]["text"], "b=%41&key=&a=+");
    assert_eq!(seen["request"]["body_is_exact"], false);
    assert_eq!(seen["input"]["json"], json!({ "b": "A", "a": " " }));

    let seen = outputs(host.post(webhook.path(), multipart(KEY)).header("Content-Type", MULTIPART));
    assert_eq!(seen["request"]["body"]["text"], multipart(""));
    assert_eq!(seen["request"]["body_is_exact"], false);
    assert_eq!(seen["input"]["json"], json!({ "a": "1" }));

    let request = host.post(webhook.path(), "\"exact\"").header("X-B", "1").header("X-Api-Key", KEY).header("X-A", "2");
    let seen = outputs(request);
    let names: Vec<&str> =
        seen["request"]["headers"].as_array().unwrap().iter().map(|header| header[0].as_str().unwrap()).collect();
    assert_eq!(names, ["host", "x-b", "x-a", "content-length", "connection"]);
    assert_eq!(seen["request"]["body"]["text"], "\"exact\"");
    assert_eq!(seen["request"]["body_is_exact"], true);
}

#[test]
fn a_missing_or_wrong_key_is_refused_and_starts_nothing() {
    let host = Host::shared();
    let webhook = host.webhook_with("key-wrong", "echo", &json!({ "key": KEY }));
    let refused = |answer: Answer| {
        let problem = answer.problem(401, "webhook.unauthorized");
        assert_eq!(problem["fault"], "caller");
        assert_eq!(answer.header("www-authenticate"), Some("ApiKey realm=\"flowhost webhook\""));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("flowhost-execution-id"), None);
        problem
    };
    let missing = refused(host.post(webhook.path(), r#"{"a":1}"#).send());
    for (number, wrong) in
        [&KEY[1..], &format!("{KEY}s"), &KEY.to_uppercase(), &format!("_{KEY}")].into_iter().enumerate()
    {
        for place in 0..carriers(host, "", wrong).len() {
            // Each has a webhook of its own, since too many wrong keys are refused.
            let name = format!("key-wrong-{number}-{place}");
            let webhook = host.webhook_with(&name, "echo", &json!({ "key": KEY }));
            let (_, request) = carriers(host, webhook.path(), wrong).swap_remove(place);
            let problem = refused(request.send());
            assert!(problem["detail"].as_str().unwrap().starts_with("the key is wrong"), "{problem}");
            assert_eq!((&problem["code"], &problem["title"]), (&missing["code"], &missing["title"]));
            assert_eq!(host.executions_of(&name).len(), 0);
        }
    }
    refused(host.post(&format!("{}?async", webhook.path()), "").send());
    // Not a text, or not at the top.
    for body in [json!({ "key": [KEY] }), json!({ "a": { "key": KEY } }), json!(["key", KEY]), json!(KEY)] {
        refused(host.post(webhook.path(), body.to_string()).send());
    }
    assert_eq!(host.executions_of("key-wrong").len(), 0);
}

#[test]
fn whether_the_body_is_malformed_is_told_to_those_with_the_key_alone() {
    let host = Host::shared();
    let webhook = host.webhook_with("key-malformed", "echo", &json!({ "key": KEY }));
    host.post(webhook.path(), "{").send().problem(401, "webhook.unauthorized");
    host.post(webhook.path(), "{").header("X-Api-Key", KEY).send().problem(400, "request.malformed-json");
}

#[test]
fn one_right_key_is_enough() {
    let host = Host::shared();
    let webhook = host.webhook_with("key-any", "echo", &json!({ "key": KEY }));
    let request =
        host.post(&format!("{}?key={KEY}", webhook.path()), r#"{"key":"other"}"#).header("X-Api-Key", "third");
    let seen = request.send().ok()["output_value"].clone();
    assert_eq!(seen["input"]["json"], json!({ "key": "other" }));
    assert_eq!(seen["input"]["headers"]["x-api-key"], "third");
    assert_eq!(seen["request"]["body"]["text"], r#"{"key":"other"}"#);
}

#[test]
fn a_webhook_without_a_key_leaves_a_field_of_that_name_alone() {
    let host = Host::shared();
    let webhook = host.webhook("key-none", "echo");
    let request = host.post(&format!("{}?key=a", webhook.path()), r#"{"key":"b"}"#).header("X-Api-Key", "c");
    let seen = request.send().ok()["output_value"].clone();
    assert_eq!(seen["input"]["query"]["key"], "a");
    assert_eq!(seen["input"]["json"]["key"], "b");
    assert_eq!(seen["input"]["headers"]["x-api-key"], "c");
    assert_eq!(seen["request"]["body_is_exact"], true);
}

#[test]
fn a_key_can_be_set_changed_and_taken_away() {
    let host = Host::shared();
    let webhook = host.webhook("key-changed", "echo");
    let status = |key: &str| host.post(webhook.path(), "").header("X-Api-Key", key).send().status;
    let change = |key: Value| host.change(&webhook.record_path(), &json!({ "key": key })).ok();
    let (first, second) = ("first-0123456789", "second-0123456789");
    assert_eq!(change(json!(first))["is_key_required"], true);
    assert_eq!([status(first), status(second)], [200, 401]);
    change(json!(second));
    assert_eq!([status(first), status(second)], [401, 200]);
    assert_eq!(change(Value::Null)["is_key_required"], false);
    assert_eq!(status(first), 200);
}

#[test]
fn carrier_with_several_keys_is_malformed() {
    let host = Host::shared();
    let webhook = host.webhook_with("key-repeated", "echo", &json!({ "key": KEY }));
    let path = webhook.path();
    let part = multipart(KEY);
    let two_parts =
        format!("{}{part}", &part[..part.find("--x\r\nContent-Disposition: form-data; name=\"a\"").unwrap()]);
    for request in [
        host.post(&format!("{path}?key=a&key={KEY}"), ""),
        host.post(&format!("{path}?key={KEY}&k%65y={KEY}"), ""),
        host.post(path, "").header("X-Api-Key", "a").header("x-api-key", KEY),
        host.post(path, format!(r#"{{"key":"a","key":"{KEY}"}}"#)),
        host.post(path, format!("key=a&key={KEY}")).header("Content-Type", FORM),
        host.post(path, two_parts).header("Content-Type", MULTIPART),
    ] {
        let problem = request.send().problem(400, "request.malformed");
        assert!(problem["detail"].as_str().unwrap().contains("more than once"), "{problem}");
    }
    assert_eq!(host.executions_of("key-repeated").len(), 0);
}

/// The test is the trusted proxy, which appends the caller's address to what the caller wrote.
#[test]
fn wrong_keys_refuse_their_address_and_no_other() {
    let host = Setup::new().flag("--set", "trusted_proxies=127.0.0.1").start();
    let webhook = host.webhook_with("guessed", "echo", &json!({ "key": KEY }));
    let other = host.webhook_with("not-guessed", "echo", &json!({ "key": KEY }));
    let call = |webhook: &Webhook, from: &str, key: &str| {
        let forged = format!("203.0.113.7, {from}");
        host.post(webhook.path(), "").header("X-Forwarded-For", forged).header("X-Api-Key", key).send()
    };
    let mut wrong = 0;
    let refused = loop {
        match call(&webhook, "198.51.100.1", &format!("guess number {wrong}")) {
            answer if answer.status == 429 => break answer,
            answer => drop(answer.problem(401, "webhook.unauthorized")),
        }
        wrong += 1;
        assert!(wrong <= 20, "guesses are never refused");
    };
    refused.problem(429, "webhook.locked-out");
    let seconds: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds), "{seconds}");
    call(&webhook, "203.0.113.7", KEY).ok();
    call(&webhook, "198.51.100.3", KEY).ok();
    call(&other, "198.51.100.1", KEY).ok();
}

/// A caller whose body waits for room, or never comes, would learn by the wait alone whether the key is right.
#[test]
fn wrong_key_counts_before_its_body_is_read() {
    /// So many that the address is refused for a minute.
    const GUESSES: usize = 20;
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("access.log");
    let setup = Setup::new().set("request_bytes", 4 << 20).set("admission_wait_ms", 24 * 3_600_000);
    let host = setup.flag("--set", &format!("access_log={}", log.display())).start();
    let webhook = host.webhook_with("left", "echo", &json!({ "key": KEY }));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(host.address()).await.unwrap();
        let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(async move {
            let _ended = connection.await;
        });
        // The first has no key, and takes the room that the others wait for.
        let mut begun = Vec::new();
        for number in 0..=GUESSES {
            let request = http::Request::post(format!("http://{}{}", host.address(), webhook.path()));
            let request = request.header("content-length", "400000");
            let request = if number == 0 { request } else { request.header("x-api-key", format!("wrong-{number}")) };
            client = client.ready().await.unwrap();
            begun.push(client.send_request(request.body(()).unwrap(), false).unwrap());
        }
        // Of the others, those behind the last free guess are refused at once.
        let refused = async {
            while answered(&log).is_empty() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, refused).await.expect("guesses count");
        assert!(answered(&log).iter().all(|line| line["status"] == 429), "none of the others has an answer");
        let right = tokio::task::spawn_blocking({
            let (address, path) = (host.address(), webhook.path().to_owned());
            move || {
                let mut caller = std::net::TcpStream::connect(address).unwrap();
                let head = format!("GET {path} HTTP/1.1\r\nHost: a\r\nX-Api-Key: {KEY}\r\nConnection: close\r\n\r\n");
                caller.write_all(head.as_bytes()).unwrap();
                let mut answer = String::new();
                caller.read_to_string(&mut answer).unwrap();
                answer
            }
        });
        let right = right.await.unwrap();
        assert!(right.starts_with("HTTP/1.1 429 ") && right.contains("webhook.locked-out"), "{right}");
        drop(begun);
    });
}

#[test]
fn key_that_an_address_garbles_is_refused_with_a_hint() {
    let host = Host::shared();
    let webhook = host.webhook_with("garbled", "echo", &json!({ "key": "abc+def/0123456789==" }));
    let refused = |query: &str| {
        let problem = host.get(&format!("{}?{query}", webhook.path())).send().problem(401, "webhook.unauthorized");
        problem["detail"].as_str().unwrap().to_owned()
    };
    host.get(&format!("{}?key=abc%2Bdef/0123456789==", webhook.path())).send().ok();
    assert!(refused("key=abc+def/0123456789==").contains("write `+` as `%2B`"));
    assert!(refused("key=abc%2Bdef/0123456789==?event=push").contains("a second `?`"));
    assert!(refused("key=wrong").starts_with("the key is wrong; "));
    assert!(refused("a=1").starts_with("the webhook wants its key: "));
}

#[test]
fn each_wrong_key_of_a_request_is_a_guess() {
    let host = Host::start();
    let webhook = host.webhook_with("twice", "echo", &json!({ "key": KEY }));
    let guess =
        || host.get(&format!("{}?key=not-the-key-of-it", webhook.path())).header("X-Api-Key", "neither-is-this");
    for _ in 0..4 {
        guess().send().problem(401, "webhook.unauthorized");
    }
    let both = host.post(&format!("{}?key=not-the-key-of-it", webhook.path()), r#"{"key":"nor-is-this-one"}"#);
    both.send().problem(401, "webhook.unauthorized");
    host.get(&format!("{}?key={KEY}", webhook.path())).send().problem(429, "webhook.locked-out");
}

/// The whole lines of an access log about the webhook `left`.
fn answered(log: &Path) -> Vec<Value> {
    let text = fs::read_to_string(log).unwrap();
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["webhook"] == "left").collect()
}

#[test]
fn a_key_has_at_least_16_and_at_most_128_characters() {
    let host = Host::shared();
    let webhook = host.webhook("key-length", "echo");
    for (key, status) in [
        (String::new(), 422),
        ("é".repeat(15), 422),
        ("é".repeat(16), 200),
        ("é".repeat(128), 200),
        ("é".repeat(129), 422),
    ] {
        assert_eq!(host.change(&webhook.record_path(), &json!({ "key": key })).status, status);
    }
    let request = host.post(&format!("{}?key={}", webhook.path(), "%C3%A9".repeat(128)), "");
    assert_eq!(request.send().status, 200);
    let forced = json!({ "key": "k", "options": { "allow_short_key": true } });
    assert_eq!(host.change(&webhook.record_path(), &forced).status, 200);
}
