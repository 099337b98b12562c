//! Records as flows read and change them.

use flowhost_tests::scene::{DAY, database, items, perform, results, text, until_status, webhook_with};
use flowhost_tests::{Host, Setup, Webhook, after_every_commit};
use serde_json::{Value, json};

const FORBIDDEN: &str = "access.forbidden";

/// The result of one operation, as [`perform`] gives it.
fn one(host: &Host, webhook: &Webhook, operation: Value) -> Value {
    perform(host, webhook, json!([operation])).remove(0)
}

fn op(op: &str, record_type: &str, name: &str) -> Value {
    json!({ "op": op, "type": record_type, "name": name })
}

fn op_by_id(op: &str, record_type: &str, id: &Value) -> Value {
    json!({ "op": op, "type": record_type, "id": id })
}

fn with(mut operation: Value, more: Value) -> Value {
    operation.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    operation
}

fn create(record_type: &str, members: Value) -> Value {
    json!({ "op": "create", "type": record_type, "members": members })
}

fn update(record_type: &str, name: &str, members: Value) -> Value {
    with(op("update", record_type, name), json!({ "members": members }))
}

fn save(record_type: &str, name: &str, members: Value) -> Value {
    with(op("save", record_type, name), json!({ "members": members }))
}

/// A webhook whose executions may do everything.
fn of_admin(host: &Host, name: &str) -> Webhook {
    webhook_with(host, name, "records", json!({ "roles": [{ "role_name": "Admin" }] }))
}

#[test]
fn a_record_is_what_the_api_gives() {
    let host = Host::shared();
    let admin = of_admin(host, "records-read");
    host.deploy("canary");
    host.create("file", &json!({ "name": "records-file", "content": "text" })).ok();
    host.set("client.webhook.records-form", "flow_name: canary\nuser_name: admin\nkey: secret-0123456789").ok();
    for (record_type, name) in [
        ("flow", "canary"),
        ("webhook", "records-read"),
        ("webhook", "records-form"),
        ("setting", "client.webhook.records-form"),
        ("user", "admin"),
        ("role", "Developer"),
        ("project", "Default%20project"),
        ("file", "records-file"),
        ("workspace", "default"),
    ] {
        let record = host.read(&format!("{record_type}/{name}?by=name")).ok();
        let name = name.replace("%20", " ");
        let operations = json!([
            op("get", record_type, &name),
            op_by_id("get", record_type, &record["id"]),
            op("exists", record_type, &name),
            op_by_id("exists", record_type, &record["id"]),
        ]);
        let mut results = perform(host, &admin, operations);
        for given in &mut results[..2] {
            // It goes on by itself.
            given["last_activity"] = record["last_activity"].clone();
            if record.get("last_activity").is_none() {
                given.as_object_mut().unwrap().remove("last_activity");
            }
        }
        assert_eq!(results, [record.clone(), record, json!(true), json!(true)], "{record_type} {name}");
    }
    let ended = admin.call(host, &json!({ "ops": [] })).send().ok();
    let execution = host.read(&format!("execution/{}", text(&ended, "id"))).ok();
    assert_eq!(one(host, &admin, op_by_id("get", "execution", &ended["id"])), execution);
    assert_eq!(one(host, &admin, op_by_id("exists", "execution", &ended["id"])), true);
}

#[test]
fn what_is_not_there_is_not_found() {
    let host = Host::shared();
    let admin = of_admin(host, "records-missing");
    let missing = json!(["record.not-found"]);
    let nobody = json!("01a202e4-f47d-72a3-b440-9b77d4430568");
    let flow = host.deploy("canary")["flow"]["id"].clone();
    for record_type in ["bundle", "execution", "file", "flow", "project", "role", "setting", "user", "webhook"] {
        // A record of another type is none of this.
        let other = if record_type == "flow" { admin_id(host) } else { flow.clone() };
        let operations = json!([
            op("get", record_type, "nothing"),
            op_by_id("get", record_type, &nobody),
            op_by_id("get", record_type, &other),
            op_by_id("get", record_type, &json!("no id")),
            op("get", record_type, ""),
            op("exists", record_type, "nothing"),
            op_by_id("exists", record_type, &nobody),
            op_by_id("exists", record_type, &json!("no id")),
        ]);
        let mut expected = vec![missing.clone(); 5];
        expected.resize(8, json!(false));
        assert_eq!(perform(host, &admin, operations), expected, "{record_type}");
        if record_type != "execution" {
            let members = json!({ "members": { "description": "d" } });
            let operations = json!([
                with(op("update", record_type, "nothing"), members.clone()),
                with(op_by_id("update", record_type, &nobody), members),
                op("delete", record_type, "nothing"),
                op_by_id("delete", record_type, &nobody),
            ]);
            assert_eq!(perform(host, &admin, operations), vec![missing.clone(); 4], "{record_type}");
        }
    }
}

fn admin_id(host: &Host) -> Value {
    host.read("user/admin?by=name").ok()["id"].clone()
}

#[test]
fn records_are_made_changed_trashed_and_deleted() {
    let host = Host::shared();
    let admin = of_admin(host, "records-life");
    host.deploy("canary");
    for (record_type, members, change) in [
        ("bundle", json!({}), json!({ "description": "d" })),
        ("file", json!({ "content": "ä" }), json!({ "content": "b", "content_type": "text/plain" })),
        ("flow", json!({}), json!({ "options": { "max_executions": 3 } })),
        ("project", json!({}), json!({ "description": "d" })),
        ("role", json!({ "permissions": [{ "record_type": "FLOW" }] }), json!({ "permissions": [] })),
        ("setting", json!({ "value": [1] }), json!({ "value": { "a": null } })),
        ("user", json!({ "email": "a@example.org" }), json!({ "email": "b@example.org", "password": "a new secret" })),
        ("webhook", json!({ "flow_name": "canary" }), json!({ "key": "another secret of it", "is_enabled": true })),
    ] {
        let name = format!("records life {record_type}");
        let named = with(members, json!({ "name": name }));
        let escaped = name.replace(' ', "%20");
        let kept = || host.read(&format!("{record_type}/{escaped}?by=name")).ok();
        let made = one(host, &admin, create(record_type, named.clone()));
        assert_eq!(made, kept(), "{record_type}");
        assert_eq!(one(host, &admin, create(record_type, named)), json!(["record.name-taken"]), "{record_type}");
        let changed = one(host, &admin, update(record_type, &name, change.clone()));
        let mut now = kept();
        now["last_activity"] = changed["last_activity"].clone();
        if changed.get("last_activity").is_none() {
            now.as_object_mut().unwrap().remove("last_activity");
        }
        assert_eq!(changed, now, "{record_type}");
        for (member, value) in change.as_object().unwrap() {
            assert!(changed[member] == *value || ["password", "key"].contains(&&**member), "{record_type} {changed}");
        }
        let path = format!("{record_type}/{}", text(&made, "id"));
        let operations = json!([
            op("delete", record_type, &name),
            op("exists", record_type, &name),
            op_by_id("exists", record_type, &made["id"]),
            with(op_by_id("update", record_type, &made["id"]), json!({ "members": change })),
            with(op_by_id("delete", record_type, &made["id"]), json!({ "permanently": true })),
            op_by_id("exists", record_type, &made["id"]),
        ]);
        let expected = json!([null, false, true, ["record.readonly"], null, false]);
        assert_eq!(json!(perform(host, &admin, operations)), expected, "{record_type}");
        host.read(&path).problem(404, "record.not-found");
    }
}

#[test]
fn what_flows_change_is_effective_at_once_and_remembered_but_for_what_they_keep() {
    let host = Host::shared();
    let admin = of_admin(host, "records-effective");
    host.deploy("canary");
    let hook = json!({ "name": "records-made", "flow_name": "canary", "key": "made by a flow, at length", "is_enabled": true });
    let made = one(host, &admin, create("webhook", hook));
    assert_eq!((&made["is_key_required"], made.get("key")), (&json!(true), None));
    let path = "/api/latest/webhook/records-made/call";
    host.post(path, "").send().problem(401, "webhook.unauthorized");
    host.post(&format!("{path}?key=made%20by%20a%20flow%2C%20at%20length"), "").send().ok();
    one(host, &admin, update("webhook", "records-made", json!({ "is_enabled": false })));
    host.post(&format!("{path}?key=made%20by%20a%20flow%2C%20at%20length"), "")
        .send()
        .problem(404, "webhook.not-found");
    let history = host.read(&format!("webhook/{}/history", text(&made, "id"))).ok();
    assert_eq!(items(&history).len(), 2, "{history}");
    assert_eq!(history[0]["by"], host.read("webhook/records-effective?by=name").ok()["id"]);
    let kept = one(host, &admin, save("setting", "records-kept", json!({ "value": 1 })));
    assert_eq!(host.read(&format!("setting/{}/history", text(&kept, "id"))).ok(), json!([]));
    // What is secret is not in the journal either, as long as there is one.
    let host = Setup::new().set("unload_ms", DAY).start();
    host.deploy("sleeper");
    let admin = webhook_with(&host, "secret", "records", json!({ "roles": [{ "role_name": "Admin" }] }));
    host.user("roleless");
    let hook = json!({ "key": "journal-secret-long", "flow_name": "sleeper", "user_name": "roleless" });
    let secrets = json!([
        create("user", json!({ "name": "u", "password": "journal-secret-long" })),
        create("webhook", json!({ "name": "w", "flow_name": "sleeper", "key": "journal-secret-long" })),
        update("user", "u", json!({ "password": "journal-secret-long" })),
        with(op("set", "", "client.webhook.s"), json!({ "members": hook })),
        { "op": "sleep" },
    ]);
    let id = admin.call_async(&host, &json!({ "ops": secrets }));
    until_status(&host, &id, "WAITING");
    host.kill();
    host.wait();

    let database = database(&host);
    let mut calls = database.prepare("SELECT call FROM execution_journal").unwrap();
    let calls: Vec<String> = calls.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    assert!(calls.iter().all(|call| !call.contains("journal-secret-long")), "{calls:?}");
    for made in ["records.create", "records.update", "settings.save", "settings.compare-and-set"] {
        assert!(calls.iter().any(|call| call.starts_with(made)), "{made} is not in {calls:?}");
    }
}

#[test]
fn saving_makes_or_changes() {
    let host = Host::shared();
    let admin = of_admin(host, "records-save");
    let operations = json!([
        save("setting", "records.saved", json!({ "value": 1 })),
        save("setting", "records.saved", json!({ "value": 2, "description": "d" })),
        save("setting", "records.saved", json!({ "value": 3 })),
        save("setting", "records.saved", json!(7)),
        save("nothing", "records.saved", json!({})),
    ]);
    let results = perform(host, &admin, operations);
    assert!(results[..3].iter().all(|result| result["id"] == results[0]["id"]));
    assert_eq!(json!([results[2]["value"], results[2]["description"]]), json!([3, "d"]));
    assert_eq!(results[3..], [json!(["json.invalid"]), json!(["records.unknown-type"])]);
}

#[test]
fn lists_are_filtered_ordered_and_read_to_their_end() {
    let host = Setup::new().set("cpu_ms", DAY).start();
    let admin = of_admin(&host, "records");
    for number in 0..450 {
        host.create("project", &json!({ "name": format!("p{number:03}"), "description": "listed" })).ok();
    }
    let list = |more: Value| with(json!({ "op": "list", "type": "project" }), more);
    let listed = json!({ "field": "description", "value": "listed" });
    let names = one(&host, &admin, list(json!({ "filter": listed })));
    assert_eq!(items(&names).len(), 450);
    assert_eq!((&names[0], &names[449]), (&json!("p000"), &json!("p449")));
    let like = json!({ "and": [listed, { "field": "name", "op": "like", "value": "p01%" }] });
    let expected: Vec<String> = (10..20).rev().map(|number| format!("p{number:03}")).collect();
    assert_eq!(one(&host, &admin, list(json!({ "filter": like, "order": "-name" }))), json!(expected));
    // Executions, the newest first.
    let executions = json!({ "op": "list", "type": "execution", "fields": ["id", "status"] });
    let executions = one(&host, &admin, executions);
    assert_eq!(executions[0][1], "ENDED_SUCCESS");
    assert!(text_of(&executions[0][0]) > text_of(&executions[1][0]));
    let page = |more: Value| with(json!({ "op": "page", "type": "project" }), more);
    let of = |more: Value| one(&host, &admin, page(more));
    assert_eq!(of(json!({ "limit": 1_000 }))[0], 200);
    assert_eq!(of(json!({ "limit": 0 })), json!([0, null]));
    let malformed = json!(["request.malformed"]);
    for wrong in [
        json!({ "limit": 1, "filter": "{}" }),
        json!({ "limit": 1, "filter": r#"{"field": "nothing", "value": 1}"# }),
        json!({ "limit": 1, "filter": r#"{"field": "name", "op": "near", "value": "a"}"# }),
        json!({ "limit": 1, "order": "nothing" }),
        json!({ "limit": 1, "after": "nowhere" }),
    ] {
        assert_eq!(of(wrong.clone()), malformed, "{wrong}");
        let executions = with(wrong.clone(), json!({ "op": "page", "type": "execution" }));
        assert_eq!(one(&host, &admin, executions), malformed, "{wrong}");
    }
    assert_eq!(of(json!({ "limit": 1, "filter": "{" })), json!(["json.invalid"]));
}

#[test]
fn a_page_of_large_records_is_shorter_and_the_next_goes_on() {
    let host = Setup::new().set("cpu_ms", DAY).start();
    let admin = of_admin(&host, "records");
    let expected: Vec<String> = (0..12).map(|number| format!("large{number:02}")).collect();
    for name in &expected {
        host.create("setting", &json!({ "name": name, "value": "x".repeat(1_000_000) })).ok();
    }
    let page = one(&host, &admin, json!({ "op": "page", "type": "setting", "order": "name", "limit": 200 }));
    assert_eq!(page[0], 5);
    let list = json!({ "op": "list", "type": "setting", "order": "name", "filter": { "field": "name", "op": "like", "value": "large%" } });
    assert_eq!(one(&host, &admin, list), json!(expected));
    // Names are small, and are given as many as were asked for.
    let settings = webhook_with(&host, "settings", "settings", json!({ "roles": [{ "role_name": "Admin" }] }));
    assert_eq!(one(&host, &settings, json!({ "op": "names", "prefix": "large" })), json!(expected));
}

fn text_of(value: &Value) -> &str {
    value.as_str().unwrap()
}

#[test]
fn what_cannot_be_is_refused_and_the_flow_goes_on() {
    let host = Host::shared();
    let admin = of_admin(host, "records-wrong");
    host.deploy("canary");
    host.create("project", &json!({ "name": "records-guarded", "is_readonly": true })).ok();
    let raw = |op: &str, text: &str| json!({ "op": op, "type": "setting", "name": "a", "raw": text });
    let cases = [
        (op("get", "settings", "a"), "records.unknown-type"),
        (op("get", "SETTING", "a"), "records.unknown-type"),
        (op("exists", "", "a"), "records.unknown-type"),
        (json!({ "op": "list", "type": "schedule" }), "records.unknown-type"),
        (op("delete", "../flow", "a"), "records.unknown-type"),
        (raw("create", "{"), "json.invalid"),
        (raw("create", "[]"), "json.invalid"),
        (raw("create", "null"), "json.invalid"),
        (create("setting", json!({ "value": 1 })), "record.invalid"),
        (create("setting", json!({ "name": "a", "colour": "red" })), "record.invalid"),
        (create("user", json!({ "name": "a", "id": "01a202e4-f47d-72a3-b440-9b77d4430568" })), "record.invalid"),
        (create("webhook", json!({ "name": "a" })), "record.invalid"),
        (create("webhook", json!({ "name": "a/b", "flow_name": "canary" })), "record.invalid"),
        (create("execution", json!({ "name": "a" })), "request.method-not-allowed"),
        (create("workspace", json!({ "name": "a" })), "request.method-not-allowed"),
        (op("delete", "workspace", "default"), "request.method-not-allowed"),
        (update("project", "records-guarded", json!({ "description": "d" })), "record.readonly"),
        (op("delete", "project", "records-guarded"), "record.readonly"),
        (op("delete", "project", "Default project"), "record.readonly"),
        (update("user", "admin", json!({ "roles": [] })), "record.readonly"),
        (
            update("project", "records-guarded", json!({ "name": "Default project", "is_readonly": false })),
            "record.readonly",
        ),
        (create("file", json!({ "name": "a", "content": "?", "is_binary": true })), "record.invalid"),
    ];
    let operations: Vec<&Value> = cases.iter().map(|(operation, _)| operation).collect();
    let results = perform(host, &admin, json!(operations));
    for ((operation, code), result) in cases.iter().zip(results) {
        assert_eq!(result, json!([code]), "{operation}");
    }
    // An execution is not changed, nor deleted, by hand.
    let ended = admin.call(host, &json!({ "ops": [] })).send().ok();
    let change = with(op_by_id("update", "execution", &ended["id"]), json!({ "members": { "description": "d" } }));
    for operation in [change, op_by_id("delete", "execution", &ended["id"])] {
        assert_eq!(one(host, &admin, operation), json!(["request.method-not-allowed"]));
    }
}

#[test]
fn each_operation_on_a_record_needs_its_permission() {
    let host = Host::shared();
    let acting = |operations: &[&str]| {
        let role = format!("records-{}", operations.join("-"));
        let permissions: Vec<Value> =
            operations.iter().map(|operation| json!({ "record_type": "USER", "operation": operation })).collect();
        host.create("role", &json!({ "name": role, "permissions": permissions })).ok();
        let webhook = webhook_with(host, &role, "records", json!({ "roles": [{ "role_name": role }] }));
        let operations = json!([
            op("get", "user", "records-needs"),
            op("exists", "user", "records-needs"),
            json!({ "op": "list", "type": "user", "filter": { "field": "name", "value": "records-needs" } }),
            update("user", "records-needs", json!({ "description": "d" })),
            create("user", json!({ "name": role })),
            op("delete", "user", "records-needs"),
        ]);
        let results = perform(host, &webhook, operations);
        let told = |result: Value| if result.is_object() { json!("a record") } else { result };
        results.into_iter().map(told).collect::<Value>()
    };
    host.create("user", &json!({ "name": "records-needs" })).ok();
    let (no, record) = (|| json!([FORBIDDEN]), || json!("a record"));
    assert_eq!(acting(&[]), json!([no(), no(), no(), no(), no(), no()]));
    assert_eq!(acting(&["READ"]), json!([record(), true, ["records-needs"], no(), no(), no()]));
    assert_eq!(acting(&["READ", "UPDATE"]), json!([record(), true, ["records-needs"], record(), no(), no()]));
    assert_eq!(acting(&["CREATE"]), json!([no(), no(), no(), no(), record(), no()]));
    assert_eq!(acting(&["READ", "DELETE"]), json!([record(), true, ["records-needs"], no(), no(), null]));
}

#[test]
fn a_role_for_a_project_reaches_the_records_of_that_project_only() {
    let host = Host::shared();
    let [own, other] = ["records-own", "records-other"].map(|name| {
        let project = host.create("project", &json!({ "name": name })).ok();
        host.create("setting", &json!({ "name": name, "value": 1, "project_id": project["id"] })).ok();
        project
    });
    host.deploy("records");
    let permissions = json!([{ "project_id": own["id"] }]);
    host.create("role", &json!({ "name": "records-reach", "permissions": permissions })).ok();
    let members = json!({ "roles": [{ "role_name": "records-reach" }], "project_id": own["id"], "execution_location": "webhook_record" });
    let webhook = webhook_with(host, "records-reach", "records", members);
    let list = |record_type: &str, prefix: &str| {
        let filter = json!({ "field": "name", "op": "like", "value": format!("{prefix}%") });
        json!({ "op": "list", "type": record_type, "filter": filter })
    };
    let missing = json!(["record.not-found"]);
    let cases = [
        (list("setting", "records-o"), json!(["records-own"])),
        (list("project", "records-o"), json!(["records-own"])),
        (op("exists", "setting", "records-other"), json!(false)),
        (op("get", "setting", "records-other"), missing.clone()),
        (update("setting", "records-other", json!({ "value": 2 })), missing.clone()),
        (op("delete", "setting", "records-other"), missing),
        // Neither is it moved there, nor here from there.
        (update("setting", "records-own", json!({ "project_id": other["id"] })), json!([FORBIDDEN])),
        (create("setting", json!({ "name": "records-else", "project_name": "records-other" })), json!([FORBIDDEN])),
        (create("setting", json!({ "name": "records-other" })), json!(["record.name-taken"])),
    ];
    let operations: Vec<&Value> = cases.iter().map(|(operation, _)| operation).collect();
    let results = perform(host, &webhook, json!(operations));
    for ((operation, expected), result) in cases.iter().zip(results) {
        assert_eq!(result, *expected, "{operation}");
    }
    // What names no home belongs where the execution does.
    let made = one(host, &webhook, create("setting", json!({ "name": "records-home", "value": 1 })));
    assert_eq!(made["project_id"], own["id"], "{made}");
}

#[test]
fn nobody_lends_more_than_they_have() {
    let host = Host::shared();
    host.deploy("records");
    let permissions: Vec<Value> = ["USER", "ROLE", "WEBHOOK", "FLOW", "SETTING"]
        .iter()
        .map(|record_type| json!({ "record_type": record_type }))
        .collect();
    host.create("role", &json!({ "name": "records-lender", "permissions": permissions })).ok();
    let lender =
        webhook_with(host, "records-lender", "records", json!({ "roles": [{ "role_name": "records-lender" }] }));
    host.create("user", &json!({ "name": "records-strong", "roles": [{ "role_name": "Admin" }] })).ok();
    host.create("user", &json!({ "name": "records-weak", "roles": [{ "role_name": "records-lender" }] })).ok();
    let admin_role = json!([{ "role_name": "Admin" }]);
    let hook = |user: &str| json!({ "name": format!("client.webhook.{user}"), "value": { "flow_name": "records", "user_name": user } });
    for operation in [
        create("role", json!({ "name": "records-all", "permissions": [{}] })),
        create("user", json!({ "name": "records-puppet", "roles": admin_role })),
        update("user", "records-weak", json!({ "roles": admin_role })),
        update("webhook", "records-lender", json!({ "roles": admin_role })),
        update("role", "records-lender", json!({ "permissions": [{}] })),
        update("user", "records-strong", json!({ "password": "mine now" })),
        create("setting", hook("records-strong")),
    ] {
        assert_eq!(one(host, &lender, operation.clone()), json!([FORBIDDEN]), "{operation}");
    }
    for operation in [
        create("user", json!({ "name": "records-equal", "roles": [{ "role_name": "records-lender" }] })),
        update("user", "records-weak", json!({ "password": "theirs now" })),
        create("setting", hook("records-weak")),
    ] {
        let result = one(host, &lender, operation);
        assert!(result.is_object(), "{result}");
        assert!(!result.to_string().contains("theirs now"));
    }
}

#[test]
fn a_flow_is_not_the_user_that_it_acts_for() {
    let host = Host::shared();
    host.deploy("records");
    let roles = json!([{ "role_name": "Developer" }]);
    host.create("user", &json!({ "name": "records-kevin", "password": "correct horse", "roles": roles })).ok();
    host.set("client.webhook.records-kevin", "flow_name: records\nuser_name: records-kevin").ok();
    let acting = Webhook { record: host.read("webhook/records-kevin?by=name").ok() };
    let before = host.read("user/records-kevin?by=name").ok();
    for members in [
        json!({ "password": "known to me" }),
        json!({ "email": "me@example.org" }),
        json!({ "description": "d" }),
        json!({ "commit_message": "c" }),
        json!({}),
    ] {
        let named = update("user", "records-kevin", members.clone());
        let by_id = with(op_by_id("update", "user", &before["id"]), json!({ "members": members }));
        assert_eq!(
            perform(host, &acting, json!([named, by_id])),
            [json!([FORBIDDEN]), json!([FORBIDDEN])],
            "{members}"
        );
    }
    assert_eq!(host.read("user/records-kevin?by=name").ok(), before);
    let login = json!({ "user_name": "records-kevin", "password": "correct horse" });
    let login = host.post_json("/api/latest/auth/login", &login).send().ok();
    // Kevin changes them himself.
    let change = host.request("PATCH", &format!("/api/latest/user/{}?plain=true", text(&before, "id")));
    let change = change.header("Content-Type", "application/json").header("Authorization", text(&login, "token"));
    change.body(json!({ "email": "kevin@example.org" }).to_string()).send().ok();
}

#[test]
fn no_flow_decides_which_secrets_it_sees_nor_where_it_sends() {
    let host = Host::shared();
    let admin = of_admin(host, "records-reaching");
    let lines = json!(["https://a.example"]);
    for (name, members) in [("plain", json!({})), ("sent", json!({ "hosts": ["a.example"], "is_readable": true }))] {
        host.create("secret", &with(json!({ "name": format!("records-{name}") }), members)).ok();
    }
    for (name, options) in [("still", json!(null)), ("calls", json!({ "http_allow": lines, "max_executions": 1 }))] {
        host.create("flow", &json!({ "name": format!("records-{name}"), "options": options })).ok();
    }
    for operation in [
        update("secret", "records-plain", json!({ "is_readable": true })),
        update("secret", "records-plain", json!({ "hosts": ["evil.example"] })),
        update("secret", "records-plain", json!({ "description": "d", "hosts": ["*.example"] })),
        save("secret", "records-plain", json!({ "is_readable": true })),
        update("secret", "records-sent", json!({ "hosts": ["a.example", "evil.example"] })),
        update("secret", "records-sent", json!({ "hosts": [] })),
        update("secret", "records-sent", json!({ "is_readable": false })),
        create("secret", json!({ "name": "records-own", "is_readable": true })),
        create("secret", json!({ "name": "records-own", "hosts": ["evil.example"] })),
        update("flow", "records-still", json!({ "options": { "http_allow": ["https://evil.example"] } })),
        update("flow", "records-calls", json!({ "options": { "http_allow": ["https://*"] } })),
        update("flow", "records-calls", json!({ "options": null })),
        create("flow", json!({ "name": "records-own", "options": { "http_allow": lines } })),
    ] {
        let answer = admin.call(host, &json!({ "ops": [operation] })).send().ok();
        let refused = &answer["output_value"]["results"][0];
        assert_eq!(refused["code"], FORBIDDEN, "{operation}: {refused}");
        assert!(text(refused, "message").contains("no flow decides it; a person"), "{refused}");
    }
    // Anything else of them it changes, and what it sends back as it was is no change.
    for operation in [
        update("secret", "records-plain", json!({ "description": "d", "hosts": [], "is_readable": false })),
        update("secret", "records-sent", json!({ "description": "d", "hosts": ["a.example"], "is_readable": true })),
        create("secret", json!({ "name": "records-own", "hosts": null })),
        update("flow", "records-still", json!({ "options": { "max_executions": 2, "http_allow": [] } })),
        update("flow", "records-calls", json!({ "options": { "max_executions": 2, "http_allow": lines } })),
        create("flow", json!({ "name": "records-own", "options": { "max_executions": 2 } })),
    ] {
        assert!(one(host, &admin, operation.clone()).is_object(), "{operation}");
    }
    let sent = host.read("secret/records-sent?by=name").ok();
    assert_eq!([&sent["hosts"], &sent["is_readable"]], [&json!(["a.example"]), &json!(true)]);
}

#[test]
fn a_record_is_changed_once_however_often_the_host_dies() {
    let host = Host::start();
    let admin = of_admin(&host, "records");
    let names = |commits: u64| ["", "-renamed"].map(|end| format!("life-{commits}{end}"));
    let call = |host: &Host, commits| {
        let [name, renamed] = names(commits);
        let operations = json!([
            create("project", json!({ "name": name })),
            update("project", &name, json!({ "name": renamed })),
            op("exists", "project", &name),
            create("user", json!({ "name": name })),
            op("delete", "project", &renamed),
            // Of the name that has become free.
            create("project", json!({ "name": renamed })),
            with(op("delete", "user", &name), json!({ "permanently": true })),
            op("exists", "user", &name),
        ]);
        admin.call(host, &json!({ "ops": operations })).try_send()
    };
    // Six changes.
    after_every_commit(host, &admin, 4, call, |host, commits, ended| {
        let results = results(ended.outputs());
        for (number, result) in results.iter().enumerate() {
            assert!(!result.is_array(), "operation {number} after {commits} commits: {result}");
        }
        assert_eq!(
            [&results[2], &results[4], &results[6], &results[7]],
            [&json!(false), &Value::Null, &Value::Null, &json!(false)]
        );
        assert_eq!(results[1]["id"], results[0]["id"]);
        let [_, renamed] = names(commits);
        let kept = host.read(&format!("project/{renamed}?by=name")).ok();
        assert_eq!(kept, results[5]);
    });
}
