//! `webhook-record.md`, row by row: each test has the name of the property that it is about.

use flowhost_model::{Class, RecordType, definition};
use flowhost_tests::scene::text;
use flowhost_tests::{Host, Webhook, component, until};
use serde_json::{Value, json};

use crate::person::{Person, act_on, path};

/// Every property of the brief's `Webhook`.
const OF_THE_BRIEF: &str = "bundle_id bundle_name commit_message created_at created_by deleted_at deleted_by description \
    execution_location flow_id flow_name has_deprecation has_syntax_error id identity_type is_bundle_readonly is_deleted \
    is_enabled is_key_required is_productive is_project_readonly is_readonly key last_activity location_inheritance \
    modified_at modified_by name organization_id project_id project_name record_type repository_path require_login \
    resource_type roles schema_version url workspace_id";

const TYPES_OF_THE_BRIEF: &str = "BUNDLE BUNDLE_REPOSITORY CONNECTOR CUSTOM_OBJECT DEVOLUTIONS_CONFIG EXECUTION FILE FLOW \
    LDAP_CONFIG MESSAGE OAUTH OBJECT_TEMPLATE ORGANIZATION PLUGIN PROCESS PROJECT ROLE SCHEDULE SCHEDULER SCHEMA SETTING \
    SYNC_CONFIG TAG USER VAULT_CONFIG WEBHOOK WORKSPACE WRAPPER";

const NOBODY: &str = "01a202e4-f47d-72a3-b440-9b77d4430568";

fn assert_class(property: &str, class: Class) {
    let property = definition(RecordType::Webhook).property(property).unwrap();
    assert_eq!(property.class, class, "{}", property.name);
}

/// A webhook that calls `canary`, and what it is read as.
fn webhook(host: &Host, name: &str) -> Webhook {
    host.webhook(name, "canary")
}

fn read(host: &Host, webhook: &Webhook) -> Value {
    host.read(&webhook.record_path()).ok()
}

fn refused(host: &Host, webhook: &Webhook, change: &Value) -> String {
    let before = read(host, webhook);
    let problem = host.change(&webhook.record_path(), change).problem(422, "record.invalid");
    assert_eq!(read(host, webhook), before, "{change} was refused, but not whole");
    text(&problem, "detail").to_owned()
}

/// The host sets it; whoever sends it back unchanged changes nothing, whoever sends another value is refused.
fn assert_read_only(host: &Host, webhook: &Webhook, property: &str, other: &Value) {
    let own = read(host, webhook)[property].clone();
    assert_ne!(own, *other);
    host.change(&webhook.record_path(), &json!({ property: own })).ok();
    let detail = refused(host, webhook, &json!({ property: other }));
    assert!(detail.contains(&format!("`{property}`: is set by the host")), "{detail}");
}

/// A webhook that may have one execution, and has one that goes on until it is cancelled.
#[test]
fn webhook_counts_what_runs_across_changes_and_restarts() {
    let host = flowhost_tests::scene::patient().set("unload_ms", flowhost_tests::scene::DAY).start();
    let limited = json!({ "options": { "max_executions": 1 } });
    let webhook = host.webhook_with("counted", "wait-forever", &limited);
    let id = webhook.call_async(&host, &json!({}));
    let is_busy = |host: &Host| drop(webhook.call(host, &json!({})).send().problem(429, "webhook.busy"));
    is_busy(&host);
    let path = webhook.record_path();
    for is_enabled in [false, true] {
        host.change(&path, &json!({ "is_enabled": is_enabled })).ok();
    }
    is_busy(&host);
    assert_eq!(host.delete(&path).status, 204);
    host.post(&format!("/api/latest/{path}/action/restore"), "").as_operator().send().ok();
    is_busy(&host);
    host.change(&path, &json!({ "name": "counted-too" })).ok();
    host.change(&path, &json!({ "name": "counted" })).ok();
    is_busy(&host);
    let host = host.crash();
    is_busy(&host);
    host.cancel(&id).ok();
    host.wait_until_ended(&id);
    // Its place is free when it has left memory, right behind its end.
    flowhost_tests::until("its place is free", || {
        let answer = webhook.call(&host, &json!({})).header("Prefer", "respond-async").send();
        (answer.status == 202).then_some(())
    });
}

#[test]
fn id() {
    let host = Host::shared();
    assert_class("id", Class::Neither);
    let [one, other] = ["row-id-1", "row-id-2"].map(|name| webhook(host, name));
    let [one_id, other_id] = [&one, &other].map(|webhook| text(&webhook.record, "id"));
    // Made by the host, of version 7, which orders by time.
    assert_eq!((one_id.len(), &one_id[14..15]), (36, "7"));
    assert!(one_id < other_id);
    assert_read_only(host, &one, "id", &json!(NOBODY));
    let given = json!({ "name": "row-id-3", "flow_name": "canary", "id": NOBODY });
    host.create("webhook", &given).problem(422, "record.invalid");
}

#[test]
fn name() {
    let host = Host::shared();
    assert_class("name", Class::Both);
    let one = host.webhook("  row-name ", "canary");
    assert_eq!(one.record["name"], "row-name");
    let again = json!({ "name": "row-name\t", "flow_name": "canary" });
    host.create("webhook", &again).problem(409, "record.name-taken");
    // Unique within its type only.
    host.user("row-name");
    let long = "n".repeat(128);
    assert_eq!(host.webhook(&long, "canary").record["name"], *long);
    for (name, words) in [
        (json!("n".repeat(129)), "129 characters"),
        (json!(" "), "empty"),
        (json!("a\nb"), "control"),
        (json!("a/b"), "`/`"),
        (json!("call"), "`call`"),
        (json!(7), "text"),
        (Value::Null, "text"),
    ] {
        let detail = refused(host, &one, &json!({ "name": name }));
        assert!(detail.contains("`name`") && detail.contains(words), "{detail}");
    }
    // A new name takes the address along.
    let renamed = host.change(&one.record_path(), &json!({ "name": "row-renamed" })).ok();
    assert_eq!(renamed["url"], "/api/latest/webhook/row-renamed/call");
    host.post("/api/latest/webhook/row-renamed/call", "").send().ok();
    host.post(one.path(), "").send().problem(404, "webhook.not-found");
}

#[test]
fn description() {
    let host = Host::shared();
    assert_class("description", Class::Both);
    let webhook = webhook(host, "row-description");
    assert_eq!(webhook.record["description"], Value::Null);
    let lines = "one\n  two\n\nthree äöü ".repeat(1_000);
    assert_eq!(host.change(&webhook.record_path(), &json!({ "description": lines })).ok()["description"], *lines);
    assert_eq!(read(host, &webhook)["description"], *lines);
    assert!(refused(host, &webhook, &json!({ "description": ["x"] })).contains("`description`: must be a text"));
    assert_eq!(host.change(&webhook.record_path(), &json!({ "description": null })).ok()["description"], Value::Null);
}

fn is_timestamp(value: &Value) -> bool {
    // 2026-11-22T09:48:44.000000+00:00
    let text = value.as_str().unwrap_or_default();
    text.len() == 32 && &text[10..11] == "T" && &text[19..20] == "." && text.ends_with("+00:00")
}

#[test]
fn created_at_modified_at_deleted_at() {
    let host = Host::shared();
    let webhook = webhook(host, "row-times");
    for property in ["created_at", "modified_at", "deleted_at"] {
        assert_class(property, Class::Export);
        assert_read_only(host, &webhook, property, &json!("2026-01-01T00:00:00.000000+00:00"));
    }
    let created = webhook.record["created_at"].clone();
    assert!(is_timestamp(&created), "{created}");
    assert_eq!(webhook.record["modified_at"], created);
    assert_eq!(webhook.record["deleted_at"], Value::Null);
    let changed = host.change(&webhook.record_path(), &json!({ "description": "x" })).ok();
    assert_eq!(changed["created_at"], created);
    assert!(text(&changed, "modified_at") > text(&changed, "created_at"));
    assert_eq!(host.delete(&webhook.record_path()).status, 204);
    let trashed = read(host, &webhook);
    assert!(is_timestamp(&trashed["deleted_at"]) && text(&trashed, "deleted_at") > text(&changed, "modified_at"));
    assert_eq!(
        act_on(host, &format!("{}/action/restore", webhook.record_path()), &json!({})).ok()["deleted_at"],
        Value::Null
    );
}

#[test]
fn created_by_modified_by_deleted_by() {
    let host = Host::shared();
    let [maker, changer, remover] =
        ["row-maker", "row-changer", "row-remover"].map(|name| Person::in_role(host, name, "Developer"));
    host.deploy("canary");
    let created = maker.create("webhook", &json!({ "name": "row-by", "flow_name": "canary" })).ok();
    assert_eq!([&created["created_by"], &created["modified_by"]], [maker.id(), maker.id()]);
    let path = path("webhook", &created);
    let changed = changer.change(&path, &json!({ "is_enabled": true })).ok();
    assert_eq!([&changed["created_by"], &changed["modified_by"]], [maker.id(), changer.id()]);
    assert_eq!(remover.delete(&path).status, 204);
    let webhook = Webhook { record: created };
    let trashed = read(host, &webhook);
    assert_eq!([&trashed["created_by"], &trashed["deleted_by"]], [maker.id(), remover.id()]);
    act_on(host, &format!("{path}/action/restore"), &json!({})).ok();
    for property in ["created_by", "modified_by", "deleted_by"] {
        assert_class(property, Class::Export);
        assert_read_only(host, &webhook, property, &json!(NOBODY));
    }
}

#[test]
fn is_deleted() {
    let host = Host::shared();
    assert_class("is_deleted", Class::Export);
    let webhook = webhook(host, "row-deleted");
    assert_eq!(webhook.record["is_deleted"], false);
    assert_read_only(host, &webhook, "is_deleted", &json!(true));
    host.post(webhook.path(), "").send().ok();
    assert_eq!(host.delete(&webhook.record_path()).status, 204);
    assert_eq!(read(host, &webhook)["is_deleted"], true);
    // In the trash it can be neither called nor modified.
    host.post(webhook.path(), "").send().problem(404, "webhook.not-found");
    let problem = host.change(&webhook.record_path(), &json!({ "description": "x" })).problem(409, "record.readonly");
    assert!(text(&problem, "detail").contains("in the trash"));
    act_on(host, &format!("{}/action/rotate-key", webhook.record_path()), &json!({})).problem(409, "record.readonly");
    // But restored, and deleted for good.
    let restored = act_on(host, &format!("{}/action/restore", webhook.record_path()), &json!({})).ok();
    assert_eq!(restored["is_deleted"], false);
    host.post(webhook.path(), "").send().ok();
    assert_eq!(host.delete(&format!("{}?permanently=true", webhook.record_path())).status, 204);
    host.read(&webhook.record_path()).problem(404, "record.not-found");
    host.post(webhook.path(), "").send().problem(404, "webhook.not-found");
}

#[test]
fn is_readonly() {
    let host = Host::shared();
    assert_class("is_readonly", Class::Both);
    let webhook = webhook(host, "row-readonly");
    assert_eq!(webhook.record["is_readonly"], false);
    let path = webhook.record_path();
    assert_eq!(host.change(&path, &json!({ "is_readonly": true })).ok()["is_readonly"], true);
    let guarded = read(host, &webhook);
    for change in [
        json!({ "description": "x" }),
        json!({ "is_enabled": false }),
        json!({ "is_readonly": false, "key": "k-0123456789abcde" }),
    ] {
        host.change(&path, &change).problem(409, "record.readonly");
    }
    host.delete(&path).problem(409, "record.readonly");
    act_on(host, &format!("{path}/action/rotate-key"), &json!({})).problem(409, "record.readonly");
    assert_eq!(host.read(&path).ok(), guarded);
    // Use stays allowed.
    host.post(webhook.path(), "").send().ok();
    let cleared = host.change(&path, &json!({ "is_readonly": false, "commit_message": "open" })).ok();
    assert_eq!(cleared["is_readonly"], false);
    host.change(&path, &json!({ "description": "x" })).ok();
}

#[test]
fn is_project_readonly() {
    guarded_by_its_parent("project");
}

#[test]
fn is_bundle_readonly() {
    guarded_by_its_parent("bundle");
}

fn guarded_by_its_parent(kind: &str) {
    let host = Host::shared();
    let flag = format!("is_{kind}_readonly");
    assert_class(&flag, Class::Neither);
    let name = format!("row-guard-{kind}");
    let parent = host.create(kind, &json!({ "name": name })).ok();
    let webhook = host.webhook_with(&name, "canary", &json!({ format!("{kind}_name"): name }));
    assert_eq!(webhook.record[&flag], false);
    assert_read_only(host, &webhook, &flag, &json!(true));
    host.change(&path(kind, &parent), &json!({ "is_readonly": true })).ok();
    let guarded = read(host, &webhook);
    assert_eq!([&guarded[&flag], &guarded["is_readonly"]], [true, false]);
    for change in [json!({ "description": "x" }), json!({ "is_readonly": true }), json!({ "is_readonly": false })] {
        host.change(&webhook.record_path(), &change).problem(409, "record.readonly");
    }
    host.delete(&webhook.record_path()).problem(409, "record.readonly");
    let more = json!({ "name": format!("{name}-more"), "flow_name": "canary", format!("{kind}_name"): name });
    host.create("webhook", &more).problem(409, "record.readonly");
    host.post(webhook.path(), "").send().ok();
    host.change(&path(kind, &parent), &json!({ "is_readonly": false })).ok();
    host.change(&webhook.record_path(), &json!({ "is_readonly": true })).ok();
}

#[test]
fn project_id_project_name() {
    belongs_to("project", "bundle");
}

#[test]
fn bundle_id_bundle_name() {
    belongs_to("bundle", "project");
}

fn belongs_to(kind: &str, other: &str) {
    let host = Host::shared();
    let (id, name) = (format!("{kind}_id"), format!("{kind}_name"));
    let (other_id, other_name) = (format!("{other}_id"), format!("{other}_name"));
    assert_class(&id, Class::Both);
    assert_class(&name, Class::Neither);
    let own = format!("row-{kind}");
    let parent = host.create(kind, &json!({ "name": own })).ok();
    let elsewhere = host.create(other, &json!({ "name": own })).ok();
    let webhook = webhook(host, &own);
    // The name is looked up and sets the id.
    let moved = host.change(&webhook.record_path(), &json!({ &name: format!(" {own} ") })).ok();
    assert_eq!([&moved[&id], &moved[&name]], [&parent["id"], &parent["name"]]);
    assert_eq!([&moved[&other_id], &moved[&other_name]], [&Value::Null, &Value::Null]);
    // Whatever belongs to one leaves the other; both at once are refused.
    let moved = host.change(&webhook.record_path(), &json!({ &other_id: elsewhere["id"] })).ok();
    assert_eq!([&moved[&other_id], &moved[&id]], [&elsewhere["id"], &Value::Null]);
    for both in [
        json!({ &id: parent["id"], &other_id: elsewhere["id"] }),
        json!({ &id: parent["id"], &other_name: own }),
        json!({ &name: own, &other_name: own }),
    ] {
        assert!(refused(host, &webhook, &both).contains("not to both"), "{both}");
    }
    let home = host.change(&webhook.record_path(), &json!({ &id: parent["id"], &other_id: null })).ok();
    assert_eq!([&home[&id], &home[&other_id]], [&parent["id"], &Value::Null]);
    // References to nothing, to another type's record, to the trash.
    assert!(refused(host, &webhook, &json!({ &id: NOBODY })).contains(&format!("there is no {kind} {NOBODY}")));
    assert!(refused(host, &webhook, &json!({ &id: elsewhere["id"] })).contains("there is no"));
    assert!(refused(host, &webhook, &json!({ &name: "row-none" })).contains("`row-none`"));
    assert!(refused(host, &webhook, &json!({ &id: "x" })).contains("UUID"));
    assert!(refused(host, &webhook, &json!({ &id: NOBODY, &name: own })).contains("another record"));
    let empty = host.create(kind, &json!({ "name": format!("{own}-empty") })).ok();
    assert_eq!(host.delete(&path(kind, &empty)).status, 204);
    assert!(refused(host, &webhook, &json!({ &id: empty["id"] })).contains("in the trash"));
    assert!(refused(host, &webhook, &json!({ &name: empty["name"] })).contains("there is no"));
}

#[test]
fn workspace_id_organization_id() {
    let host = Host::shared();
    let webhook = webhook(host, "row-workspace");
    for kind in ["workspace", "organization"] {
        let property = format!("{kind}_id");
        assert_class(&property, Class::Export);
        assert_eq!(webhook.record[&property], host.read(kind).ok()[0]["id"]);
        assert_read_only(host, &webhook, &property, &json!(NOBODY));
    }
}

#[test]
fn record_type_resource_type() {
    let host = Host::shared();
    let webhook = webhook(host, "row-type");
    for property in ["record_type", "resource_type"] {
        assert_class(property, Class::Neither);
        assert_eq!(webhook.record[property], "WEBHOOK");
        assert_read_only(host, &webhook, property, &json!("FLOW"));
    }
    // The brief's list is the enum, whether or not each type exists yet, and the one type of this host's own.
    let document = host.get("/api/latest/openapi.json").send().ok();
    let types = &document["components"]["schemas"]["Webhook"]["properties"]["record_type"]["enum"];
    let types: Vec<&str> = types.as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let types: Vec<&str> = types.into_iter().filter(|name| *name != "SECRET").collect();
    assert_eq!(types.join(" "), TYPES_OF_THE_BRIEF);
}

#[test]
fn warning() {
    let host = Host::start();
    assert_class("warning", Class::Neither);
    let webhook = webhook(&host, "row-warning");
    assert_eq!(webhook.record["warning"], Value::Null);
    assert_read_only(&host, &webhook, "warning", &json!("beware"));
    let owner = Person::in_role(&host, "row-warning-owner", "Developer");
    owner.change(&webhook.record_path(), &json!({ "is_productive": false })).ok();
    assert_eq!(read(&host, &webhook)["warning"], Value::Null);
    host.change(&path("user", &host.read("user/row-warning-owner?by=name").ok()), &json!({ "is_enabled": false })).ok();
    let warning = read(&host, &webhook)["warning"].clone();
    assert!(warning.as_str().unwrap().contains("development mode"), "{warning}");
}

#[test]
fn schema_version() {
    let host = Host::shared();
    assert_class("schema_version", Class::Both);
    let webhook = webhook(host, "row-schema");
    assert_eq!(webhook.record["schema_version"], "1");
    host.change(&webhook.record_path(), &json!({ "schema_version": "1" })).ok();
    assert!(refused(host, &webhook, &json!({ "schema_version": "2" })).contains("only `1` is known"));
    let future = json!({ "name": "row-schema-2", "flow_name": "canary", "schema_version": "2" });
    host.create("webhook", &future).problem(422, "record.invalid");
    assert!(refused(host, &webhook, &json!({ "schema_version": "1".repeat(129) })).contains("129 characters"));
}

#[test]
fn commit_message() {
    let host = Host::shared();
    assert_class("commit_message", Class::Import);
    host.deploy("canary");
    let made = json!({ "name": "row-commit", "flow_name": "canary", "commit_message": "why it\nwas made" });
    let webhook = Webhook { record: host.create("webhook", &made).ok() };
    let path = webhook.record_path();
    host.change(&path, &json!({ "description": "x", "commit_message": "why it was changed" })).ok();
    host.change(&path, &json!({ "description": "y" })).ok();
    assert_eq!(host.delete(&format!("{path}?commit_message=why%20it%20went")).status, 204);
    act_on(host, &format!("{path}/action/restore?commit_message=back"), &json!({})).ok();
    let history = host.read(&format!("{path}/history")).ok();
    let told: Vec<(&str, Option<&str>)> = history
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| (text(entry, "operation"), entry["commit_message"].as_str()))
        .collect();
    assert_eq!(
        told,
        [
            ("restored", Some("back")),
            ("trashed", Some("why it went")),
            ("updated", None),
            ("updated", Some("why it was changed")),
            ("created", Some("why it\nwas made")),
        ]
    );
    // With the change, never on the record.
    let answer = host.read(&path);
    assert!(answer.ok().get("commit_message").is_none() && !answer.text().contains("why it"));
    assert!(refused(host, &webhook, &json!({ "commit_message": 1 })).contains("`commit_message`"));
}

#[test]
fn repository_path() {
    let host = Host::shared();
    assert_class("repository_path", Class::Neither);
    let webhook = webhook(host, "row path");
    assert_eq!(webhook.record["repository_path"], "Default project/webhook/row path.yaml");
    assert_read_only(host, &webhook, "repository_path", &json!("elsewhere.yaml"));
    let bundle = host.create("bundle", &json!({ "name": format!("../{}", "b".repeat(120)) })).ok();
    let moved =
        host.change(&webhook.record_path(), &json!({ "bundle_id": bundle["id"], "name": "n".repeat(127) })).ok();
    let path = text(&moved, "repository_path");
    assert!(path.chars().count() <= 256, "{path}");
    assert!(!path.split('/').any(|part| part == ".."), "{path}");
}

#[test]
fn identity_type() {
    let host = Host::shared();
    assert_class("identity_type", Class::Neither);
    let webhook = webhook(host, "row-identity");
    assert_eq!(webhook.record["identity_type"], "WEBHOOK");
    assert_read_only(host, &webhook, "identity_type", &json!("USER"));
}

#[test]
fn roles() {
    let host = Host::shared();
    assert_class("roles", Class::Import);
    let webhook = webhook(host, "row-roles");
    let user = host.read("role/User?by=name").ok();
    let service = host.read("role/Webhook?by=name").ok();
    let given = json!([{ "role_name": "User" }, { "role_id": service["id"], "propagate": false }]);
    let kept = json!([
        { "role_id": user["id"], "propagate": true },
        { "role_id": service["id"], "propagate": false },
    ]);
    assert_eq!(host.change(&webhook.record_path(), &json!({ "roles": given })).ok()["roles"], kept);
    assert_eq!(host.change(&webhook.record_path(), &json!({ "roles": kept })).ok()["roles"], kept);
    for (roles, place) in [
        (json!([{ "role_name": "row-none" }]), "roles[0]"),
        (json!([{ "role_name": "User" }, { "role_id": NOBODY }]), "roles[1]"),
        (json!([{ "role_id": webhook.record["id"] }]), "roles[0]"),
        (json!([{}]), "roles[0]"),
        (json!([{ "role_name": "User", "role_id": user["id"] }]), "either"),
        (json!([{ "role_name": "User", "colour": 1 }]), "colour"),
        (json!("User"), "`roles`"),
    ] {
        let detail = refused(host, &webhook, &json!({ "roles": roles }));
        assert!(detail.contains(place), "{roles}: {detail}");
    }
    assert_eq!(host.change(&webhook.record_path(), &json!({ "roles": [] })).ok()["roles"], json!([]));
}

#[test]
fn last_activity() {
    let host = Host::start();
    assert_class("last_activity", Class::Neither);
    let webhook = host.webhook_with("active", "canary", &json!({ "key": "k-0123456789abcde" }));
    assert_eq!(webhook.record["last_activity"], Value::Null);
    assert_read_only(&host, &webhook, "last_activity", &json!("2026-01-01T00:00:00.000000+00:00"));
    // A refused call is none.
    host.post(webhook.path(), "").send().problem(401, "webhook.unauthorized");
    assert_eq!(read(&host, &webhook)["last_activity"], Value::Null);
    host.post(&format!("{}?key=k-0123456789abcde", webhook.path()), "").send().ok();
    let first = read(&host, &webhook);
    assert!(is_timestamp(&first["last_activity"]));
    assert!(text(&first, "last_activity") > text(&first, "modified_at"));
    host.post(&format!("{}?key=k-0123456789abcde&async", webhook.path()), "").send();
    let second = read(&host, &webhook);
    assert!(text(&second, "last_activity") > text(&first, "last_activity"));
    // A call is no change, and it outlives the process.
    assert_eq!(second["modified_at"], first["modified_at"]);
    host.terminate();
    assert!(host.wait().success());
    let host = host.restart();
    assert_eq!(read(&host, &webhook)["last_activity"], second["last_activity"]);
}

#[test]
fn flow_id_flow_name() {
    let host = Host::shared();
    assert_class("flow_id", Class::Both);
    assert_class("flow_name", Class::Import);
    let webhook = webhook(host, "row-flow");
    let canary = host.read("flow/canary?by=name").ok();
    assert_eq!([&webhook.record["flow_id"], &webhook.record["flow_name"]], [&canary["id"], &canary["name"]]);
    let echo = host.deploy("echo")["flow"].clone();
    let changed = host.change(&webhook.record_path(), &json!({ "flow_name": " echo " })).ok();
    assert_eq!(changed["flow_id"], echo["id"]);
    assert_eq!(host.post(webhook.path(), "").send().ok()["flow"]["name"], "echo");
    let changed = host.change(&webhook.record_path(), &json!({ "flow_id": canary["id"] })).ok();
    assert_eq!(changed["flow_name"], "canary");
    host.change(&webhook.record_path(), &json!({ "flow_id": canary["id"], "flow_name": "canary" })).ok();
    for (change, words) in [
        (json!({ "flow_id": NOBODY }), "there is no flow"),
        (json!({ "flow_id": webhook.record["id"] }), "there is no flow"),
        (json!({ "flow_name": "row-none" }), "no flow named `row-none`"),
        (json!({ "flow_name": null }), "flow_id"),
        (json!({ "flow_id": null }), "flow_id"),
        (json!({ "flow_id": echo["id"], "flow_name": "canary" }), "another record"),
        (json!({ "flow_id": 7 }), "UUID"),
    ] {
        let detail = refused(host, &webhook, &change);
        assert!(detail.contains(words), "{change}: {detail}");
    }
    host.create("webhook", &json!({ "name": "row-flow-2" })).problem(422, "record.invalid");
    host.create("webhook", &json!({ "name": "row-flow-2", "flow_name": "row-none" })).problem(422, "record.invalid");
    // The id stays where the flow is renamed.
    let own = host.deploy_as("row-flow-own", component("canary")).ok()["flow"].clone();
    host.change(&webhook.record_path(), &json!({ "flow_name": "row-flow-own" })).ok();
    host.change(&path("flow", &own), &json!({ "name": "row-flow-renamed" })).ok();
    assert_eq!(read(host, &webhook)["flow_name"], "row-flow-renamed");
    assert_eq!(host.post(webhook.path(), "").send().ok()["flow"]["name"], "row-flow-renamed");
}

#[test]
fn is_enabled() {
    let host = Host::shared();
    assert_class("is_enabled", Class::Export);
    host.deploy("canary");
    let made = host.create("webhook", &json!({ "name": "row-enabled", "flow_name": "canary" })).ok();
    let webhook = Webhook { record: made };
    assert_eq!(webhook.record["is_enabled"], false);
    // A disabled webhook answers as an unknown one.
    let disabled = host.post(webhook.path(), "").send();
    let unknown = host.post("/api/latest/webhook/row-unknown/call", "").send();
    assert_eq!(disabled.problem(404, "webhook.not-found"), unknown.problem(404, "webhook.not-found"));
    host.change(&webhook.record_path(), &json!({ "is_enabled": true })).ok();
    host.post(webhook.path(), "").send().ok();
    host.change(&webhook.record_path(), &json!({ "is_enabled": false })).ok();
    host.post(webhook.path(), "").send().problem(404, "webhook.not-found");
    assert!(refused(host, &webhook, &json!({ "is_enabled": 1 })).contains("true or false"));
}

#[test]
fn key() {
    let host = Host::shared();
    assert_class("key", Class::Neither);
    let webhook = host.webhook_with("row-key", "echo", &json!({ "key": "first-Secret-of-it" }));
    let call = |key: &str| host.post(&format!("{}?key={key}", webhook.path()), "").send();
    call("wrong").problem(401, "webhook.unauthorized");
    host.post(webhook.path(), "").send().problem(401, "webhook.unauthorized");
    let called = call("first-Secret-of-it");
    called.ok();
    // It comes with the call, and is seen by nobody: not by the flow, not in records, lists or histories.
    for answer in [
        called,
        host.read(&webhook.record_path()),
        host.read("webhook"),
        host.read("execution?webhook=row-key"),
        host.read(&format!("{}/history", webhook.record_path())),
        host.change(&webhook.record_path(), &json!({ "description": "x" })),
    ] {
        assert!(answer.ok() != Value::Null && !answer.text().contains("first-Secret-of-it"), "{}", answer.text());
    }
    assert!(read(host, &webhook).get("key").is_none());
    // Nor is it a property that lists know, which would let it be guessed.
    host.read("webhook?filter=%7B%22field%22:%22key%22,%22op%22:%22like%22,%22value%22:%22f%25%22%7D")
        .problem(400, "request.malformed");
    host.read("webhook?order=key").problem(400, "request.malformed");
    let longest = "k".repeat(128);
    host.change(&webhook.record_path(), &json!({ "key": longest })).ok();
    call(&longest).ok();
    call("first-Secret-of-it").problem(401, "webhook.unauthorized");
    assert!(refused(host, &webhook, &json!({ "key": "k".repeat(129) })).contains("129 characters"));
    assert!(refused(host, &webhook, &json!({ "key": "" })).contains("empty"));
    assert!(refused(host, &webhook, &json!({ "key": 7 })).contains("`key`"));
    host.change(&webhook.record_path(), &json!({ "key": null })).ok();
    host.post(webhook.path(), "").send().ok();
}

#[test]
fn is_key_required() {
    let host = Host::shared();
    assert_class("is_key_required", Class::Export);
    let webhook = webhook(host, "row-key-required");
    assert_eq!(webhook.record["is_key_required"], false);
    assert_read_only(host, &webhook, "is_key_required", &json!(true));
    assert_eq!(
        host.change(&webhook.record_path(), &json!({ "key": "k-0123456789abcde" })).ok()["is_key_required"],
        true
    );
    assert_read_only(host, &webhook, "is_key_required", &json!(false));
    host.post(webhook.path(), "").send().problem(401, "webhook.unauthorized");
    assert_eq!(host.change(&webhook.record_path(), &json!({ "key": null })).ok()["is_key_required"], false);
    host.post(webhook.path(), "").send().ok();
}

#[test]
fn require_login() {
    let host = Host::shared();
    assert_class("require_login", Class::Export);
    let webhook = webhook(host, "row-login");
    assert_eq!(webhook.record["require_login"], false);
    assert_eq!(host.change(&webhook.record_path(), &json!({ "require_login": true })).ok()["require_login"], true);
    host.post(webhook.path(), "").send().problem(401, "webhook.unauthorized");
    host.post(webhook.path(), "").as_operator().send().ok();
    assert!(refused(host, &webhook, &json!({ "require_login": "no" })).contains("true or false"));
    host.change(&webhook.record_path(), &json!({ "require_login": false })).ok();
    host.post(webhook.path(), "").send().ok();
}

#[test]
fn is_productive() {
    let host = Host::shared();
    assert_class("is_productive", Class::Both);
    let webhook = host.webhook("row-productive", "echo");
    assert_eq!(webhook.record["is_productive"], true);
    let started = |expected: bool| {
        let execution = host.post(webhook.path(), "").send().ok();
        assert_eq!([&execution["is_productive"], &execution["output_value"]["productive"]], [expected, expected]);
    };
    started(true);
    assert_eq!(host.change(&webhook.record_path(), &json!({ "is_productive": false })).ok()["is_productive"], false);
    started(false);
    assert!(refused(host, &webhook, &json!({ "is_productive": "true" })).contains("true or false"));
}

#[test]
fn execution_location() {
    let host = Host::shared();
    assert_class("execution_location", Class::Both);
    let [flows, webhooks] =
        ["row-location-flow", "row-location-hook"].map(|name| host.create("project", &json!({ "name": name })).ok());
    let bundle = host.create("bundle", &json!({ "name": "row-location" })).ok();
    let default = host.read("project/Default%20project?by=name").ok();
    let flow = host.deploy_as("row-location", component("canary")).ok()["flow"].clone();
    host.change(&path("flow", &flow), &json!({ "project_id": flows["id"] })).ok();
    let made = json!({
        "name": "row-location", "flow_name": "row-location", "is_enabled": true, "project_id": webhooks["id"],
    });
    let webhook = Webhook { record: host.create("webhook", &made).ok() };
    assert_eq!(webhook.record["execution_location"], "flow_record");
    let place = || {
        let id = host.post(webhook.path(), "").send().ok()["id"].as_str().unwrap().to_owned();
        let execution = host.read(&format!("execution/{id}")).ok();
        [execution["project_id"].clone(), execution["bundle_id"].clone()]
    };
    assert_eq!(place(), [flows["id"].clone(), Value::Null]);
    for (location, project) in [("webhook_record", &webhooks), ("default_project", &default), ("flow_record", &flows)] {
        host.change(&webhook.record_path(), &json!({ "execution_location": location })).ok();
        assert_eq!(place(), [project["id"].clone(), Value::Null], "{location}");
    }
    host.change(&path("flow", &flow), &json!({ "bundle_id": bundle["id"] })).ok();
    assert_eq!(place(), [Value::Null, bundle["id"].clone()]);
    assert!(refused(host, &webhook, &json!({ "execution_location": "nowhere" })).contains("one of flow_record"));
}

#[test]
fn location_inheritance() {
    let host = Host::shared();
    assert_class("location_inheritance", Class::Neither);
    let webhook = webhook(host, "row-inheritance");
    assert_eq!(webhook.record["location_inheritance"], Value::Null);
    for option in ["created_by", "default", "wrapped_resource", "resource"] {
        host.change(&webhook.record_path(), &json!({ "location_inheritance": option })).ok();
        assert_eq!(read(host, &webhook)["location_inheritance"], option);
    }
    assert!(refused(host, &webhook, &json!({ "location_inheritance": "parent" })).contains("one of created_by"));
    host.change(&webhook.record_path(), &json!({ "location_inheritance": null })).ok();
    assert_eq!(read(host, &webhook)["location_inheritance"], Value::Null);
}

#[test]
fn url() {
    let host = Host::shared();
    assert_class("url", Class::Export);
    let webhook = host.webhook("row url+é", "canary");
    assert_eq!(webhook.record["url"], "/api/latest/webhook/row%20url%2B%C3%A9/call");
    host.post(webhook.path(), "").send().ok();
    host.post(&format!("{}/below", webhook.path()), "").send().ok();
    assert_read_only(host, &webhook, "url", &json!("/elsewhere"));
    let longest = host.webhook(&"é".repeat(128), "canary");
    assert!(longest.path().len() <= 1024);
    host.post(longest.path(), "").send().ok();
}

#[test]
fn has_syntax_error() {
    assert_class("has_syntax_error", Class::Export);
    let host = Host::start();
    let webhook = webhook(&host, "syntax");
    assert_eq!(webhook.record["has_syntax_error"], false);
    assert_read_only(&host, &webhook, "has_syntax_error", &json!(true));
    // An upload that fails validation is not activated.
    host.deploy_as("canary", b"\0asm nonsense").problem(422, "component.invalid");
    assert_eq!(read(&host, &webhook)["has_syntax_error"], false);
    assert_eq!(host.read("flow/canary?by=name").ok()["active_version"], 1);
    host.post(webhook.path(), "").send().ok();
}

/// What a newer release may find: components that it does not take any more.
fn spoil_components(host: &Host) {
    let connection = rusqlite::Connection::open(host.data().join("flowhost.sqlite3")).unwrap();
    let bytes = b"\0asm\x0d\0\x01\0 and then nonsense";
    assert!(connection.execute("DELETE FROM blob_chunk", []).unwrap() > 0);
    let blobs = connection.execute("UPDATE blob SET size = ?", [bytes.len() as i64]).unwrap();
    let chunks = "INSERT INTO blob_chunk (blob, chunk, bytes) SELECT key, 0, ? FROM blob";
    assert_eq!(connection.execute(chunks, [bytes]).unwrap(), blobs);
}

#[test]
fn has_syntax_error_of_a_version_that_the_host_cannot_run_any_more() {
    let host = Host::start();
    let webhook = webhook(&host, "syntax");
    host.user("syntax-user");
    host.set("client.webhook.syntax-setting", "flow_name: canary\nuser_name: syntax-user\n").ok();
    host.terminate();
    host.wait();
    spoil_components(&host);
    std::fs::remove_dir_all(host.data().join("artifacts")).unwrap();
    let host = host.restart();
    let has_error = |path: &str| host.read(path).ok()["has_syntax_error"] == true;
    until("the flow is known not to run", || has_error("flow/canary?by=name").then_some(()));
    assert!(has_error(&webhook.record_path()));
    assert!(has_error("webhook/syntax-setting?by=name"));
    // A caller can mend nothing of it, and learns nothing of it.
    let problem = host.post(webhook.path(), "").send().problem(500, "host.error");
    assert!(!problem.to_string().contains("component"), "{problem}");
    // A version that can be run makes it good.
    host.deploy_as("canary", component("echo")).ok();
    assert!(!has_error("flow/canary?by=name") && !has_error(&webhook.record_path()));
    host.post(webhook.path(), "").send().ok();
}

#[test]
fn has_syntax_error_of_a_version_that_a_call_could_not_load() {
    let host = Host::start();
    let webhook = webhook(&host, "syntax");
    host.terminate();
    host.wait();
    spoil_components(&host);
    // There, so that the start leaves it alone; but not whole.
    for artifact in std::fs::read_dir(host.data().join("artifacts")).unwrap() {
        std::fs::write(artifact.unwrap().path(), "damaged").unwrap();
    }
    let host = host.restart();
    assert_eq!(read(&host, &webhook)["has_syntax_error"], false);
    host.post(webhook.path(), "").send().problem(500, "host.error");
    assert_eq!(read(&host, &webhook)["has_syntax_error"], true);
}

#[test]
fn has_deprecation() {
    let host = Host::shared();
    assert_class("has_deprecation", Class::Export);
    let webhook = webhook(host, "row-deprecation");
    // No interface is deprecated yet.
    assert_eq!(webhook.record["has_deprecation"], false);
    assert_read_only(host, &webhook, "has_deprecation", &json!(true));
}

#[test]
fn a_webhook_has_these_properties_and_no_others() {
    let host = Host::shared();
    let webhook = webhook(host, "row-all");
    let mut held: Vec<String> = webhook.record.as_object().unwrap().keys().cloned().collect();
    held.extend(["key", "commit_message"].map(str::to_owned));
    held.sort_unstable();
    let mut expected: Vec<&str> =
        OF_THE_BRIEF.split_whitespace().chain(["form", "options", "user_name", "warning"]).collect();
    expected.sort_unstable();
    assert_eq!(held, expected);
}

#[test]
fn which_types_belong_to_what_and_can_be_read_only() {
    // The lists of the brief's text, of the types that there are.
    for (record_type, project, bundle, readonly) in [
        (RecordType::Bundle, false, false, true),
        (RecordType::Execution, true, true, false),
        (RecordType::File, true, true, true),
        (RecordType::Flow, true, true, true),
        (RecordType::Organization, false, false, false),
        (RecordType::Project, false, false, true),
        (RecordType::Role, false, true, true),
        (RecordType::Setting, true, true, true),
        (RecordType::User, false, false, false),
        (RecordType::Webhook, true, true, true),
        (RecordType::Workspace, false, false, false),
    ] {
        let definition = definition(record_type);
        let has = |property: &str| definition.property(property).is_some();
        assert_eq!(
            [has("project_id"), has("bundle_id"), has("is_readonly")],
            [project, bundle, readonly],
            "{record_type}"
        );
    }
    let host = Host::shared();
    for (record_type, record, words) in [
        ("user", json!({ "name": "row-home", "project_name": "Default project" }), "does not belong to a project"),
        ("project", json!({ "name": "row-home", "bundle_id": NOBODY }), "does not belong to a bundle"),
        (
            "role",
            json!({ "name": "row-home", "permissions": [], "project_id": NOBODY }),
            "does not belong to a project",
        ),
        ("user", json!({ "name": "row-home", "is_readonly": true }), "cannot be read-only"),
    ] {
        let problem = host.create(record_type, &record).problem(422, "record.invalid");
        assert!(text(&problem, "detail").contains(words), "{problem}");
    }
}

#[test]
fn the_setting_form_shows_up_wherever_webhooks_are_listed() {
    let host = Host::shared();
    host.deploy("canary");
    let setting = host
        .set("client.webhook.row-form", "flow_name: canary\nuser_name: admin\nkey: k-0123456789abcde\nmode: dev")
        .ok();
    let listed = host.read("webhook?limit=1000").ok();
    let webhook = listed.as_array().unwrap().iter().find(|webhook| webhook["id"] == setting["id"]).unwrap();
    assert_eq!(*webhook, host.read("webhook/row-form?by=name").ok());
    assert_eq!(*webhook, host.read(&path("webhook", &setting)).ok());
    let seen = ["name", "record_type", "flow_name", "user_name", "form", "url"].map(|member| text(webhook, member));
    assert_eq!(seen, ["row-form", "WEBHOOK", "canary", "admin", "setting", "/api/latest/webhook/default/row-form"]);
    let seen = ["is_enabled", "is_key_required", "is_productive", "require_login"].map(|member| &webhook[member]);
    assert_eq!(seen, [true, true, false, false]);
    let record = webhook.as_object().unwrap();
    assert!(!record.contains_key("key") && !record.contains_key("value"));
    // It is the setting that is changed and deleted.
    for answer in [
        host.change(&path("webhook", &setting), &json!({ "is_enabled": false })),
        host.delete(&path("webhook", &setting)),
        act_on(host, &format!("{}/action/rotate-key", path("webhook", &setting)), &json!({})),
    ] {
        assert!(text(&answer.problem(422, "record.invalid"), "detail").contains("client.webhook.row-form"));
    }
    assert_eq!(host.delete(&path("setting", &setting)).status, 204);
    host.read("webhook/row-form?by=name").problem(404, "record.not-found");
}
