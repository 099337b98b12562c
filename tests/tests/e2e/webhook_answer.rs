//! What a caller gets, at once or later.

use flowhost_tests::{Answer, Host, Setup};
use serde_json::{Value, json};

fn members(object: &Value) -> Vec<&str> {
    object.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn a_sync_call_is_answered_with_the_whole_execution() {
    let host = Host::shared();
    let webhook = host.webhook("answer-whole", "outputs");
    let deployed = host.deploy("outputs");
    let answer = webhook.call(host, &json!({ "return": { "b": 1, "a": [true] } })).send();
    let execution = answer.ok();
    let expected = [
        "id",
        "flow",
        "webhook",
        "status",
        "status_message",
        "is_productive",
        "input_value",
        "output_value",
        "created_at",
        "started_at",
        "ended_at",
    ];
    assert_eq!(members(&execution), expected);
    let flow = json!({
        "id": deployed["flow"]["id"],
        "name": "outputs",
        "version": deployed["version"]["version"],
        "digest": deployed["version"]["digest"],
    });
    assert_eq!(execution["flow"], flow);
    assert_eq!(execution["webhook"], json!({ "id": webhook.record["id"], "name": "answer-whole" }));
    assert_eq!(execution["status"], "ENDED_SUCCESS");
    assert_eq!(execution["status_message"], Value::Null);
    assert_eq!(execution["is_productive"], true);
    assert_eq!(members(&execution["input_value"]), ["headers", "method", "path", "query", "json"]);
    assert_eq!(execution["output_value"].to_string(), r#"{"b":1,"a":[true]}"#);
    let times = ["created_at", "started_at", "ended_at"].map(|time| execution[time].as_str().unwrap());
    assert!(times[0].ends_with("+00:00") && times.is_sorted(), "{times:?}");
    assert_eq!(answer.header("flowhost-execution-id"), execution["id"].as_str());
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("location"), None);
}

#[test]
fn the_answer_can_be_the_outputs_alone() {
    let host = Host::shared();
    let options = json!({ "options": { "answer": "outputs" } });
    let webhook = host.webhook_with("answer-outputs", "outputs", &options);
    let answer = webhook.call(host, &json!({ "set": { "z": 1, "a": 2 }, "return": { "a": 3 } })).send();
    answer.ok();
    assert_eq!(answer.text(), r#"{"z":1,"a":3}"#);
    let id = answer.header("flowhost-execution-id").unwrap();
    assert_eq!(host.wait_until_ended(id).status(), "ENDED_SUCCESS");
    // A problem stays a problem.
    webhook.call(host, &json!({ "fail": "no" })).send().problem(500, "flow.error");
}

#[test]
fn a_flow_that_says_nothing_is_answered_without_content_where_the_answer_is_its_own() {
    let host = Host::shared();
    let options = json!({ "options": { "answer": "flow" } });
    let webhook = host.webhook_with("answer-flow", "outputs", &options);
    let answer = webhook.call(host, &json!({ "return": { "a": 3 } })).send();
    assert_eq!((answer.status, answer.text(), answer.header("cache-control")), (204, "", Some("no-store")));
    let id = answer.header("flowhost-execution-id").unwrap();
    assert_eq!(host.wait_until_ended(id).outputs()["a"], 3);
    webhook.call(host, &json!({ "fail": "no" })).send().problem(500, "flow.error");
    let setting = "flow_name: outputs\nuser_name: admin\noptions: { answer: flow }";
    host.set("client.webhook.answer-flow", setting).ok();
}

#[test]
fn what_a_sync_call_was_answered_is_what_the_record_says() {
    let host = Host::shared();
    let webhook = host.webhook("answer-record", "outputs");
    let answered = webhook.call(host, &json!({ "return": { "a": 1 } })).send().ok();
    let recorded = host.read(&format!("execution/{}", answered["id"].as_str().unwrap())).ok();
    for (member, value) in answered.as_object().unwrap() {
        assert_eq!(&recorded[member], value, "{member}");
    }
}

#[test]
fn an_async_call_is_answered_before_the_execution_ends() {
    let host = Host::shared();
    let webhook = host.webhook("async-early", "sleeper");
    let answer = host.post_json(&format!("{}?async", webhook.path()), &json!({ "ms": 600_000 })).send();
    let accepted = accepted(&answer);
    assert_eq!(accepted["status"], "SCHEDULED");
    let id = accepted["id"].as_str().unwrap();
    host.wait_until(id, "waits", |execution| execution["status"] == "WAITING");
    host.cancel(id).ok();
    assert_eq!(host.wait_until_ended(id).status(), "ENDED_CANCELLED");
}

/// The body of a 202, which is in order.
fn accepted(answer: &Answer) -> Value {
    assert_eq!(answer.status, 202, "{}", answer.text());
    let accepted = answer.json();
    assert_eq!(members(&accepted), ["id", "status"]);
    let id = accepted["id"].as_str().unwrap();
    assert_eq!(answer.header("flowhost-execution-id"), Some(id));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert!(answer.header("location").unwrap().starts_with(&format!("/api/latest/execution/{id}?ticket=")));
    accepted
}

#[test]
fn a_call_is_async_by_its_query_or_its_preference() {
    let host = Host::shared();
    let webhook = host.webhook("async-asked", "echo");
    let call = |query: &str, preference: Option<&str>| {
        let request = host.post(&format!("{}{query}", webhook.path()), "{}");
        match preference {
            Some(preference) => request.header("Prefer", preference).send().status,
            None => request.send().status,
        }
    };
    for query in ["?async", "?async=", "?async=1", "?async=true", "?a=b&async", "?async&a=b"] {
        assert_eq!(call(query, None), 202, "{query}");
    }
    for query in ["", "?async=0", "?async=false", "?a=async", "?asynchronous"] {
        assert_eq!(call(query, None), 200, "{query}");
    }
    for preference in ["respond-async", "wait=10, Respond-Async", "respond-async; foo=bar"] {
        assert_eq!(call("", Some(preference)), 202, "{preference}");
        assert_eq!(call("?async=0", Some(preference)), 200, "{preference}");
    }
    assert_eq!(call("", Some("return=minimal")), 200);
}

#[test]
fn a_preference_that_was_applied_is_named_and_no_other() {
    let host = Host::shared();
    let webhook = host.webhook("async-preferred", "echo");
    let applied = |query: &str, preference: &str| {
        let answer = host.post(&format!("{}{query}", webhook.path()), "{}").header("Prefer", preference).send();
        answer.header("preference-applied").map(str::to_owned)
    };
    assert_eq!(applied("", "wait=10, respond-async").as_deref(), Some("respond-async"));
    assert_eq!(applied("?async", "x-respond-async-y"), None);
    assert_eq!(applied("?async=0", "respond-async"), None);
}

#[test]
fn the_ticket_shows_the_caller_the_execution_without_a_login() {
    let host = Host::shared();
    let webhook = host.webhook("async-ticket", "outputs");
    let answer = host.post_json(&format!("{}?async", webhook.path()), &json!({ "return": { "a": 1 } })).send();
    let id = accepted(&answer)["id"].as_str().unwrap().to_owned();
    host.wait_until_ended(&id);
    let location = answer.header("location").unwrap();
    let read = host.get(location).send();
    let execution = read.ok();
    assert_eq!(execution["id"], id.as_str());
    assert_eq!(execution["status"], "ENDED_SUCCESS");
    assert_eq!(execution["output_value"], json!({ "a": 1 }));
    // As a synchronous caller would have seen it.
    let sync = webhook.call(host, &json!({})).send().ok();
    assert_eq!(members(&execution), members(&sync));
    assert_eq!(read.header("cache-control"), Some("no-store"));
}

#[test]
fn a_ticket_is_for_one_execution_and_nothing_else() {
    let host = Host::shared();
    let webhook = host.webhook("async-forged", "echo");
    let answers = [(); 2].map(|()| host.post(&format!("{}?async", webhook.path()), "").send());
    let [one, other] = answers.each_ref().map(|answer| accepted(answer)["id"].as_str().unwrap().to_owned());
    let ticket = answers[0].header("location").unwrap().split_once("ticket=").unwrap().1;
    let read = |what: &str, ticket: &str| host.get(&format!("/api/latest/{what}?ticket={ticket}")).send();
    assert_eq!(read(&format!("execution/{one}"), ticket).status, 200);

    let refused = read(&format!("execution/{other}"), ticket);
    refused.problem(401, "access.unauthorized");
    assert!(refused.header("www-authenticate").unwrap().starts_with("Bearer"));
    // Neither another character, nor fewer, nor another expiry will do.
    let last = if ticket.ends_with('A') { "Q" } else { "A" };
    let changed = format!("{}{last}", &ticket[..ticket.len() - 1]);
    let first = if ticket.starts_with('_') { "A" } else { "_" };
    let later = format!("{first}{}", &ticket[1..]);
    for forged in ["", "x", "%ff", &ticket[..10], &changed, &later] {
        read(&format!("execution/{one}"), forged).problem(401, "access.unauthorized");
    }
    for what in ["execution", "webhook", "setting", &format!("execution/{one}/log")] {
        read(what, ticket).problem(401, "access.unauthorized");
    }
    let cancel = host.request("POST", &format!("/api/latest/execution/{one}/action/cancel?ticket={ticket}"));
    cancel.send().problem(401, "access.unauthorized");
}

#[test]
fn a_ticket_survives_a_restart_and_expires() {
    let host = Setup::new().start();
    let webhook = host.webhook("async-expiry", "echo");
    let answer = host.post(&format!("{}?async", webhook.path()), "").send();
    host.wait_until_ended(accepted(&answer)["id"].as_str().unwrap());
    let location = answer.header("location").unwrap();
    let host = host.crash();
    host.get(location).send().ok();

    let host = Setup::new().set("ticket_ms", 1_000).start();
    let webhook = host.webhook("async-expiry", "echo");
    let answer = host.post(&format!("{}?async", webhook.path()), "").send();
    let location = answer.header("location").unwrap();
    flowhost_tests::until("the ticket expires", || (host.get(location).send().status == 401).then_some(()));
}

#[test]
fn an_async_call_that_fails_leaves_its_failure_in_the_record() {
    let host = Host::shared();
    let webhook = host.webhook("async-failure", "fail");
    let id = webhook.call_async(host, &json!({ "message": "no more", "code": "stock.empty", "details": [1] }));
    let ended = host.wait_until_ended(&id);
    assert_eq!((ended.status(), ended.failure()), ("ENDED_ERROR", Some("flow.error")));
    assert_eq!(ended.record["status_message"], "no more");
    assert_eq!(ended.record["failure"]["flow_code"], "stock.empty");
    assert_eq!(ended.record["failure"]["details"], json!([1]));
    assert_eq!(ended.record["is_durable"], true);
}

#[test]
fn development_mode_is_told_to_the_flow_and_kept_in_the_record() {
    let host = Host::shared();
    let record = host.webhook_with("mode-record", "echo", &json!({ "is_productive": false }));
    host.set("client.webhook.mode-setting", "flow_name: echo\nuser_name: admin\nmode: dev").ok();
    host.set("client.webhook.mode-default", "flow_name: echo\nuser_name: admin").ok();
    for (path, is_productive) in [
        (record.path(), false),
        ("/api/latest/webhook/default/mode-setting", false),
        ("/api/latest/webhook/default/mode-default", true),
    ] {
        let execution = host.post(path, "").send().ok();
        assert_eq!(execution["is_productive"], is_productive);
        assert_eq!(execution["output_value"]["productive"], is_productive);
        let id = execution["id"].as_str().unwrap();
        assert_eq!(host.read(&format!("execution/{id}")).ok()["is_productive"], is_productive);
    }
    host.change(&record.record_path(), &json!({ "is_productive": true })).ok();
    assert_eq!(host.post(record.path(), "").send().ok()["is_productive"], true);
}
