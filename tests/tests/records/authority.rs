//! The person or flow that sets an execution going must be allowed what it may do, and it runs with its own permissions: the table of
//! `docs/records.md`, cell by cell.

use flowhost_tests::scene::{text, until_status};
use flowhost_tests::{Answer, Host, Webhook, component};
use serde_json::{Value, json};

use crate::person::{Person, act_on, path};

/// The operation of the guest `records` that makes a setting.
fn make_setting(name: &str) -> Value {
    json!({ "ops": [{ "op": "create", "type": "setting", "members": { "name": name, "value": 1 } }] })
}

/// The code with which the guest's only operation was refused; `None` if it was not.
fn refusal(execution: &Value) -> Option<&str> {
    execution["output_value"]["results"][0]["code"].as_str()
}

fn is_there(host: &Host, setting: &str) -> bool {
    host.read(&format!("setting/{setting}?by=name")).status == 200
}

fn action(id: &str, verb: &str) -> String {
    format!("execution/{id}/action/{verb}")
}

/// People who may steer executions, by what else they may do.
struct Cast<'a> {
    /// May do everything.
    boss: Person<'a>,
    /// The same user by a token that is narrowed to the role `Operator`.
    narrowed: Person<'a>,
    /// May read everything and steer executions.
    operator: Person<'a>,
    /// May do what developers may.
    developer: Person<'a>,
}

impl<'a> Cast<'a> {
    fn of(host: &'a Host, name: &str) -> Self {
        let operator = host.read("role/Operator?by=name").ok();
        let roles = json!([{ "role_name": "Admin" }, { "role_name": "Operator" }]);
        let user = host.create("user", &json!({ "name": format!("{name}-boss"), "roles": roles })).ok();
        let token = |members: Value| {
            let issued = host.create(&format!("{}/token", path("user", &user)), &members).ok();
            Person { host, record: user.clone(), token: text(&issued, "token").to_owned() }
        };
        Self {
            boss: token(json!({ "name": "whole" })),
            narrowed: token(json!({ "name": "narrowed", "role_ids": [operator["id"]] })),
            operator: Person::in_role(host, &format!("{name}-operator"), "Operator"),
            developer: Person::in_role(host, &format!("{name}-developer"), "Developer"),
        }
    }
}

/// A webhook whose executions may do what these roles permit, and people who may and may not do all of that.
fn scenes<'a>(host: &'a Host, name: &str, guest: &str) -> Vec<(Webhook, Vec<Person<'a>>, Vec<Person<'a>>)> {
    let cast = |name: &str| Cast::of(host, name);
    let hook = |name: &str, roles: Value| host.webhook_with(name, guest, &json!({ "roles": roles }));
    let [none, developer, admin] = ["none", "developer", "admin"].map(|kind| format!("{name}-{kind}"));
    let mut scenes = Vec::new();
    let Cast { boss, narrowed, operator, developer: person } = cast(&none);
    scenes.push((hook(&none, json!([])), vec![boss, narrowed, operator, person], Vec::new()));
    let Cast { boss, narrowed, operator, developer: person } = cast(&developer);
    let webhook = hook(&developer, json!([{ "role_name": "Developer" }]));
    scenes.push((webhook, vec![boss, person], vec![narrowed, operator]));
    let Cast { boss, narrowed, operator, developer: person } = cast(&admin);
    let webhook = hook(&admin, json!([{ "role_name": "Admin" }]));
    scenes.push((webhook, vec![boss], vec![narrowed, operator, person]));
    host.set(&format!("client.webhook.{name}-user"), format!("flow_name: {guest}\nuser_name: admin")).ok();
    let webhook = Webhook { record: host.read(&format!("webhook/{name}-user?by=name")).ok() };
    let Cast { boss, narrowed, operator, developer: person } = cast(&format!("{name}-user"));
    scenes.push((webhook, vec![boss], vec![narrowed, operator, person]));
    scenes
}

fn forbidden(answer: &Answer) {
    let problem = answer.problem(403, "access.forbidden");
    assert!(text(&problem, "detail").contains("may do more than the token permits"), "{problem}");
}

#[test]
fn rerun_acts_as_the_first_execution() {
    let host = Host::shared();
    let webhook = host.webhook("auth-stranger", "records");
    let first = webhook.call(host, &make_setting("auth-stranger")).send().ok();
    assert_eq!(refusal(&first), Some("access.forbidden"));
    let again = act_on(host, &action(text(&first, "id"), "rerun"), &json!({})).ok();
    let ended = host.wait_until_ended(text(&again, "id"));
    assert_eq!(refusal(&ended.record), Some("access.forbidden"), "the stranger's call has become the operator's act");
    assert!(!is_there(host, "auth-stranger"));
    // Who ran it again stands in the record and in the log.
    let admin = host.read("user/admin?by=name").ok();
    assert_eq!([&again["created_by"], &again["user_id"]], [&admin["id"], &admin["id"]]);
    let log = host.log_of(text(&again, "id"));
    let line = log.iter().map(|line| text(line, "message")).find(|line| line.contains("runs the execution")).unwrap();
    assert!(line.contains("`admin`") && line.contains(text(&first, "id")), "{line}");
    // A re-run of the re-run is still the stranger's.
    let third = act_on(host, &action(text(&again, "id"), "rerun"), &json!({})).ok();
    let ended = host.wait_until_ended(text(&third, "id"));
    assert_eq!(refusal(&ended.record), Some("access.forbidden"));
}

#[test]
fn rerun_needs_all_that_the_first_execution_may() {
    let host = Host::shared();
    for (webhook, permitted, refused) in scenes(host, "auth-rerun", "records") {
        let setting = format!("{}-made", webhook.name());
        let first = webhook.call(host, &make_setting(&setting)).send().ok();
        let is_refused = refusal(&first) == Some("access.forbidden");
        let rerun = action(text(&first, "id"), "rerun");
        for person in refused {
            forbidden(&person.create(&rerun, &json!({})));
        }
        for person in permitted {
            // Its own permissions make it anew, not those of the person who asks for it.
            if !is_refused {
                assert_eq!(host.delete(&format!("setting/{setting}?by=name")).status, 204);
            }
            let again = person.create(&rerun, &json!({})).ok();
            assert_eq!(again["created_by"], *person.id());
            let ended = host.wait_until_ended(text(&again, "id"));
            assert_eq!(refusal(&ended.record), refusal(&first), "{}", webhook.name());
            assert_eq!(is_there(host, &setting), !is_refused);
        }
    }
}

#[test]
fn resume_needs_all_that_the_execution_may() {
    resumed_by("resume");
}

#[test]
fn set_productive_needs_all_that_the_execution_may() {
    resumed_by("set-productive");
}

fn resumed_by(verb: &str) {
    let host = Host::shared();
    for (webhook, permitted, refused) in scenes(host, &format!("auth-{verb}"), "sleeper") {
        let id = webhook.call_async(host, &json!({ "ms": 600_000 }));
        for person in &permitted {
            until_status(host, &id, "WAITING");
            // To stop it is for everyone who may update executions.
            for stopper in refused.iter().take(1) {
                stopper.create(&action(&id, "pause"), &json!({})).ok();
            }
            act_on(host, &action(&id, "pause"), &json!({})).ok();
            for person in &refused {
                forbidden(&person.create(&action(&id, verb), &json!({})));
                assert_eq!(host.read(&format!("execution/{id}")).ok()["status"], "PAUSED");
            }
            person.create(&action(&id, verb), &json!({})).ok();
        }
        let stopper = refused.iter().chain(&permitted).next().unwrap();
        stopper.create(&action(&id, "cancel"), &json!({})).ok();
        assert_eq!(host.wait_until_ended(&id).status(), "ENDED_CANCELLED");
    }
}

#[test]
fn clone_acts_as_the_execution_that_clones_itself() {
    let host = Host::shared();
    let identity = json!({ "ops": [{ "op": "identity" }] });
    for roles in [json!([{ "role_name": "Webhook" }]), json!([{ "role_name": "Developer" }])] {
        let name = format!("auth-clone-{}", text(&roles[0], "role_name"));
        let webhook = host.webhook_with(&name, "execution", &json!({ "roles": roles }));
        let first = webhook.call(host, &json!({ "ops": [{ "op": "clone", "input": identity }] })).send();
        let clone = first.ok()["output_value"]["results"][0]["ok"].as_str().unwrap().to_owned();
        let ended = host.wait_until_ended(&clone);
        let actor = &ended.outputs()["results"][0]["ok"];
        assert_eq!([&actor["id"], &actor["type"]], [&webhook.record["id"], &json!("WEBHOOK")], "{}", ended.record);
        // So does the clone's re-run.
        let again = act_on(host, &action(&clone, "rerun"), &json!({})).ok();
        let ended = host.wait_until_ended(text(&again, "id"));
        assert_eq!(ended.outputs()["results"][0]["ok"], *actor);
    }
}

#[test]
fn child_acts_as_the_execution_that_starts_it() {
    let host = Host::shared();
    host.deploy("records");
    for (role, is_refused) in [("Webhook", true), ("Developer", false)] {
        let name = format!("auth-child-{role}");
        let webhook = host.webhook_with(&name, "parent", &json!({ "roles": [{ "role_name": role }] }));
        let child = json!({ "flow": "records", "input": make_setting(&name) });
        let plan = json!({ "children": [child], "when": "ALL_ENDED" });
        let parent = webhook.call(host, &plan).send().ok();
        let child = parent["output_value"]["ids"][0].as_str().unwrap().to_owned();
        let record = host.read(&format!("execution/{child}")).ok();
        assert_eq!(refusal(&record).is_some(), is_refused, "{record}");
        assert_eq!(is_there(host, &name), !is_refused);
    }
}

#[test]
fn restored_flow_needs_all_that_its_webhooks_may() {
    let host = Host::shared();
    let Cast { boss, developer, .. } = Cast::of(host, "auth-restore");
    for (kind, developer_may) in [("none", true), ("Developer", true), ("Admin", false), ("setting", false)] {
        let name = format!("auth-restore-{kind}");
        let flow = host.deploy_as(&name, component("canary")).ok()["flow"].clone();
        let address = if kind == "setting" {
            host.set(&format!("client.webhook.{name}"), format!("flow_name: {name}\nuser_name: admin")).ok();
            format!("/api/latest/webhook/default/{name}")
        } else {
            let roles = if kind == "none" { json!([]) } else { json!([{ "role_name": kind }]) };
            let record = json!({ "name": name, "flow_name": name, "is_enabled": true, "roles": roles });
            text(&host.create("webhook", &record).ok(), "url").to_owned()
        };
        let call = || host.post(&address, "").send();
        call().ok();
        let restore = format!("{}/action/restore", path("flow", &flow));
        for (person, may) in [(&developer, developer_may), (&boss, true)] {
            // To stop it is for everyone who may delete flows.
            assert_eq!(developer.delete(&path("flow", &flow)).status, 204);
            call().problem(404, "webhook.not-found");
            if !may {
                forbidden(&person.create(&restore, &json!({})));
                call().problem(404, "webhook.not-found");
                act_on(host, &restore, &json!({})).ok();
            } else {
                person.create(&restore, &json!({})).ok();
            }
            call().ok();
        }
    }
}

#[test]
fn rerun_has_the_request_to_the_byte() {
    let host = Host::start();
    let webhook = host.webhook("auth-request", "echo");
    let signed = |body: &[u8], content_type: &str, query: &str| {
        let request = host.post(&format!("{}/%7Ea{query}", webhook.path()), body).header("Content-Type", content_type);
        request.header("X-Signature", "sha256=1").header("x-signature", b"caf\xe9").send()
    };
    let bodies: [(&[u8], &str); 5] = [
        (b"{ \"b\": 1.10, \"a\": [ ] }", "application/json"),
        (b" {\"a\":1}\n", "application/json"),
        (b"a=1&a=2&%62=%C3%A9", "application/x-www-form-urlencoded"),
        (b"\x00\xff\xfe", "application/octet-stream"),
        (b"", "text/plain"),
    ];
    let mut firsts = Vec::new();
    for (body, content_type) in bodies {
        for query in ["?q=%41+b&&q", "?async"] {
            let id = text(&signed(body, content_type, query).json(), "id").to_owned();
            firsts.push(host.wait_until_ended(&id));
        }
    }
    let host = host.crash();
    for first in firsts {
        let again = act_on(&host, &action(text(&first.record, "id"), "rerun"), &json!({})).ok();
        let again = host.wait_until_ended(text(&again, "id"));
        let (before, after) = (&first.outputs()["request"], &again.outputs()["request"]);
        assert!(before["headers"].is_array(), "{}", first.record);
        assert_eq!(before, after);
        assert_eq!(first.record["input_value"], again.record["input_value"]);
    }
}

#[test]
fn rerun_of_a_call_with_a_key_does_not_show_the_key() {
    let host = Host::shared();
    let webhook = host.webhook_with("auth-key", "echo", &json!({ "key": "k3y-that-is-secret" }));
    let payload = json!({ "key": "k3y-that-is-secret", "a": 1 });
    let first = webhook.call(host, &payload).send().ok();
    assert_eq!(first["output_value"]["request"]["body_is_exact"], false);
    let again = act_on(host, &action(text(&first, "id"), "rerun"), &json!({})).ok();
    let again = host.wait_until_ended(text(&again, "id"));
    assert_eq!(again.outputs()["request"], first["output_value"]["request"]);
    assert!(!again.record.to_string().contains("k3y-that-is-secret"));
}

/// What an earlier version kept of an ended execution had neither its actor nor its request.
fn forget_origins(host: &Host) {
    host.terminate();
    host.wait();
    let connection = rusqlite::Connection::open(host.data().join("flowhost.sqlite3")).unwrap();
    let forget = "UPDATE execution SET actor_kind = NULL, actor_id = NULL, request_method = NULL, request_body = NULL";
    connection.execute(forget, []).unwrap();
}

#[test]
fn rerun_of_an_earlier_versions_execution_acts_as_its_webhook() {
    let host = Host::start();
    let make = |name: &str| make_setting(&format!("auth-old-{name}"));
    let record = host.webhook_with("record", "records", &json!({ "roles": [{ "role_name": "Admin" }] }));
    let setting = host.webhook_of_admin("setting", "records");
    let parent = host.webhook_with("parent", "parent", &json!({ "roles": [{ "role_name": "Developer" }] }));
    let gone = host.webhook_with("gone", "records", &json!({ "roles": [{ "role_name": "Developer" }] }));
    let call = |webhook: &Webhook, payload: &Value| webhook.call(&host, payload).send().ok();
    let plan = json!({ "children": [{ "flow": "records", "input": make("child") }], "when": "ALL_ENDED" });
    let child = call(&parent, &plan)["output_value"]["ids"][0].as_str().unwrap().to_owned();
    let mut ids = vec![("child", child)];
    for (name, webhook) in [("record", &record), ("setting", &setting), ("gone", &gone)] {
        ids.push((name, text(&call(webhook, &make(name)), "id").to_owned()));
    }
    let Person { record: operator, token, .. } = Person::in_role(&host, "auth-old", "Operator");
    assert_eq!(host.delete(&format!("{}?permanently=true", gone.record_path())).status, 204);
    forget_origins(&host);
    let host = host.restart();
    let operator = Person { host: &host, record: operator, token };
    for (name, id) in ids {
        let rerun = action(&id, "rerun");
        if name == "gone" {
            // What it was allowed is not known.
            act_on(&host, &rerun, &json!({})).problem(409, "record.conflict");
            continue;
        }
        forbidden(&operator.create(&rerun, &json!({})));
        let setting = format!("auth-old-{name}");
        assert_eq!(host.delete(&format!("setting/{setting}?by=name")).status, 204);
        let again = act_on(&host, &rerun, &json!({})).ok();
        let ended = host.wait_until_ended(text(&again, "id"));
        assert_eq!(refusal(&ended.record), None, "{name}");
        assert!(is_there(&host, &setting), "{name}");
    }
}
