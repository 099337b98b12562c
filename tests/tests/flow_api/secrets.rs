//! Secrets: kept encrypted, used by flows, masked wherever a flow's text is kept or shown.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use data_encoding::{BASE64, HEXLOWER};
use flowhost_tests::outside::Outside;
use flowhost_tests::scene::{DAY, items, text, unloading, until_status, webhook, webhook_with};
use flowhost_tests::{Ended, Host, Ran, Setup, workspace_file};
use serde_json::{Value, json};

/// What a host is given as its key.
const KEY: &str = "FLOWHOST_SECRET_KEY";

/// A value that looks otherwise in JSON, in an address and in base64.
const VALUE: &str = "s3cr3t \"quoted\" ü/?& tail";

fn key(of: u8) -> String {
    BASE64.encode(&[of; 32])
}

fn with_key(of: u8) -> Setup {
    Setup::new().variable(KEY, &key(of))
}

/// A secret that flows may read.
fn readable(host: &Host, name: &str, value: &str) -> Value {
    host.create("secret", &json!({ "name": name, "value": value, "is_readable": true })).ok()
}

/// A secret that flows may only send.
fn sendable(host: &Host, name: &str, value: &str) -> Value {
    host.create("secret", &json!({ "name": name, "value": value, "hosts": ["*.example.com"] })).ok()
}

fn remove(host: &Host, what: &str) {
    assert_eq!(host.delete(what).status, 204);
}

/// What the guest was told, in the outputs of its execution.
fn told(host: &Host, webhook: &flowhost_tests::Webhook, plan: &Value) -> Vec<Value> {
    items(&webhook.call(host, plan).send().ok()["output_value"]["told"]).clone()
}

fn codes(told: &[Value]) -> Vec<&str> {
    told.iter().map(|one| one["code"].as_str().unwrap_or("")).collect()
}

/// The forms of the value that must not be found.
fn forms(value: &str) -> Vec<String> {
    let quoted = Value::from(value).to_string();
    // The whole groups of three bytes behind `user:`, which has five.
    let behind = BASE64.encode(value.get(1..).unwrap().as_bytes());
    vec![value.to_owned(), quoted[1..quoted.len() - 1].to_owned(), behind[..behind.len() - 4].to_owned()]
}

#[track_caller]
fn assert_masked(shown: &str, value: &str) {
    for form in forms(value) {
        assert!(!shown.contains(&form), "`{form}` stands in {shown}");
    }
    assert!(shown.contains("***"), "nothing is masked in {shown}");
}

/// Every file of a data folder.
fn files(folder: &Path) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![fs::read(path).unwrap()] }).collect()
}

fn holds(folder: &Path, text: &str) -> bool {
    let text = text.as_bytes();
    files(folder).iter().any(|file| file.windows(text.len()).any(|window| window == text))
}

#[test]
fn wherever_a_flow_says_a_secret_it_is_masked() {
    let host = with_key(1).start();
    let other = "0123456789";
    readable(&host, "loud", VALUE);
    readable(&host, "digits", other);
    let webhook = webhook(&host, "loud", "secrets");
    let say = json!(["log", "print", "output"]);
    let ended = webhook.call(&host, &json!({ "read": ["loud", "digits"], "say": say })).send();
    let execution = ended.ok();
    assert_eq!(execution["output_value"]["told"], json!([{ "length": VALUE.len() }, { "length": 10 }]));
    assert_masked(ended.text(), VALUE);
    assert_masked(ended.text(), other);
    let id = text(&execution, "id").to_owned();
    let log = host.read(&format!("execution/{id}/log"));
    assert_masked(log.text(), VALUE);
    assert_masked(log.text(), other);
    // Nothing was lost beside the values.
    let sources: Vec<Value> = items(&log.ok()).iter().map(|line| line["source"].clone()).collect();
    for source in ["flow", "stdout", "stderr"] {
        assert!(sources.contains(&json!(source)), "{sources:?}");
    }
    assert!(log.text().contains("half a line of ***"), "{}", log.text());
    assert_eq!(execution["output_value"]["set"][0], "***");

    for (end, code) in [("error", "flow.error"), ("panic", "flow.panic")] {
        let answer = webhook.call(&host, &json!({ "read": ["loud", "digits"], "end": end })).send();
        let problem = answer.problem(500, code);
        for form in [forms(VALUE), forms(other)].into_iter().flatten() {
            assert!(!answer.text().contains(&form), "{form}");
        }
        // What a panic says is in the record alone.
        assert_eq!(answer.text().contains("***"), end == "error", "{}", answer.text());
        let record = host.read(&format!("execution/{}", text(&problem["execution"], "id")));
        assert_masked(record.text(), VALUE);
    }
    // Also in what the host writes into a file.
    host.terminate();
    host.wait();
    for form in forms(VALUE) {
        assert!(!holds(host.data(), &form), "{form}");
    }
    assert!(holds(host.data(), "half a line of ***"));
    assert!(!host.log().contains(VALUE));
}

#[test]
fn a_secret_that_a_flow_was_given_by_others_is_masked_and_so_is_one_made_while_it_runs() {
    let host = with_key(1).set("unload_ms", DAY).start();
    let webhook = webhook(&host, "told", "secrets");
    let plan = json!({ "words": [VALUE], "change": "told", "say": ["output", "log"] });
    let id = webhook.call_async(&host, &plan);
    until_status(&host, &id, "WAITING");
    // Its progress was told before there was a secret.
    assert_eq!(host.read(&format!("execution/{id}")).ok()["status_message"], VALUE);
    readable(&host, "late", VALUE);
    assert_eq!(host.read(&format!("execution/{id}")).ok()["status_message"], "***");
    host.set("go", "true").ok();
    let Ended { record } = host.wait_until_ended(&id);
    assert_masked(&record["output_value"].to_string(), VALUE);
    assert_masked(host.read(&format!("execution/{id}/log")).text(), VALUE);
}

#[test]
fn what_a_flow_may_not_have_is_refused_with_the_reason() {
    let host = with_key(1).start();
    let sent = sendable(&host, "sent", VALUE);
    host.create("secret", &json!({ "name": "empty", "is_readable": true })).ok();
    let developer = webhook(&host, "developer", "secrets");
    let plan = json!({ "place": ["sent", "none", "empty"], "read": ["sent", "none", "empty"] });
    let answers = told(&host, &developer, &plan);
    let expected = [
        "",
        "secrets.not-found",
        "secrets.unavailable",
        "secrets.not-readable",
        "secrets.not-found",
        "secrets.unavailable",
    ];
    assert_eq!(codes(&answers), expected);
    assert!(text(&answers[3], "message").contains("is_readable"), "{answers:?}");
    assert!(text(&answers[2], "message").contains("flowhost secret set"), "{answers:?}");
    // Without the permission there is no such secret.
    let poor = webhook_with(&host, "poor", "secrets", json!({ "roles": [] }));
    assert_eq!(codes(&told(&host, &poor, &plan)), ["secrets.not-found"; 6]);
    // Nor is there one of another project.
    let project = host.create("project", &json!({ "name": "harbour" })).ok();
    let permission = json!({ "project_id": project["id"], "record_type": "SECRET", "operation": "READ" });
    host.create("role", &json!({ "name": "harbour", "permissions": [permission] })).ok();
    let narrow = webhook_with(&host, "narrow", "secrets", json!({ "roles": [{ "role_name": "harbour" }] }));
    assert_eq!(codes(&told(&host, &narrow, &json!({ "place": ["sent"] }))), ["secrets.not-found"]);
    let moved = json!({ "project_id": project["id"] });
    host.change(&format!("secret/{}", text(&sent, "id")), &moved).ok();
    assert_eq!(codes(&told(&host, &narrow, &json!({ "place": ["sent"] }))), [""]);
    // What is in the trash cannot be used.
    remove(&host, "secret/sent?by=name");
    assert_eq!(codes(&told(&host, &developer, &json!({ "place": ["sent"] }))), ["secrets.not-found"]);
}

#[test]
fn a_flow_that_runs_again_after_a_crash_is_told_the_same_and_its_journal_holds_no_value() {
    let host = with_key(1).start();
    let secret = readable(&host, "twice", VALUE);
    let webhook = webhook(&host, "twice", "secrets");
    let plan = json!({ "place": ["twice"], "read": ["twice"], "change": "twice" });
    let id = webhook.call_async(&host, &plan);
    until_status(&host, &id, "WAITING");
    let asked = host.read(&format!("execution/{id}")).ok()["output_value"]["asked"].clone();
    host.kill();
    assert!(holds(host.data(), "secrets.get"));
    for form in forms(VALUE) {
        assert!(!holds(host.data(), &form), "{form}");
    }
    let host = host.restart();
    // Whoever runs again is told what it was told: the value of then.
    host.change(&format!("secret/{}", text(&secret, "id")), &json!({ "value": "another value" })).ok();
    host.set("go", "true").ok();
    let Ended { record } = host.wait_until_ended(&id);
    assert_eq!(record["status"], "ENDED_SUCCESS", "{record}");
    assert_eq!(record["output_value"]["asked"], asked);
    assert_eq!(record["attempt"], 2);
    let placeholder = text(&asked[0], "placeholder");
    assert!(placeholder.starts_with("flowhost-secret-"), "{placeholder}");
    // Another execution has another placeholder, and the value of now.
    let others = told(&host, &webhook, &json!({ "place": ["twice"], "read": ["twice"] }));
    assert_ne!(others[0], asked[0]);
    assert_eq!(others[1], json!({ "length": "another value".len() }));
}

#[test]
fn a_flow_that_runs_again_without_the_key_of_what_it_was_told_is_ended() {
    let host = with_key(1).start();
    readable(&host, "lost", VALUE);
    let webhook = webhook(&host, "lost", "secrets");
    let id = webhook.call_async(&host, &json!({ "read": ["lost"], "change": "lost" }));
    until_status(&host, &id, "WAITING");
    host.kill();
    let host = with_key(2).data_of(&host).start();
    let ended = host.wait_until_ended(&id);
    assert_eq!(ended.failure(), Some("execution.journal-damaged"), "{}", ended.record);
}

#[test]
fn a_value_is_written_and_never_read_back() {
    let host = with_key(1).start();
    let secret = sendable(&host, "kept", VALUE);
    for (member, expected) in [("is_set", json!(true)), ("is_available", json!(true)), ("is_readable", json!(false))] {
        assert_eq!(secret[member], expected, "{member}");
    }
    assert!(secret.get("value").is_none() && secret.get("sealed").is_none(), "{secret}");
    assert_eq!(text(&secret, "key_id").len(), 16);
    let path = format!("secret/{}", text(&secret, "id"));
    let change = |members: Value| host.change(&path, &members);
    // What is not named stays.
    let changed = change(json!({ "is_readable": true })).ok();
    assert_eq!([&changed["is_set"], &changed["hosts"]], [&json!(true), &json!(["*.example.com"])]);
    for (refused, place) in [
        (json!({ "value": "1234567" }), "`value`: has 7 bytes, at least 8"),
        (json!({ "value": "x".repeat((64 << 10) + 1) }), "`value`: has 65537 bytes, at most 65536"),
        (json!({ "value": 12_345_678 }), "`value`: must be a text"),
        (
            json!({ "hosts": ["api.example.com", "https://x.example.com"] }),
            "`hosts[1]`: `https://x.example.com` is no host",
        ),
        (json!({ "hosts": "api.example.com" }), "`hosts`: must be an array"),
        (json!({ "key_id": "0011223344556677" }), "`key_id`: is set by the host"),
        (json!({ "sealed": "AAAA" }), "no such property"),
    ] {
        let problem = change(refused).problem(422, "record.invalid");
        assert!(text(&problem, "detail").contains(place), "{problem}");
    }
    change(json!({ "value": "x".repeat(64 << 10) })).ok();
    let taken = change(json!({ "value": null })).ok();
    assert_eq!([&taken["is_set"], &taken["key_id"]], [&json!(false), &Value::Null]);
    for what in ["secret".to_owned(), path.clone(), format!("{path}/history"), format!("{path}?fields=name,hosts")] {
        let answer = host.read(&what);
        answer.ok();
        assert!(!answer.text().contains("s3cr3t") && !answer.text().contains("sealed"), "{}", answer.text());
    }
}

#[test]
fn without_a_key_the_host_starts_and_says_what_to_do_when_a_secret_is_saved() {
    let host = Host::shared();
    let problem =
        host.create("secret", &json!({ "name": "keyless", "value": VALUE })).problem(409, "secrets.unavailable");
    assert!(text(&problem, "detail").contains("secret_key_file"), "{problem}");
    host.create("secret", &json!({ "name": "keyless" })).ok();
    let reseal = host.cli(&["secret", "reseal", "--json"]).problem(6);
    assert_eq!(reseal["code"], "secrets.unavailable");
}

#[test]
fn with_a_wrong_key_the_host_starts_warns_and_refuses_what_it_cannot_open() {
    let host = with_key(1).start();
    readable(&host, "foreign", VALUE);
    let webhook = webhook(&host, "foreign", "secrets");
    host.terminate();
    host.wait();
    let plan = json!({ "place": ["foreign"], "read": ["foreign"] });
    for setup in [with_key(2), Setup::new()] {
        let other = setup.data_of(&host).start();
        assert!(other.log().contains("secrets cannot be opened"), "{}", other.log());
        assert!(other.log().contains("count=1"), "{}", other.log());
        let secret = other.read("secret/foreign?by=name").ok();
        assert_eq!([&secret["is_set"], &secret["is_available"]], [&json!(true), &json!(false)]);
        assert_eq!(codes(&told(&other, &webhook, &plan)), ["secrets.unavailable"; 2]);
        other.terminate();
        other.wait();
    }
    let again = host.restart();
    assert_eq!(codes(&told(&again, &webhook, &plan)), ["", ""]);
}

#[test]
fn keys_are_rotated_by_sealing_anew() {
    let host = with_key(1).start();
    let first = readable(&host, "kept", VALUE);
    let trashed = readable(&host, "trashed", "value in the trash");
    remove(&host, &format!("secret/{}", text(&trashed, "id")));
    let webhook = webhook(&host, "kept", "secrets");
    host.terminate();
    host.wait();
    // Hexadecimal, as well.
    let both = Setup::new().variable(KEY, &format!("{} {}", HEXLOWER.encode(&[2; 32]), key(1)));
    let host = both.data_of(&host).start();
    let plan = json!({ "read": ["kept"] });
    assert_eq!(codes(&told(&host, &webhook, &plan)), [""]);
    let resealed = host.cli(&["secret", "reseal", "--json"]).json();
    assert_eq!([&resealed["resealed"], &resealed["unavailable"]], [&json!(["kept", "trashed"]), &json!([])]);
    assert_eq!(host.cli(&["secret", "reseal", "--json"]).json()["resealed"], json!([]));
    let secret = host.read("secret/kept?by=name").ok();
    assert_eq!(secret["key_id"], resealed["key_id"]);
    assert_ne!(secret["key_id"], first["key_id"]);
    host.terminate();
    host.wait();
    let host = with_key(2).data_of(&host).start();
    assert_eq!(codes(&told(&host, &webhook, &plan)), [""]);
    let restored = format!("/api/latest/secret/{}/action/restore?plain=true", text(&trashed, "id"));
    assert_eq!(host.request("POST", &restored).as_operator().send().ok()["is_available"], true);
    host.terminate();
    host.wait();
    // With another key still there is one that it cannot seal anew.
    let host = with_key(3).data_of(&host).start();
    assert_eq!(host.cli(&["secret", "reseal", "--json"]).json()["unavailable"], json!(["kept", "trashed"]));
}

#[test]
fn a_file_of_keys_is_the_owners_alone_and_lies_outside_of_the_data() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    let path = file.to_str().unwrap();
    assert_eq!(Ran::alone(&["secret", "key", path]).exit, Some(0));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    // A key that is there is never lost.
    assert_eq!(Ran::alone(&["secret", "key", path]).exit, Some(8));
    let printed = Ran::alone(&["secret", "key"]).stdout;
    assert_eq!(BASE64.decode(printed.trim().as_bytes()).unwrap().len(), 32);

    let with_file = |path: &str| Setup::new().config(&format!("secret_key_file = \"{path}\"\n"));
    let host = with_file(path).start();
    readable(&host, "filed", VALUE);
    let both = with_file(path).variable(KEY, &key(1)).try_start().unwrap_err();
    assert!(both.stderr.contains("keep the keys in one of them"), "{}", both.stderr);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    let exposed = with_file(path).try_start().unwrap_err();
    assert!(exposed.stderr.contains("chmod 600"), "{}", exposed.stderr);
    let missing = with_file("/no/such/key").try_start().unwrap_err();
    assert!(missing.stderr.contains("/no/such/key cannot be read"), "{}", missing.stderr);
    let inside = host.data().join("key");
    fs::write(&inside, &printed).unwrap();
    fs::set_permissions(&inside, fs::Permissions::from_mode(0o600)).unwrap();
    host.terminate();
    host.wait();
    let inside = with_file(inside.to_str().unwrap()).data_of(&host).try_start().unwrap_err();
    assert!(inside.stderr.contains("is in the data folder"), "{}", inside.stderr);
    let malformed = Setup::new().variable(KEY, "hunter2-hunter2").try_start().unwrap_err();
    assert!(
        malformed.stderr.contains("is no key of 32 bytes") && !malformed.stderr.contains("hunter2"),
        "{}",
        malformed.stderr
    );
}

#[test]
fn the_command_line_sets_lists_and_removes_secrets() {
    let host = with_key(1).start();
    let set = |arguments: &[&str], value: &str| {
        host.cli_with_input(&[&["secret", "set"], arguments, &["--json"]].concat(), value)
    };
    let made = set(&["stripe", "--host", "api.example.com", "--host", "*.example.net"], "sk_test_value\n").json();
    assert_eq!(made["hosts"], json!(["api.example.com", "*.example.net"]));
    assert_eq!(made["is_readable"], false);
    let changed = set(&["stripe", "--readable"], "sk_test_other\r\n").json();
    assert_eq!(
        [&changed["id"], &changed["hosts"], &changed["is_readable"]],
        [&made["id"], &made["hosts"], &json!(true)]
    );
    let webhook = webhook(&host, "cli", "secrets");
    assert_eq!(told(&host, &webhook, &json!({ "read": ["stripe"] })), [json!({ "length": "sk_test_other".len() })]);
    assert_eq!(set(&["short"], "short\n").problem(6)["code"], "record.invalid");
    let listed = host.cli(&["secret", "ls"]);
    assert!(listed.stdout.contains("api.example.com, *.example.net"), "{}", listed.stdout);
    assert!(!listed.stdout.contains("sk_test"), "{}", listed.stdout);
    assert_eq!(host.cli(&["secret", "rm", "stripe"]).exit, Some(0));
    assert_eq!(host.cli(&["secret", "list", "--json"]).json(), json!([]));
}

#[test]
fn the_key_of_a_call_is_neither_in_its_log_nor_in_its_errors() {
    let host = Host::start();
    let key = "my-webhook-key-4711";
    let webhook = webhook_with(&host, "keyed", "secrets", json!({ "key": key }));
    let calls = [
        webhook.call(&host, &json!({ "say": ["log"], "key": key })),
        webhook.call(&host, &json!({ "say": ["nowhere"] })).header("X-Api-Key", key),
        host.post(&format!("{}?key={key}", webhook.path()), r#"{"say": 1}"#),
        host.post(&format!("{}?key={key}", webhook.path()), r#"{"say": "#),
        host.post(webhook.path(), "say=log&key=my-webhook-key-4711")
            .header("Content-Type", "application/x-www-form-urlencoded"),
    ];
    for call in calls {
        let answer = call.send();
        assert!(!answer.text().contains(key), "{}", answer.text());
        assert!(answer.header("flowhost-execution-id").is_some() || answer.status == 400, "{}", answer.text());
    }
    for execution in host.executions_of("keyed") {
        let id = text(&execution, "id");
        for what in [format!("execution/{id}"), format!("execution/{id}/log")] {
            let shown = host.read(&what);
            assert!(!shown.text().contains(key), "{}", shown.text());
        }
    }
    host.terminate();
    host.wait();
    assert!(!host.log().contains(key) && !holds(host.data(), key));
}

/// A host whose flows may reach this machine, and a webhook for the guest.
fn reaching() -> (Host, flowhost_tests::Webhook) {
    let setup = with_key(1).flag("--set", "http_private=127.0.0.0/8").flag("--set", "http_allow=http://*:*");
    let host = setup.start();
    let webhook = webhook(&host, "sender", "secrets");
    allow_outside(&host, "secrets");
    (host, webhook)
}

fn allow_outside(host: &Host, flow: &str) {
    let flow = host.read(&format!("flow/{flow}?by=name")).ok();
    let options = json!({ "options": { "http_allow": ["http://*:*"] } });
    host.change(&format!("flow/{}", text(&flow, "id")), &options).ok();
}

fn secret_for(host: &Host, name: &str, value: &str, hosts: &[&str]) -> Value {
    host.create("secret", &json!({ "name": name, "value": value, "hosts": hosts })).ok()
}

#[test]
fn a_request_carries_the_value_as_its_part_has_it_and_the_flow_never_does() {
    let (host, webhook) = reaching();
    let outside = Outside::start();
    secret_for(&host, "api", VALUE, &["127.0.0.1"]);
    let form = ["Content-Type", "application/x-www-form-urlencoded"];
    let plan = json!({ "place": ["api"], "send": [
        { "url": outside.url("/status/200?key=<api>&x=1"), "headers": [["Authorization", "Bearer <api>"]] },
        { "url": outside.url("/status/200"), "basic": "api" },
        { "url": outside.url("/status/200"), "headers": [["Content-Type", "application/json"]], "body": r#"{"k":"<api>","l":"<api>"}"# },
        { "url": outside.url("/status/200"), "headers": [form], "body": "k=<api>&l=1" },
        { "url": outside.url("/status/200"), "body": "plain <api>" },
        { "url": outside.url("/status/200"), "body": "flowhost-secret-00000000000000000000000000000000 flowhost-secret-" },
    ] });
    let answers = told(&host, &webhook, &plan);
    assert!(answers[1..].iter().all(|answer| answer["status"] == 200), "{answers:?}");
    let requests = outside.requests();
    assert_eq!(requests[0].headers["authorization"], format!("Bearer {VALUE}"));
    assert_eq!(requests[0].target, "/status/200?key=s3cr3t%20%22quoted%22%20%C3%BC%2F%3F%26%20tail&x=1");
    let basic = requests[1].headers["authorization"].strip_prefix("Basic ").unwrap();
    assert_eq!(BASE64.decode(basic.as_bytes()).unwrap(), format!("user:{VALUE}").as_bytes());
    assert_eq!(serde_json::from_slice::<Value>(&requests[2].body).unwrap(), json!({ "k": VALUE, "l": VALUE }));
    assert_eq!(requests[3].body, b"k=s3cr3t+%22quoted%22+%C3%BC%2F%3F%26+tail&l=1");
    assert_eq!(requests[4].body, format!("plain {VALUE}").as_bytes());
    // What is no placeholder of this execution goes as it is.
    assert_eq!(requests[5].body, b"flowhost-secret-00000000000000000000000000000000 flowhost-secret-");
    host.terminate();
    host.wait();
    for form in forms(VALUE) {
        assert!(!holds(host.data(), &form), "{form}");
    }
    assert!(!host.log().contains("s3cr3t"), "{}", host.log());
}

#[test]
fn a_value_is_sent_to_the_hosts_of_its_secret_only_and_follows_no_redirect_elsewhere() {
    let (host, webhook) = reaching();
    let (here, there) = (Outside::start(), Outside::start_at([127, 0, 0, 2].into()));
    let secret = secret_for(&host, "api", VALUE, &["127.0.0.1"]);
    let bearer = json!([["Authorization", "Bearer <api>"], ["X-Token", "<api>"]]);
    let away = here.url(&format!("/redirect/307?{}", there.url("/status/200")));
    let plan = json!({ "place": ["api"], "send": [
        { "url": there.url("/status/200"), "headers": bearer },
        { "url": there.url("/status/200?key=<api>") },
        { "url": there.url("/status/200"), "body": "<api>" },
        { "url": there.url("/status/200"), "basic": "api" },
        { "url": away, "body": "<api>" },
    ] });
    let answers = told(&host, &webhook, &plan);
    assert_eq!(codes(&answers[1..]), ["secrets.not-allowed"; 5]);
    let message = text(&answers[1], "message");
    assert!(message.contains("`api`") && message.contains("127.0.0.2") && message.contains("`hosts`"), "{message}");
    assert!(there.requests().is_empty());
    // Headers that have a value stay behind where a redirect leaves the origin.
    let plan = json!({ "place": ["api"], "send": [{ "url": away, "headers": bearer }] });
    assert_eq!(told(&host, &webhook, &plan)[1], json!({ "status": 200 }));
    let request = there.requests().remove(0);
    assert!(!request.headers.contains_key("authorization") && !request.headers.contains_key("x-token"), "{request:?}");
    // Nor does a server that repeats its query give the value to others, or to the flow.
    let query = |to: String| here.url(&format!("/redirect/307?{to}?key=<api>"));
    let plan = json!({ "place": ["api"], "send": [
        { "url": query(there.url("/status/200")) },
        { "url": query("/echo".to_owned()), "tell_url": true },
    ] });
    let answers = told(&host, &webhook, &plan);
    assert_eq!(text(&answers[1], "code"), "secrets.not-allowed", "{answers:?}");
    assert!(text(&answers[1], "message").contains("127.0.0.2"), "{answers:?}");
    assert_eq!(there.requests().len(), 1);
    assert_eq!(answers[2], json!({ "status": 200, "url": here.url("/echo?key=***") }));
    assert!(!here.requests().last().unwrap().target.contains("***"));
    // A change of the hosts holds from the next request on.
    let path = format!("secret/{}", text(&secret, "id"));
    host.change(&path, &json!({ "hosts": ["*.0.0.1.example"] })).ok();
    let plan = json!({ "place": ["api"], "send": [{ "url": here.url("/status/200"), "body": "<api>" }] });
    assert_eq!(codes(&told(&host, &webhook, &plan)), ["", "secrets.not-allowed"]);
}

#[test]
fn a_placeholder_is_worth_nothing_in_another_execution() {
    let (host, webhook) = reaching();
    let outside = Outside::start();
    secret_for(&host, "api", VALUE, &["127.0.0.1"]);
    let placeholder = told(&host, &webhook, &json!({ "place": ["api"] }))[0]["placeholder"].clone();
    let plan = json!({ "send": [{ "url": outside.url("/status/200"), "body": placeholder }] });
    assert_eq!(told(&host, &webhook, &plan), [json!({ "status": 200 })]);
    assert_eq!(outside.requests()[0].body, placeholder.as_str().unwrap().as_bytes());
}

#[test]
fn forward_sends_an_event_with_a_token_that_it_never_has() {
    let (host, _) = reaching();
    let outside = Outside::start();
    let webhook = webhook(&host, "forward", "forward");
    allow_outside(&host, "forward");
    let token = "the-token-of-the-service";
    let event: Value = serde_json::from_slice(&workspace_file("examples/forward/requests/order.json")).unwrap();
    let call = || webhook.call(&host, &event).send();
    let unconfigured = call().problem(500, "flow.error");
    assert_eq!(unconfigured["execution"]["failure"]["flow_code"], "forward.unconfigured");
    let address = |path: &str| host.set("forward.url", json!(outside.url(path)).to_string()).ok();
    address("/status/202");
    assert_eq!(call().problem(500, "flow.error")["execution"]["failure"]["flow_code"], "secrets.not-found");
    let arguments = ["secret", "set", "forward-token", "--host", "127.0.0.1"];
    assert_eq!(host.cli_with_input(&arguments, token).exit, Some(0));
    let execution = call().ok();
    assert_eq!(execution["output_value"]["delivery"], json!({ "status": "delivered", "http_status": 202 }));
    let request = outside.requests().remove(0);
    assert_eq!(request.headers["authorization"], format!("Bearer {token}"));
    assert_eq!(request.headers["idempotency-key"], "evt-2041");
    assert_eq!(serde_json::from_slice::<Value>(&request.body).unwrap(), event);
    for (path, code, retryable) in [
        ("/status/400", "forward.rejected", false),
        ("/status/503", "forward.unavailable", true),
        ("/cut", "forward.unavailable", true),
    ] {
        address(path);
        let problem = call().problem(500, "flow.error");
        let failure = &problem["execution"]["failure"];
        assert_eq!([&failure["flow_code"], &failure["retryable"]], [&json!(code), &json!(retryable)], "{path}");
    }
    host.terminate();
    host.wait();
    assert!(!holds(host.data(), token) && !host.log().contains(token));
}

#[test]
fn the_key_of_a_call_is_masked_where_its_caller_repeats_it() {
    let host = Host::shared();
    let key = "k3y \"of\" the call";
    let made = |name: &str, guest: &str| host.webhook_with(name, guest, &json!({ "key": key }));
    let hello = made("secrets-key-hello", "hello");
    let in_query = format!("{}?key={}", hello.path(), "k3y+%22of%22+the+call");
    for request in [
        hello.call(host, &json!({ "key": key, "name": key })),
        host.post(&in_query, json!({ "name": key }).to_string()),
        host.post(hello.path(), json!({ "name": key }).to_string()).header("X-Api-Key", key),
    ] {
        let execution = request.send().ok();
        assert_eq!(execution["output_value"], json!({ "greeting": "Hello, ***!" }));
        let id = text(&execution, "id");
        assert_eq!(host.log_of(id)[0]["message"], "greeting ***");
        let kept = host.read(&format!("execution/{id}")).ok();
        assert_eq!(kept["output_value"], execution["output_value"]);
    }
    // Also when it has left memory and come back.
    let away = unloading();
    let respond = away.webhook_with("secrets-key-respond", "respond", &json!({ "key": key }));
    let plan = json!({ "key": key, "ops": [{ "op": "sleep", "ms": 20 }, { "op": "fail", "message": key }] });
    let problem = respond.call(away, &plan).send().problem(500, "flow.error");
    assert_eq!(problem["detail"], "***");
    let outputs = made("secrets-key-outputs", "outputs");
    let plan = json!({ "key": key, "set": { "a": [key] }, "fail": format!("wrong: {key}") });
    let problem = outputs.call(host, &plan).send().problem(500, "flow.error");
    assert_eq!(problem["detail"], "wrong: ***");
    assert_eq!(problem["execution"]["output_value"], json!({ "a": ["***"] }));
}
