//! Messages to people, and their answers.

use flowhost_tests::{Host, Setup, Webhook};
use serde_json::{Value, json};

use flowhost_tests::scene::{
    DAY, act, begin, items, message_of, patient, perform, resident_and_unloaded, respond, results, said, text,
    until_status, until_unloaded, webhook, webhook_with,
};

fn form() -> Value {
    json!({ "type": "object", "required": ["yes"], "properties": { "yes": { "type": "boolean" } } })
}

fn send() -> Value {
    json!({ "op": "send", "subject": "Really?", "text": "*Really*?", "form": form() })
}

fn op(op: &str) -> Value {
    json!({ "op": op, "message": 0 })
}

/// A wait that is seen to have left memory.
fn wait() -> Value {
    json!({ "op": "wait", "message": 0, "timeout_ms": DAY })
}

/// Begins to wait for an answer, where waits are spent on this host. Gives the execution and the message.
fn ask(host: &Host, webhook: &Webhook, is_unloaded: bool) -> (String, String) {
    let id = begin(host, webhook, json!([send(), wait(), op("response"), op("responder")]));
    if is_unloaded {
        until_unloaded(host, &id)
    } else {
        until_status(host, &id, "WAITING")
    };
    let message = message_of(host, &id);
    (id, message)
}

fn message(host: &Host, id: &str) -> Value {
    host.read(&format!("message/{id}")).ok()
}

#[test]
fn a_message_is_answered_once_and_its_execution_goes_on_with_the_answer() {
    for (host, is_unloaded) in resident_and_unloaded().into_iter().zip([false, true]) {
        let webhook = webhook(host, "message-answer", "messages");
        let (execution, id) = ask(host, &webhook, is_unloaded);
        let open = message(host, &id);
        assert_eq!((&open["name"], &open["subject"], &open["status"]), (&json!(id), &json!("Really?"), &json!("OPEN")));
        assert_eq!((&open["form"], &open["execution_id"]), (&form(), &json!(execution)));
        let answer = json!({ "yes": true, "why": "ü" });
        let told = respond(host, &id, &answer).ok();
        assert_eq!((&told["status"], &told["response"]), (&json!("ANSWERED"), &answer));
        respond(host, &id, &answer).problem(409, "message.closed");
        let ended = host.wait_until_ended(&execution);
        assert_eq!(results(ended.success()), [json!(id), answer.clone(), json!([answer]), json!("admin")]);
        assert_eq!(said(host, &execution), ["ok send", "ok wait", "ok response", "ok responder"]);
        let kept = message(host, &id);
        assert_eq!((&kept["responder_name"], &kept["status"]), (&json!("admin"), &json!("ANSWERED")));
        assert!(kept["responded_at"].is_string());
    }
}

#[test]
fn a_response_that_does_not_fit_the_form_is_refused_with_what_is_wrong() {
    let host = Host::shared();
    let webhook = webhook(host, "message-form", "messages");
    let (execution, id) = ask(host, &webhook, false);
    let problem = respond(host, &id, &json!({ "yes": "maybe" })).problem(422, "message.invalid-response");
    assert_eq!(problem["violations"][0]["place"], "/yes");
    assert!(text(&problem, "detail").contains("`/yes`"), "{problem}");
    let target = format!("/api/latest/message/{id}/respond");
    host.post(&target, "{").as_operator().send().problem(400, "request.malformed-json");
    let large = json!("x".repeat(300_000));
    respond(host, &id, &large).problem(413, "request.too-large");
    assert_eq!(message(host, &id)["status"], "OPEN");
    respond(host, &id, &json!({ "yes": false })).ok();
    assert_eq!(host.wait_until_ended(&execution).status(), "ENDED_SUCCESS");
}

#[test]
fn a_wait_for_an_answer_lasts_as_long_as_it_says_and_leaves_the_message_open() {
    for host in resident_and_unloaded() {
        let webhook = webhook(host, "message-timeout", "messages");
        let short = json!({ "op": "wait", "message": 0, "timeout_ms": 20 });
        let id = begin(host, &webhook, json!([send(), short, op("response"), op("responder"), wait()]));
        host.wait_until(&id, "waits again", |_| said(host, &id).len() == 4);
        let open = message_of(host, &id);
        assert_eq!(message(host, &open)["status"], "OPEN");
        respond(host, &open, &json!({ "yes": true })).ok();
        let results = results(host.wait_until_ended(&id).outputs());
        let expected = [json!(["messages.wait-timeout"]), Value::Null, Value::Null, json!({ "yes": true })];
        assert_eq!(results[1..], expected);
    }
}

#[test]
fn open_messages_are_closed_by_the_flow_or_with_the_end_of_their_execution() {
    for (host, is_unloaded) in resident_and_unloaded().into_iter().zip([false, true]) {
        let webhook = webhook(host, "message-close", "messages");
        let closed = perform(host, &webhook, json!([send(), op("close"), op("close"), wait(), op("response")]));
        assert_eq!(closed[1..], [Value::Null, Value::Null, json!(["messages.closed"]), Value::Null]);
        let ended = perform(host, &webhook, json!([send()]));
        for id in [&closed[0], &ended[0]].map(|id| id.as_str().unwrap()) {
            assert_eq!(message(host, id)["status"], "CLOSED");
            respond(host, id, &json!({ "yes": true })).problem(409, "message.closed");
        }
        let (execution, id) = ask(host, &webhook, is_unloaded);
        host.cancel(&execution).ok();
        assert_eq!(host.wait_until_ended(&execution).status(), "ENDED_CANCELLED");
        assert_eq!(message(host, &id)["status"], "CLOSED");
    }
}

#[test]
fn a_wait_for_an_answer_outlives_a_crash_a_restart_and_a_pause() {
    for unload_ms in [1, DAY] {
        let host = Setup::new().set("unload_ms", unload_ms).start();
        let webhook = webhook(&host, "messages", "messages");
        let (execution, id) = ask(&host, &webhook, unload_ms == 1);
        let host = host.crash();
        until_status(&host, &execution, "WAITING");
        host.terminate();
        assert!(host.wait().success());
        let host = host.restart();
        until_status(&host, &execution, "WAITING");
        assert_eq!(act(&host, &execution, "pause").ok()["status"], "PAUSED");
        // It is answered while nobody listens.
        respond(&host, &id, &json!({ "yes": true })).ok();
        act(&host, &execution, "resume").ok();
        let ended = host.wait_until_ended(&execution);
        assert_eq!(results(ended.success())[..2], [json!(id), json!({ "yes": true })], "{}", ended.record);
        assert_eq!(host.all("message").len(), 1);
    }
}

#[test]
fn a_message_is_for_those_who_may_answer_it() {
    let host = Host::shared();
    let able = webhook(host, "message-able", "messages");
    let unable = webhook_with(host, "message-unable", "messages", json!({ "roles": [{ "role_name": "Webhook" }] }));
    assert_eq!(perform(host, &unable, json!([send()])), [json!(["access.forbidden"])]);
    let token = |name: &str, role: &str| {
        let user = host.create("user", &json!({ "name": name, "roles": [{ "role_name": role }] })).ok();
        let token = host.create(&format!("user/{}/token", text(&user, "id")), &json!({ "name": "t" })).ok();
        format!("Bearer {}", text(&token, "token"))
    };
    let (user, other, webhook_role) =
        (token("message-user", "User"), token("message-other", "User"), token("message-none", "Webhook"));
    let recipient = json!({ "op": "send", "subject": "You?", "recipient": "message-user" });
    let execution = begin(host, &able, json!([recipient, wait(), op("responder")]));
    until_status(host, &execution, "WAITING");
    let id = message_of(host, &execution);
    let as_user = |token: &str| {
        let request = host.post_json(&format!("/api/latest/message/{id}/respond"), &json!(null));
        request.header("Authorization", token).send()
    };
    as_user(&webhook_role).problem(404, "record.not-found");
    as_user(&other).problem(403, "access.forbidden");
    respond(host, &id, &json!(null)).problem(403, "access.forbidden");
    as_user(&user).ok();
    let ended = host.wait_until_ended(&execution);
    assert_eq!(results(ended.success())[1..], [Value::Null, json!("message-user")]);
    // People neither make, change nor delete messages.
    host.create("message", &json!({ "name": "a" })).problem(405, "request.method-not-allowed");
    host.change(&format!("message/{id}"), &json!({ "description": "a" })).problem(405, "request.method-not-allowed");
    host.delete(&format!("message/{id}")).problem(405, "request.method-not-allowed");
}

#[test]
fn what_is_no_message_is_refused() {
    let host = Host::shared();
    let webhook = webhook(host, "message-refused", "messages");
    let foreign = perform(host, &webhook, json!([send()]))[0].clone();
    let send = |more: Value| {
        let mut send = json!({ "op": "send", "subject": "s" });
        send.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        send
    };
    for (wrong, code) in [
        (send(json!({ "subject": "" })), "messages.invalid"),
        (send(json!({ "subject": "two\nlines" })), "messages.invalid"),
        (send(json!({ "subject": "s".repeat(257) })), "messages.invalid"),
        (send(json!({ "text": "t".repeat((64 << 10) + 1) })), "messages.invalid"),
        (send(json!({ "recipient": "nobody-has-this" })), "messages.invalid"),
        (send(json!({ "raw_form": "{" })), "json.invalid"),
        (send(json!({ "form": { "type": "texts" } })), "messages.invalid-form"),
        (send(json!({ "form": { "$ref": "file:///etc/passwd" } })), "messages.invalid-form"),
        (send(json!({ "form": { "$ref": "#" } })), "messages.invalid-form"),
        (json!({ "op": "wait", "message": foreign }), "messages.not-found"),
        (json!({ "op": "response", "message": "nonsense" }), "messages.not-found"),
        (json!({ "op": "responder", "message": foreign }), "messages.not-found"),
        (json!({ "op": "close", "message": foreign }), "messages.not-found"),
    ] {
        assert_eq!(perform(host, &webhook, json!([wrong])), [json!([code])], "{wrong}");
    }
}

#[test]
fn a_hostile_flow_sends_no_more_messages_than_it_may() {
    let host = patient().start();
    let webhook = webhook(&host, "messages", "messages");
    let ended = webhook.call(&host, &json!({ "flood": true })).send().ok();
    assert_eq!(ended["output_value"], json!({ "code": "messages.too-many", "sent": 1000 }));
    let messages = host.all("message");
    assert_eq!(messages.len(), 1000);
    assert!(messages.iter().all(|message| message["status"] == "CLOSED"));
}

#[test]
fn messages_are_listed_shown_and_answered_on_the_command_line() {
    let host = Setup::new().set("unload_ms", DAY).start();
    let webhook = webhook(&host, "approval", "approval");
    let payload: Value =
        serde_json::from_slice(&flowhost_tests::workspace_file("examples/approval/requests/laptop.json")).unwrap();
    let execution = webhook.call_async(&host, &payload);
    until_status(&host, &execution, "WAITING");
    let id = message_of(&host, &execution);
    let listed = host.cli(&["messages", "ls"]).stdout;
    // Times are those of the other lists, to the second.
    let created = text(&host.read(&format!("message/{id}")).ok(), "created_at").replacen('T', " ", 1);
    assert!(listed.contains(&format!("{}Z", created.split_once('.').unwrap().0)), "{listed}");
    assert!(listed.contains(&id) && listed.contains("grace asks for 1890.50"), "{listed}");
    let shown = host.cli(&["messages", "show", &id]).stdout;
    assert!(shown.contains("A laptop for the new colleague") && shown.contains("\"decision\""), "{shown}");
    let problem = host.cli(&["messages", "respond", &id, r#"{"decision":"maybe"}"#, "--json"]).problem(6);
    assert_eq!(problem["code"], "message.invalid-response", "{problem}");
    assert_eq!(host.cli(&["messages", "respond", &id, r#"{"decision":"approve"}"#]).exit, Some(0));
    let ended = host.wait_until_ended(&execution);
    assert_eq!(ended.outputs(), &json!({ "decision": "approve", "comment": "", "decided_by": "admin" }));
    assert!(!host.cli(&["messages", "ls"]).stdout.contains(&id));
    assert_eq!(items(&host.cli(&["messages", "ls", "--all", "--json"]).json()).len(), 1);
}
