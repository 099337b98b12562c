//! Answers that flows shape.

use std::sync::OnceLock;

use flowhost_tests::outside::Outside;
use flowhost_tests::scene::{
    DAY, act, items, parent_of, resident_and_unloaded, setting, text, unloading, until_status, webhook, webhook_with,
};
use flowhost_tests::{Answer, Connection, Ended, Host, Setup, Webhook, workspace_file};
use serde_json::{Value, json};

fn plan(operations: Value) -> Value {
    json!({ "ops": operations })
}

fn call(host: &Host, webhook: &Webhook, operations: Value) -> Answer {
    webhook.call(host, &plan(operations)).send()
}

/// A call whose answer is read bit by bit.
fn start(host: &Host, webhook: &Webhook, operations: Value) -> Connection {
    webhook.call(host, &plan(operations)).start()
}

fn status(status: u16) -> Value {
    json!({ "op": "status", "status": status })
}

fn header(name: &str, value: &str) -> Value {
    json!({ "op": "set-header", "name": name, "value": value })
}

fn body(text: &str) -> Value {
    json!({ "op": "body", "content_type": "text/plain", "text": text })
}

fn sleep(ms: u64) -> Value {
    json!({ "op": "sleep", "ms": ms })
}

fn send() -> Value {
    json!({ "op": "send" })
}

fn start_body() -> Value {
    json!({ "op": "start-body", "content_type": "text/plain" })
}

fn write(text: &str) -> Value {
    json!({ "op": "write", "text": text })
}

fn finish() -> Value {
    json!({ "op": "finish" })
}

fn increment(name: &str) -> Value {
    json!({ "op": "increment", "name": name })
}

fn id_of(answer: &Answer) -> String {
    answer.header("flowhost-execution-id").unwrap().to_owned()
}

/// The id of the latest execution of a webhook, which has begun.
fn latest(host: &Host, webhook: &Webhook) -> String {
    let found = flowhost_tests::until("there is an execution", || host.executions_of(webhook.name()).first().cloned());
    text(&found, "id").to_owned()
}

/// What the operations of an execution that ended well were told: null or a code.
fn told(ended: &Ended) -> &Vec<Value> {
    assert_eq!(ended.status(), "ENDED_SUCCESS", "{}", ended.record);
    items(&ended.outputs()["results"])
}

#[test]
fn a_flow_shapes_its_answer_whatever_the_webhook_says() {
    for host in resident_and_unloaded() {
        for option in ["execution", "outputs", "flow"] {
            let members = json!({ "options": { "answer": option } });
            let webhook = webhook_with(host, &format!("respond-{option}"), "respond", members);
            let operations = json!([
                status(201),
                header("X-Flow", "one"),
                sleep(20),
                header("x-flow", "two"),
                { "op": "append-header", "name": "Set-Cookie", "value": "a=1" },
                { "op": "append-header", "name": "Set-Cookie", "value": "b=2" },
                body("first"),
                { "op": "body", "content_type": "text/html; charset=utf-8", "text": "<p>é</p>" },
            ]);
            let answer = call(host, &webhook, operations);
            assert_eq!((answer.status, answer.text()), (201, "<p>é</p>"));
            let expected = [
                ("x-flow", "two"),
                ("content-type", "text/html; charset=utf-8"),
                ("cache-control", "no-store"),
                ("x-content-type-options", "nosniff"),
                (
                    "content-security-policy",
                    "sandbox allow-forms allow-popups allow-popups-to-escape-sandbox allow-scripts allow-modals allow-downloads",
                ),
                ("content-length", "9"),
            ];
            for (name, value) in expected {
                assert_eq!(answer.header(name), Some(value), "{name}");
            }
            let cookies = answer.headers.iter().filter(|(name, _)| name == "set-cookie");
            assert_eq!(cookies.map(|(_, value)| value.as_str()).collect::<Vec<_>>(), ["a=1", "b=2"]);
            assert_eq!(told(&host.wait_until_ended(&id_of(&answer))), &vec![Value::Null; 8]);
        }
    }
}

#[test]
fn a_flow_says_how_long_its_answer_may_be_kept() {
    let host = Host::shared();
    let webhook = webhook(host, "respond-cache", "respond");
    let answer = call(host, &webhook, json!([header("Cache-Control", "max-age=60")]));
    assert_eq!((answer.status, answer.header("cache-control"), answer.text()), (200, Some("max-age=60"), ""));
}

#[test]
fn a_redirect_leads_elsewhere() {
    let host = Host::shared();
    let webhook = webhook(host, "respond-redirect", "respond");
    let answer = call(host, &webhook, json!([{ "op": "redirect", "status": 303, "location": "/a?b=c" }]));
    assert_eq!((answer.status, answer.header("location")), (303, Some("/a?b=c")));
}

#[test]
fn a_flow_that_fails_before_its_answer_is_sent_is_answered_with_the_problem() {
    for host in resident_and_unloaded() {
        let webhook = webhook(host, "respond-fails", "respond");
        let after = |operation: Value| call(host, &webhook, json!([status(201), body("lost"), sleep(20), operation]));
        let problem = after(json!({ "op": "fail", "message": "no flour" })).problem(500, "flow.error");
        assert_eq!(problem["detail"], "no flour");
        after(json!({ "op": "panic", "message": "no yeast" })).problem(500, "flow.panic");
        // What ends the flow well sends the answer.
        let answer = after(json!({ "op": "end-success" }));
        assert_eq!((answer.status, answer.text()), (201, "lost"));
    }
}

#[test]
fn answers_without_a_body_have_none() {
    let host = Host::shared();
    let webhook = webhook(host, "respond-empty", "respond");
    for code in [204, 304] {
        let answer = call(host, &webhook, json!([body("not sent"), status(code)]));
        assert_eq!((answer.status, answer.text()), (code, ""));
        assert!(matches!(answer.header("content-length"), None | Some("0")), "{answer:?}");
        // Neither is one that is written piece by piece, which goes nowhere.
        let answer = call(host, &webhook, json!([status(code), start_body(), write("not sent"), finish()]));
        assert_eq!((answer.status, answer.text()), (code, ""));
        assert_eq!(told(&host.wait_until_ended(&id_of(&answer))), &vec![Value::Null; 4]);
    }
    let options = json!({ "options": { "methods": ["HEAD"] } });
    let looked_at = webhook_with(host, "respond-head", "respond", options);
    let head = |operations: Value| {
        let request = host.request("HEAD", looked_at.path()).body(plan(operations).to_string());
        request.header("Content-Type", "application/json").send()
    };
    let answer = head(json!([status(202), body("not sent")]));
    assert_eq!((answer.status, answer.header("content-type")), (202, Some("text/plain")));
    let answer = head(json!([status(202), start_body(), write("not sent"), finish()]));
    assert_eq!((answer.status, answer.header("content-type")), (202, Some("text/plain")));
    assert_eq!(told(&host.wait_until_ended(&id_of(&answer))), &vec![Value::Null; 4]);
}

#[test]
fn what_cannot_be_part_of_an_answer_is_refused_and_the_flow_goes_on() {
    let host = Host::shared();
    let webhook = webhook(host, "respond-wrong", "respond");
    for (operation, code) in [
        (status(99), "response.invalid-status"),
        (status(199), "response.invalid-status"),
        (status(600), "response.invalid-status"),
        (header("x-a", "a\r\nx-injected: 1"), "response.invalid-header"),
        (header("x\r\nx-injected: 1", "a"), "response.invalid-header"),
        (header("", "a"), "response.invalid-header"),
        (json!({ "op": "body", "content_type": "a/b\r\n\r\n<p>", "text": "" }), "response.invalid-header"),
        (json!({ "op": "start-body", "content_type": "a\nb" }), "response.invalid-header"),
        (header("Content-Length", "1"), "response.forbidden-header"),
        (header("transfer-encoding", "chunked"), "response.forbidden-header"),
        (header("Connection", "close"), "response.forbidden-header"),
        (header("Flowhost-Execution-Id", "1"), "response.forbidden-header"),
        (header("content-security-policy", "default-src *"), "response.forbidden-header"),
        (header("Set-Cookie", "flowhost_session=1; Path=/"), "response.forbidden-header"),
        (header("Set-Cookie", "a=1; Domain=example.com"), "response.forbidden-header"),
        (header("X-Accel-Redirect", "/internal/secret"), "response.forbidden-header"),
        (header("X-Sendfile", "/etc/passwd"), "response.forbidden-header"),
        (header("X-Reproxy-URL", "http://127.0.0.1/"), "response.forbidden-header"),
        (header("Surrogate-Control", "max-age=60"), "response.forbidden-header"),
        (header("Report-To", "{}"), "response.forbidden-header"),
        (json!({ "op": "many-headers", "count": 5, "bytes": 8 << 10 }), "response.headers-too-large"),
    ] {
        let answer = call(host, &webhook, json!([operation, header("x-after", "1"), body("after")]));
        assert_eq!((answer.status, answer.text(), answer.header("x-after")), (200, "after", Some("1")), "{operation}");
        assert_eq!(answer.header("x-injected"), None);
        let ended = host.wait_until_ended(&id_of(&answer));
        assert_eq!(told(&ended), &[json!(code), Value::Null, Value::Null], "{operation}");
    }
    let many = |count: usize| json!({ "op": "many-headers", "count": count, "bytes": 1 });
    let answer = call(host, &webhook, json!([many(1_000), header("x-after", "1"), header("x-0", "2")]));
    assert_eq!((answer.header("x-0"), answer.header("x-99"), answer.header("x-100")), (Some("2"), Some("x"), None));
    let large = json!("response.headers-too-large");
    assert_eq!(told(&host.wait_until_ended(&id_of(&answer))), &[large.clone(), large, Value::Null]);
}

#[test]
fn the_largest_answer_that_is_allowed_arrives() {
    let host = Setup::new().set("output_bytes", 1 << 20).start();
    let webhook = webhook(&host, "respond", "respond");
    let operations = json!([
        status(599),
        { "op": "large-body", "bytes": 1 << 20 },
        { "op": "many-headers", "count": 98, "bytes": 300 },
    ]);
    let answer = call(&host, &webhook, operations);
    assert_eq!((answer.status, answer.body.len()), (599, 1 << 20));
    assert_eq!(answer.header("x-97").map(str::len), Some(300));
    let problem = call(&host, &webhook, json!([{ "op": "large-body", "bytes": (1 << 20) + 1 }]));
    let problem = problem.problem(500, "flow.output-limit");
    assert!(text(&problem, "detail").contains("the body of its answer"), "{problem}");
}

#[test]
fn an_early_answer_arrives_while_the_execution_goes_on() {
    for host in resident_and_unloaded() {
        let webhook = webhook(host, "respond-early", "respond");
        // On the second host the caller waits for an execution that has left memory before it answers.
        let answer = call(host, &webhook, json!([status(202), body("taken"), sleep(20), send(), sleep(DAY)]));
        assert_eq!((answer.status, answer.text()), (202, "taken"));
        let id = id_of(&answer);
        assert_eq!(until_status(host, &id, "WAITING")["is_durable"], true);
        host.cancel(&id).ok();
        assert_eq!(host.wait_until_ended(&id).status(), "ENDED_CANCELLED");
    }
}

#[test]
fn an_answer_is_sent_once() {
    for host in resident_and_unloaded() {
        let webhook = webhook(host, "respond-once", "respond");
        let operations = json!([
            body("first"),
            send(),
            sleep(20),
            send(),
            status(201),
            header("x-a", "1"),
            body("second"),
            start_body(),
        ]);
        let answer = call(host, &webhook, operations);
        assert_eq!((answer.status, answer.text()), (200, "first"));
        let ended = host.wait_until_ended(&id_of(&answer));
        assert_eq!(told(&ended)[..3], [Value::Null, Value::Null, Value::Null]);
        assert_eq!(told(&ended)[3..], vec![json!("response.already-sent"); 5]);
    }
}

#[test]
fn an_execution_that_fails_after_its_answer_has_answered() {
    let host = Host::shared();
    let webhook = webhook(host, "respond-later", "respond");
    let answer = call(host, &webhook, json!([body("well"), send(), { "op": "fail", "message": "later" }]));
    assert_eq!((answer.status, answer.text()), (200, "well"));
    assert_eq!(host.wait_until_ended(&id_of(&answer)).failure(), Some("flow.error"));
}

#[test]
fn what_was_answered_early_goes_on_after_a_crash_and_is_not_answered_again() {
    let host = Setup::new().set("unload_ms", DAY).start();
    let webhook = webhook(&host, "respond", "respond");
    let operations = json!([increment("before"), body("taken"), send(), sleep(2_000), increment("after"), send()]);
    let answer = call(&host, &webhook, operations);
    assert_eq!(answer.text(), "taken");
    let id = id_of(&answer);
    let host = host.crash();
    let ended = host.wait_until_ended(&id);
    assert_eq!(ended.record["attempt"], 2);
    assert_eq!(told(&ended)[..5], vec![Value::Null; 5]);
    assert_eq!(told(&ended)[5], "response.already-sent");
    assert_eq!([setting(&host, "before"), setting(&host, "after")], [Some(json!(1)), Some(json!(1))]);
}

#[test]
fn where_nobody_waits_the_answer_goes_nowhere() {
    for host in resident_and_unloaded() {
        let webhook = webhook(host, "respond-nobody", "respond");
        let whole = json!([status(201), header("x-a", "1"), body("a"), sleep(20), send(), sleep(20)]);
        let streamed =
            json!([start_body(), write("a"), sleep(20), write("b"), finish(), write("c"), finish(), sleep(20)]);
        let unfinished = json!([start_body(), write("a"), sleep(20)]);
        let ends = [whole.clone(), streamed, unfinished]
            .map(|operations| host.wait_until_ended(&webhook.call_async(host, &plan(operations))));
        assert_eq!(told(&ends[0]), &vec![Value::Null; 6]);
        assert_eq!(told(&ends[1])[..5], vec![Value::Null; 5]);
        assert_eq!(told(&ends[1])[5..7], vec![json!("response.already-sent"); 2]);
        assert_eq!(told(&ends[2]), &vec![Value::Null; 3]);
        assert!(ends.iter().all(|ended| ended.record["is_durable"] == true));
        // Nor has a child anybody to answer to.
        let parent = flowhost_tests::scene::webhook(host, "respond-parent", "parent");
        let children =
            parent_of(json!([{ "flow": "respond", "input": plan(whole) }]), json!({ "when": "ALL_SUCCEEDED" }));
        let ended = host.wait_until_ended(&parent.call_async(host, &children));
        assert_eq!(ended.outputs()["child_outputs"][0]["results"], json!(vec![Value::Null; 6]));
    }
}

#[test]
fn a_body_is_sent_while_it_is_written() {
    for host in resident_and_unloaded() {
        let webhook = webhook(host, "respond-stream", "respond");
        // It stays in memory while it sleeps.
        let operations =
            json!([status(201), start_body(), write("one,"), sleep(20), write("two"), write(""), finish(), sleep(20)]);
        let answer = call(host, &webhook, operations);
        assert_eq!((answer.status, answer.text()), (201, "one,two"));
        assert_eq!(answer.header("transfer-encoding"), Some("chunked"));
        assert!(answer.header("content-security-policy").unwrap().starts_with("sandbox "));
        let ended = host.wait_until_ended(&id_of(&answer));
        assert_eq!(told(&ended), &vec![Value::Null; 8]);
        assert_eq!(ended.record["is_durable"], true);

        let mut connection = start(host, &webhook, json!([start_body(), write("begun"), sleep(DAY)]));
        connection.until_arrived("begun");
        let id = latest(host, &webhook);
        let record = host.wait_until(&id, "waits", |execution| execution["status"] == "WAITING");
        assert_eq!((&record["is_durable"], &record["wake_at"]), (&json!(false), &Value::Null));
        host.cancel(&id).ok();
        assert!(connection.try_answer("POST").is_none(), "a body that was cut off looks whole");
    }
}

#[test]
fn executions_that_write_their_bodies_leave_half_of_the_slots_to_others() {
    // Half of them are two, and one flow has half of these.
    let host = Setup::new().set("executions", 4).start();
    let webhook = webhook(&host, "respond", "respond");
    let mut first = start(&host, &webhook, json!([start_body(), write("begun"), sleep(DAY)]));
    first.until_arrived("begun");
    let id = latest(&host, &webhook);
    let refused = json!([start_body(), body("whole"), sleep(1), send()]);
    let answer = call(&host, &webhook, refused);
    assert_eq!(answer.text(), "whole");
    let ended = host.wait_until_ended(&id_of(&answer));
    assert_eq!(told(&ended), &[json!("response.too-many-bodies"), Value::Null, Value::Null, Value::Null]);
    // Who has nobody to write to takes no place.
    let written = json!([start_body(), write("a"), finish()]);
    let unheard = host.wait_until_ended(&webhook.call_async(&host, &plan(written.clone())));
    assert_eq!(told(&unheard), &vec![Value::Null; 3]);
    host.cancel(&id).ok();
    host.wait_until_ended(&id);
    assert_eq!(call(&host, &webhook, written).text(), "a");
}

#[test]
fn a_body_into_which_nothing_is_written_for_long_is_cut_off_and_its_execution_leaves_memory() {
    let host = Setup::new().set("executions", 2).set("unload_ms", 1).set("body_silence_ms", 50).start();
    let webhook = webhook(&host, "respond", "respond");
    let mut connection = start(&host, &webhook, json!([start_body(), write("begun"), sleep(DAY)]));
    connection.until_arrived("begun");
    let id = latest(&host, &webhook);
    assert!(connection.try_answer("POST").is_none(), "a body that was cut off looks whole");
    let left = host.wait_until(&id, "has left memory", |execution| execution["wake_at"] != Value::Null);
    assert_eq!((&left["status"], &left["is_durable"]), (&json!("WAITING"), &json!(true)));
    assert_eq!(call(&host, &webhook, json!([start_body(), write("a"), finish()])).text(), "a");
}

#[test]
fn the_log_of_an_execution_that_came_back_is_whole_while_it_runs() {
    let host = unloading();
    let webhook = webhook(host, "respond-log", "respond");
    let log = |text: &str| json!({ "op": "log", "text": text });
    let operations = json!([log("one"), log("two"), sleep(20), start_body(), log("three"), write("begun"), sleep(DAY)]);
    let mut connection = start(host, &webhook, operations);
    connection.until_arrived("begun");
    let id = latest(host, &webhook);
    let messages: Vec<Value> = host.log_of(&id).iter().map(|line| line["message"].clone()).collect();
    assert_eq!(messages, ["one", "two", "three"]);
    let rest = host.get(&format!("/api/latest/execution/{id}/log?from=1&limit=1&plain=true")).as_operator().send().ok();
    assert_eq!(rest[0]["message"], "two");
    host.cancel(&id).ok();
}

#[test]
fn a_body_that_is_not_finished_is_cut_off() {
    let host = Host::shared();
    let webhook = webhook(host, "respond-cut", "respond");
    for (end, expected) in [
        (json!([]), "ENDED_SUCCESS"),
        (json!([{ "op": "drop" }]), "ENDED_SUCCESS"),
        (json!([{ "op": "end-success" }]), "ENDED_SUCCESS"),
        (json!([{ "op": "fail", "message": "no flour" }]), "ENDED_ERROR"),
        (json!([{ "op": "panic", "message": "no yeast" }]), "ENDED_ERROR"),
    ] {
        let mut operations = vec![start_body(), write("begun")];
        operations.extend(items(&end).clone());
        let mut connection = start(host, &webhook, json!(operations));
        assert!(connection.try_answer("POST").is_none(), "{end}: a body that was cut off looks whole");
        assert_eq!(host.wait_until_ended(&latest(host, &webhook)).status(), expected, "{end}");
    }
}

#[test]
fn a_large_body_arrives_whole_at_a_slow_caller() {
    let host = Host::shared();
    let webhook = webhook(host, "respond-large", "respond");
    let (piece, pieces) = (1 << 20, 20);
    let mut operations = vec![start_body(), write("begun")];
    operations.extend(vec![json!({ "op": "write-much", "bytes": piece }); pieces]);
    operations.push(finish());
    let mut connection = start(host, &webhook, json!(operations));
    connection.until_arrived("begun");
    // It has more to write than the connection takes.
    let id = latest(host, &webhook);
    assert_eq!(host.read(&format!("execution/{id}")).ok()["status"], "RUNNING");
    let answer = connection.answer("POST");
    assert_eq!(answer.body.len(), "begun".len() + piece * pieces);
    assert_eq!(told(&host.wait_until_ended(&id)).len(), pieces + 3);
}

#[test]
fn a_flow_whose_caller_goes_away_is_told_and_goes_on() {
    for host in resident_and_unloaded() {
        let webhook = webhook(host, "respond-gone", "respond");
        let flood = json!({ "op": "write-until-refused" });
        let operations =
            json!([start_body(), write("begun"), flood, write("more"), finish(), sleep(20), flood, write("")]);
        let mut connection = start(host, &webhook, operations);
        connection.until_arrived("begun");
        drop(connection);
        let ended = host.wait_until_ended(&latest(host, &webhook));
        let gone = || json!("response.caller-gone");
        let null = Value::Null;
        // Told the same when it is run again after its sleep.
        assert_eq!(told(&ended), &[null.clone(), null.clone(), gone(), gone(), gone(), null, gone(), gone()]);
        assert_eq!(ended.record["is_durable"], true);
    }
}

/// A host on which a caller who takes nothing is soon gone.
fn impatient() -> &'static Host {
    static IMPATIENT: OnceLock<Host> = OnceLock::new();
    IMPATIENT.get_or_init(|| Setup::new().set("body_stall_ms", 2_000).set("wall_ms", 1_000).start())
}

#[test]
fn a_caller_who_takes_nothing_is_gone_and_waiting_for_it_counts_against_no_limit() {
    let host = impatient();
    let webhook = webhook(host, "stalled", "respond");
    let mut connection = start(host, &webhook, json!([start_body(), write("begun"), { "op": "write-until-refused" }]));
    connection.until_arrived("begun");
    let ended = host.wait_until_ended(&latest(host, &webhook));
    assert_eq!(told(&ended)[2], "response.caller-gone");
    // What it did not get it is not told to have.
    assert!(connection.try_answer("POST").is_none());
}

#[test]
fn an_execution_that_a_crash_cuts_off_in_its_body_is_not_run_again() {
    let host = Setup::new().set("unload_ms", DAY).start();
    let webhook = webhook(&host, "respond", "respond");
    let begin = |operations: Value| {
        let mut connection = start(&host, &webhook, operations);
        connection.until_arrived("begun");
        (connection, latest(&host, &webhook))
    };
    let within = json!([increment("within"), start_body(), write("begun"), increment("within"), sleep(DAY)]);
    let (mut cut, within) = begin(within);
    host.wait_until(&within, "sleeps", |_| setting(&host, "within") == Some(json!(2)));
    let (mut whole, after) = begin(json!([start_body(), write("begun"), finish(), sleep(2_000), increment("after")]));
    assert_eq!(whole.answer("POST").text(), "begun");
    let host = host.crash();
    assert!(cut.try_answer("POST").is_none());
    let ended = host.wait_until_ended(&within);
    assert_eq!((ended.failure(), setting(&host, "within")), (Some("execution.interrupted"), Some(json!(2))));
    let ended = host.wait_until_ended(&after);
    assert_eq!((told(&ended), &ended.record["attempt"]), (&vec![Value::Null; 5], &json!(2)));
    assert_eq!(setting(&host, "after"), Some(json!(1)));
}

#[test]
fn a_pause_cuts_a_body_off_and_the_execution_goes_on_later() {
    let host = unloading();
    let webhook = webhook(host, "respond-pause", "respond");
    let operations = json!([
        increment("respond-pause"),
        start_body(),
        write("begun"),
        sleep(5_000),
        write("more"),
        finish(),
        sleep(20)
    ]);
    let mut connection = start(host, &webhook, operations);
    connection.until_arrived("begun");
    let id = latest(host, &webhook);
    act(host, &id, "pause").ok();
    assert!(connection.try_answer("POST").is_none());
    act(host, &id, "resume").ok();
    assert_eq!(told(&host.wait_until_ended(&id)), &vec![Value::Null; 7]);
    assert_eq!(setting(host, "respond-pause"), Some(json!(1)));
}

/// Puts a file onto a host.
fn upload(host: &Host, name: &str, content_type: &str, bytes: impl AsRef<[u8]>) {
    let target = format!("/api/latest/file/{name}/content?by=name&plain=true");
    let request = host.request("PUT", &target).body(bytes).header("Content-Type", content_type);
    assert_eq!(request.as_operator().send().status, 200);
}

fn file(name: &str) -> Value {
    json!({ "op": "file", "name": name })
}

#[test]
fn a_file_is_an_answer() {
    for host in resident_and_unloaded() {
        let webhook = webhook(host, "respond-file", "respond");
        let large: Vec<u8> = (0..3_000_000_u32).map(|number| (number % 251) as u8).collect();
        upload(host, "respond-large", "image/png", &large);
        upload(host, "respond-empty", "text/csv", "");
        for early in [sleep(20), send()] {
            let operations = json!([status(201), body("not sent"), file("respond-large"), early]);
            let answer = call(host, &webhook, operations);
            assert_eq!((answer.status, answer.header("content-type")), (201, Some("image/png")));
            assert_eq!(answer.header("content-length"), Some("3000000"));
            assert!(answer.body == large);
            assert!(answer.header("content-security-policy").is_some());
        }
        let answer = call(
            host,
            &webhook,
            json!([file("respond-large"), file("respond-empty"), header("content-type", "text/x")]),
        );
        assert_eq!((answer.text(), answer.header("content-type")), ("", Some("text/x")));
        assert_eq!(call(host, &webhook, json!([file("respond-large"), body("in its place")])).text(), "in its place");
        let answer = call(host, &webhook, json!([body("stays"), file("respond-none"), file("")]));
        assert_eq!(answer.text(), "stays");
        let ended = host.wait_until_ended(&id_of(&answer));
        assert_eq!(told(&ended)[1..], [json!("files.not-found"), json!("record.invalid")]);
    }
}

#[test]
fn a_file_that_is_gone_when_the_answer_is_sent_is_told() {
    let host = unloading();
    let webhook = webhook(host, "respond-lost", "respond");
    let gone = |operations: Value| {
        upload(host, "respond-lost", "text/plain", "here");
        let mut connection = start(host, &webhook, operations);
        let id = flowhost_tests::until("it waits", || {
            let latest = host.executions_of(webhook.name()).first().cloned()?;
            (latest["status"] == "WAITING").then(|| text(&latest, "id").to_owned())
        });
        assert_eq!(host.delete("file/respond-lost?by=name&permanently=true").status, 204);
        (connection.answer("POST"), host.wait_until_ended(&id))
    };
    let (answer, ended) = gone(json!([file("respond-lost"), sleep(2_000)]));
    answer.problem(404, "files.not-found");
    assert_eq!(ended.status(), "ENDED_SUCCESS");
    // Who sends it itself can do something else instead.
    let (answer, ended) = gone(json!([file("respond-lost"), sleep(2_000), send(), body("instead"), send()]));
    assert_eq!(answer.text(), "instead");
    assert_eq!(told(&ended)[2..], [json!("files.not-found"), Value::Null, Value::Null]);
}

#[test]
fn a_file_is_sent_to_those_only_whose_execution_may_read_it() {
    let host = Host::shared();
    upload(host, "respond-secret", "text/plain", "secret");
    let webhook = webhook_with(host, "respond-poor", "respond", json!({ "roles": [] }));
    let answer = call(host, &webhook, json!([body("nothing"), file("respond-secret")]));
    assert_eq!(answer.text(), "nothing");
    assert_eq!(told(&host.wait_until_ended(&id_of(&answer)))[1], "access.forbidden");
}

/// A form, as a browser or Slack sends it.
fn form<'a>(host: &'a Host, target: &str, body: impl AsRef<[u8]>) -> flowhost_tests::Request<'a> {
    host.post(target, body).header("Content-Type", "application/x-www-form-urlencoded")
}

#[test]
fn slack_command_answers_at_once_and_posts_what_came_of_it() {
    let outside = Outside::start();
    let reaching = Setup::new().flag("--set", "http_private=127.0.0.0/8");
    let host = reaching.flag("--set", &format!("http_allow={}", outside.line())).start();
    for flow in ["hello", "sleeper"] {
        host.deploy(flow);
    }
    let webhook = webhook(&host, "slack", "slack-command");
    allow(&host, "slack-command", &outside);
    let sent = String::from_utf8(workspace_file("examples/slack-command/requests/run.form")).unwrap();
    let refused = form(&host, webhook.path(), &sent).send().json();
    assert_eq!(refused["response_type"], "ephemeral", "{refused}");
    host.set("slack-command.flows", r#"["hello", "sleeper"]"#).ok();
    // The address is that of a service that tells the test what it was sent.
    let hook = percent(&outside.url("/status/200"));
    let sent = |text: &str| {
        let fields = sent.split('&').map(|field| match field.split_once('=') {
            Some(("response_url", _)) => format!("response_url={hook}"),
            Some(("text", _)) if !text.is_empty() => format!("text={}", percent(text)),
            _ => field.to_owned(),
        });
        form(&host, webhook.path(), fields.collect::<Vec<_>>().join("&")).send()
    };
    let answer = sent("");
    assert_eq!(answer.ok(), json!({ "response_type": "in_channel", "text": "@ada runs `hello`." }));
    let ended = host.wait_until_ended(&id_of(&answer));
    let said = "`hello` has ended: ```{\"greeting\":\"Hello, Grace!\"}```";
    assert_eq!(ended.outputs()["said"], said, "{}", ended.record);
    let posted = &outside.requests()[0];
    assert_eq!(serde_json::from_slice::<Value>(&posted.body).unwrap()["text"], said);

    // It has answered long before the flow has ended.
    let answer = sent(&format!("sleeper {{\"ms\": {DAY}}}"));
    assert_eq!(answer.ok()["text"], "@ada runs `sleeper`.");
    let id = id_of(&answer);
    until_status(&host, &id, "WAITING");
    host.cancel(&id).ok();
}

/// Lets a flow call a service outside.
fn allow(host: &Host, flow: &str, outside: &Outside) {
    let record = host.read(&format!("flow/{flow}?by=name")).ok();
    let options = json!({ "options": { "http_allow": [outside.line()] } });
    host.change(&format!("flow/{}", text(&record, "id")), &options).ok();
}

fn percent(text: &str) -> String {
    text.bytes().fold(String::new(), |escaped, byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => escaped + &char::from(byte).to_string(),
        _ => format!("{escaped}%{byte:02X}"),
    })
}

#[test]
fn todo_is_a_page_with_forms() {
    let host = Setup::new().start();
    let by_record = webhook(&host, "todo", "todo");
    webhook_with(&host, "todo-with-key", "todo", json!({ "key": "s3cret-0123456789" }));
    let by_setting = host.webhook_of_admin("todo-too", "todo");
    let page = |path: &str| {
        let answer = host.get(path).send();
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/html; charset=utf-8")));
        assert!(answer.header("content-security-policy").unwrap().contains("allow-forms"));
        answer.text().to_owned()
    };
    let record = "/api/latest/webhook/todo/call";
    assert_eq!(by_record.path(), "/api/latest/webhook/todo/call");
    let post = |target: &str, body: &[u8], location: &str| {
        let answer = form(&host, target, body).send();
        assert_eq!((answer.status, answer.header("location")), (303, Some(location)), "{}", answer.text());
    };
    let add = workspace_file("examples/todo/requests/add.form");
    post(&format!("{record}/add"), &add, "../call");
    post(&format!("{record}?action=add"), b"text=Bake", "?");
    post(&format!("{}?action=add", by_setting.path()), b"text=Eat", "?");
    post(&format!("{record}?action=tick"), b"id=2", "?");
    for path in [record, by_setting.path()] {
        let page = page(path);
        assert!(page.contains("<li><span>Water the plants &amp; the &lt;cactus&gt;</span>"), "{page}");
        assert!(page.contains("<li class=\"done\"><span>Bake</span>") && page.contains("<span>Eat</span>"), "{page}");
    }
    // The page's forms name no address: they go to where the page came from, key included, and the answer leads back there.
    let with_key = "/api/latest/webhook/todo-with-key/call?key=s3cret-0123456789";
    assert!(page(with_key).contains("<form method=\"post\"><input type=\"hidden\" name=\"action\" value=\"add\">"));
    assert!(!page(with_key).contains("s3cret-0123456789"));
    post(with_key, b"action=add&text=Sleep", "#");
    assert!(page(with_key).contains("<span>Sleep</span>"));
    post(&format!("{record}/delete/"), b"id=1", "../../call");
    assert!(!page(record).contains("cactus"));
    assert_eq!(form(&host, &format!("{record}/add"), "text=").send().status, 422);
    assert_eq!(host.get(&format!("{record}/nowhere")).send().status, 404);
    assert_eq!(host.request("DELETE", record).send().header("allow"), Some("GET, HEAD"));
    let head = host.request("HEAD", record).send();
    assert_eq!((head.status, head.text()), (200, ""));
}
