//! What all records have in common: how they are changed, guarded, trashed and refused.

use flowhost_tests::scene::text;
use flowhost_tests::{Answer, Host, component};
use serde_json::{Value, json};

use crate::person::{act_on, names, path};

const NOBODY: &str = "01a202e4-f47d-72a3-b440-9b77d4430568";

#[test]
fn every_type_is_made_read_changed_and_deleted_alike() {
    let host = Host::shared();
    host.deploy("canary");
    for (record_type, members) in [
        ("bundle", json!({})),
        ("file", json!({ "content": "a\nb", "content_type": "text/plain" })),
        ("flow", json!({})),
        ("project", json!({})),
        ("role", json!({ "permissions": [{ "record_type": "FLOW", "operation": "READ" }] })),
        ("setting", json!({ "value": { "a": [1, 2.50, null] } })),
        ("user", json!({ "email": "ada@example.org" })),
        ("webhook", json!({ "flow_name": "canary" })),
    ] {
        let mut members = members;
        members["name"] = json!(format!("alike {record_type}"));
        let made = host.create(record_type, &members).ok();
        for (member, value) in members.as_object().unwrap() {
            assert_eq!(made[member], *value, "{record_type}");
        }
        assert_eq!(made["record_type"], record_type.to_uppercase());
        let path = path(record_type, &made);
        assert_eq!(host.read(&path).ok(), made);
        assert_eq!(host.read(&format!("{record_type}/alike%20{record_type}?by=name")).ok(), made);
        let by_name = host.request("PATCH", &format!("/api/latest/{record_type}/alike%20{record_type}?by=name"));
        let changed = by_name.body(r#"{"description":"d"}"#).as_operator().send().ok();
        assert_eq!(changed[record_type]["description"], "d");
        // What was read can be sent back.
        let whole = host.read(&path).ok();
        host.change(&path, &whole).ok();
        assert_eq!(host.delete(&path).status, 204, "{record_type}");
        assert_eq!(host.read(&path).ok()["is_deleted"], true);
        let trash = host.read(&format!("{record_type}?trash=true&limit=1000")).ok();
        assert!(names(&trash).contains(&&*format!("alike {record_type}")));
        act_on(host, &format!("{path}/action/restore"), &json!({})).ok();
        let history = host.read(&format!("{path}/history")).ok();
        assert_eq!(history.as_array().unwrap().len(), 5, "{record_type}: {history}");
        assert_eq!(host.delete(&format!("{path}?permanently=true")).status, 204, "{record_type}");
        host.read(&path).problem(404, "record.not-found");
        host.read(&format!("{path}/history")).problem(404, "record.not-found");
    }
}

#[test]
fn a_file_in_base64_must_be() {
    let host = Host::shared();
    let file = json!({ "name": "shared-file", "content": "AAECAw==", "is_binary": true });
    let made = host.create("file", &file).ok();
    assert_eq!(made["content"], "AAECAw==");
    let problem = host.change(&path("file", &made), &json!({ "content": "no base64" })).problem(422, "record.invalid");
    assert!(text(&problem, "detail").contains("`content`"));
}

#[test]
fn what_the_host_keeps_of_itself_is_neither_made_nor_deleted() {
    let host = Host::shared();
    for record_type in ["workspace", "organization"] {
        host.create(record_type, &json!({ "name": "shared-second" })).problem(405, "request.method-not-allowed");
        let own = host.read(record_type).ok()[0].clone();
        host.delete(&path(record_type, &own)).problem(405, "request.method-not-allowed");
        let changed = host.change(&path(record_type, &own), &json!({ "description": "ours" })).ok();
        assert_eq!(changed["description"], "ours");
    }
    let workspace = host.read("workspace").ok()[0].clone();
    host.change(&path("workspace", &workspace), &json!({ "name": "other" })).problem(409, "record.readonly");
    host.create("execution", &json!({ "name": "x" })).problem(405, "request.method-not-allowed");
}

#[test]
fn the_default_project_holds_what_names_no_other_place_and_stays() {
    let host = Host::shared();
    let default = host.read("project/Default%20project?by=name").ok();
    let setting = host.create("setting", &json!({ "name": "shared-default" })).ok();
    assert_eq!([&setting["project_id"], &setting["project_name"]], [&default["id"], &json!("Default project")]);
    let project = host.create("project", &json!({ "name": "shared-default" })).ok();
    let moved = host.change(&path("setting", &setting), &json!({ "project_id": project["id"] })).ok();
    assert_eq!(moved["project_name"], "shared-default");
    let back = host.change(&path("setting", &setting), &json!({ "project_id": null })).ok();
    assert_eq!(back["project_id"], default["id"]);
    for refused in [
        host.delete(&path("project", &default)),
        host.delete(&format!("{}?permanently=true", path("project", &default))),
        host.change(&path("project", &default), &json!({ "name": "x" })),
    ] {
        refused.problem(409, "record.readonly");
    }
    host.change(&path("project", &default), &json!({ "description": "x" })).ok();
}

#[test]
fn a_name_is_free_after_trashing() {
    let host = Host::shared();
    let first = host.create("setting", &json!({ "name": "shared-free", "value": 1 })).ok();
    assert_eq!(host.delete("setting/shared-free?by=name").status, 204);
    host.read("setting/shared-free?by=name").problem(404, "record.not-found");
    let second = host.create("setting", &json!({ "name": "shared-free", "value": 2 })).ok();
    assert_ne!(first["id"], second["id"]);
    let restore = format!("{}/action/restore", path("setting", &first));
    act_on(host, &restore, &json!({})).problem(409, "record.name-taken");
    assert_eq!(host.read(&path("setting", &first)).ok()["is_deleted"], true);
    host.change(&path("setting", &second), &json!({ "name": "shared-freed" })).ok();
    assert_eq!(act_on(host, &restore, &json!({})).ok()["value"], 1);
    // Two in the trash may have one name.
    host.change(&path("setting", &second), &json!({ "name": "shared-free" })).problem(409, "record.name-taken");
    assert_eq!(host.delete(&path("setting", &first)).status, 204);
    host.change(&path("setting", &second), &json!({ "name": "shared-free" })).ok();
    assert_eq!(host.delete(&path("setting", &second)).status, 204);
    let trash = host.read("setting?trash&filter=%7B%22field%22:%22name%22,%22value%22:%22shared-free%22%7D").ok();
    assert_eq!(names(&trash), ["shared-free", "shared-free"]);
}

#[test]
fn what_is_in_the_trash_is_read_only_whatever_is_asked_of_it() {
    let host = Host::shared();
    host.deploy("canary");
    let user = host.user("shared-gone");
    let token = host.create(&format!("{}/token", path("user", &user)), &json!({ "name": "t" })).ok();
    let flow = host.deploy_as("shared-gone", component("canary")).ok()["flow"].clone();
    let mut trashed = vec![("user", user.clone()), ("flow", flow.clone())];
    for (record_type, members) in [
        ("bundle", json!({})),
        ("file", json!({})),
        ("project", json!({})),
        ("role", json!({ "permissions": [] })),
        ("setting", json!({ "value": 1 })),
        ("webhook", json!({ "flow_name": "canary" })),
    ] {
        let mut members = members;
        members["name"] = json!("shared-gone");
        trashed.push((record_type, host.create(record_type, &members).ok()));
    }
    let refused = |answer: Answer| {
        let problem = answer.problem(409, "record.readonly");
        assert!(text(&problem, "detail").contains("in the trash"), "{problem}");
    };
    for (record_type, record) in &trashed {
        assert_eq!(host.delete(&path(record_type, record)).status, 204);
        refused(host.change(&path(record_type, record), &json!({ "description": "x" })));
    }
    let of = |record_type: &str| path(record_type, &trashed.iter().find(|(known, _)| *known == record_type).unwrap().1);
    let setting = format!("/api/latest/{}", of("setting"));
    refused(host.request("PUT", &setting).body("2").as_operator().send());
    refused(act_on(host, &format!("{}/action/rotate-key", of("webhook")), &json!({})));
    refused(act_on(host, &format!("{}/action/activate", of("flow")), &json!({ "version": 1 })));
    let upload = host.post(&format!("/api/latest/{}/action/upload", of("flow")), component("echo"));
    refused(upload.as_operator().send());
    refused(host.create(&format!("{}/token", of("user")), &json!({ "name": "late" })));
    refused(host.delete(&format!("{}/token/{}", of("user"), text(&token, "id"))));
    // It can still be read.
    assert_eq!(host.read(&format!("{}/token", of("user"))).ok()[0]["id"], token["id"]);
    assert_eq!(host.read(&of("setting")).ok()["value"], 1);
}

#[test]
fn a_trashed_flow_cannot_be_called_and_a_trashed_setting_is_no_webhook() {
    let host = Host::shared();
    let webhook = host.webhook("shared-trashed", "outputs");
    let flow = host.deploy_as("shared-trashed", component("canary")).ok()["flow"].clone();
    host.change(&webhook.record_path(), &json!({ "flow_id": flow["id"] })).ok();
    host.post(webhook.path(), "").send().ok();
    assert_eq!(host.delete(&path("flow", &flow)).status, 204);
    host.post(webhook.path(), "").send().problem(404, "webhook.not-found");
    act_on(host, &format!("{}/action/restore", path("flow", &flow)), &json!({})).ok();
    host.post(webhook.path(), "").send().ok();

    let setting = host.set("client.webhook.shared-trashed", "flow_name: canary\nuser_name: admin").ok();
    host.deploy("canary");
    let address = "/api/latest/webhook/default/shared-trashed";
    host.post(address, "").send().ok();
    assert_eq!(host.delete(&path("setting", &setting)).status, 204);
    host.post(address, "").send().problem(404, "webhook.not-found");
    act_on(host, &format!("{}/action/restore", path("setting", &setting)), &json!({})).ok();
    host.post(address, "").send().ok();
}

#[test]
fn trash_outlives_the_process() {
    let host = Host::start();
    let webhook = host.webhook("trashed", "canary");
    assert_eq!(host.delete(&webhook.record_path()).status, 204);
    let host = host.crash();
    host.post(webhook.path(), "").send().problem(404, "webhook.not-found");
    assert_eq!(names(&host.read("webhook").ok()), [""; 0]);
    assert_eq!(names(&host.read("webhook?trash=true").ok()), ["trashed"]);
    act_on(&host, &format!("{}/action/restore", webhook.record_path()), &json!({})).ok();
    host.post(webhook.path(), "").send().ok();
}

#[test]
fn trashing_a_project_or_a_bundle_trashes_what_is_in_it() {
    let host = Host::shared();
    for kind in ["project", "bundle"] {
        let name = format!("shared-full-{kind}");
        let parent = host.create(kind, &json!({ "name": name })).ok();
        let home = format!("{kind}_id");
        let webhook = host.webhook_with(&name, "canary", &json!({ &home: parent["id"] }));
        let before = host.create("file", &json!({ "name": name, &home: parent["id"] })).ok();
        assert_eq!(host.delete(&path("file", &before)).status, 204);
        // A member that is read-only keeps all of it.
        host.change(&webhook.record_path(), &json!({ "is_readonly": true })).ok();
        host.delete(&path(kind, &parent)).problem(409, "record.readonly");
        assert_eq!(host.read(&path(kind, &parent)).ok()["is_deleted"], false);
        host.change(&webhook.record_path(), &json!({ "is_readonly": false })).ok();

        assert_eq!(host.delete(&path(kind, &parent)).status, 204);
        let trashed = host.read(&webhook.record_path()).ok();
        assert_eq!([&trashed["is_deleted"], &trashed[&home]], [&json!(true), &parent["id"]]);
        host.post(webhook.path(), "").send().problem(404, "webhook.not-found");
        // Not without its home; with it comes what went with it, and nothing else.
        let restore = format!("{}/action/restore", webhook.record_path());
        act_on(host, &restore, &json!({})).problem(409, "record.readonly");
        act_on(host, &format!("{}/action/restore", path(kind, &parent)), &json!({})).ok();
        host.post(webhook.path(), "").send().ok();
        assert_eq!(host.read(&path("file", &before)).ok()["is_deleted"], true);

        assert_eq!(host.delete(&format!("{}?permanently=true", path(kind, &parent))).status, 204);
        for gone in [path(kind, &parent), webhook.record_path(), path("file", &before)] {
            host.read(&gone).problem(404, "record.not-found");
        }
        host.post(webhook.path(), "").send().problem(404, "webhook.not-found");
    }
}

#[test]
fn a_members_own_flag_and_its_parents_are_apart() {
    let host = Host::shared();
    let project = host.create("project", &json!({ "name": "shared-flags" })).ok();
    let member = json!({ "name": "shared-flags", "project_name": "shared-flags", "is_readonly": true });
    let setting = host.create("setting", &member).ok();
    host.change(&path("project", &project), &json!({ "is_readonly": true })).ok();
    let setting = host.read(&path("setting", &setting)).ok();
    assert_eq!([&setting["is_readonly"], &setting["is_project_readonly"]], [true, true]);
    host.change(&path("setting", &setting), &json!({ "is_readonly": false })).problem(409, "record.readonly");
    // Nor does anything move into it, out of it or back from the trash.
    let other = host.create("setting", &json!({ "name": "shared-flags-other" })).ok();
    host.change(&path("setting", &other), &json!({ "project_id": project["id"] })).problem(409, "record.readonly");
    host.change(&path("setting", &setting), &json!({ "project_id": null })).problem(409, "record.readonly");
    host.change(&path("project", &project), &json!({ "is_readonly": false })).ok();
    host.change(&path("setting", &setting), &json!({ "is_readonly": false })).ok();
    assert_eq!(host.delete(&path("setting", &setting)).status, 204);
    host.change(&path("project", &project), &json!({ "is_readonly": true })).ok();
    act_on(host, &format!("{}/action/restore", path("setting", &setting)), &json!({})).problem(409, "record.readonly");
    let [one, two] =
        ["shared-flags-1", "shared-flags-2"].map(|name| host.create("bundle", &json!({ "name": name })).ok());
    let in_one = host.create("setting", &json!({ "name": "shared-flags-b", "bundle_id": one["id"] })).ok();
    host.change(&path("bundle", &two), &json!({ "is_readonly": true })).ok();
    host.change(&path("setting", &in_one), &json!({ "bundle_id": two["id"] })).problem(409, "record.readonly");
}

#[test]
fn a_read_only_flow_takes_no_version_and_runs() {
    let host = Host::shared();
    let webhook = host.webhook("shared-flow", "canary");
    let flow = host.deploy_as("shared-flow", component("canary")).ok()["flow"].clone();
    host.change(&webhook.record_path(), &json!({ "flow_id": flow["id"] })).ok();
    let path = path("flow", &flow);
    host.change(&path, &json!({ "is_readonly": true })).ok();
    host.deploy_as("shared-flow", component("echo")).problem(409, "record.readonly");
    act_on(host, &format!("{path}/action/activate"), &json!({ "version": 1 })).problem(409, "record.readonly");
    host.post(webhook.path(), "").send().ok();
    host.change(&path, &json!({ "is_readonly": false })).ok();
    let project = host.create("project", &json!({ "name": "shared-flow", "is_readonly": false })).ok();
    host.change(&path, &json!({ "project_id": project["id"] })).ok();
    host.change(&crate::person::path("project", &project), &json!({ "is_readonly": true })).ok();
    host.deploy_as("shared-flow", component("echo")).problem(409, "record.readonly");
    act_on(host, &format!("{path}/action/activate"), &json!({ "version": 1 })).problem(409, "record.readonly");
}

#[test]
fn two_editors_do_not_overwrite_each_other() {
    let host = Host::shared();
    let setting = host.create("setting", &json!({ "name": "shared-etag", "value": 1 })).ok();
    let target = format!("/api/latest/{}?plain=true", path("setting", &setting));
    let tag = || host.get(&target).as_operator().send().header("etag").unwrap().to_owned();
    let change = |tag: &str, value: u32| {
        let request = host.request("PATCH", &target).body(json!({ "value": value }).to_string());
        request.header("If-Match", tag).as_operator().send()
    };
    let first = tag();
    assert!(first.starts_with('"') && first.ends_with('"'), "{first}");
    assert_eq!(tag(), first);
    let changed = change(&first, 2);
    assert_eq!(changed.ok()["value"], 2);
    assert_ne!(changed.header("etag").unwrap(), first);
    assert_eq!(changed.header("etag").unwrap(), tag());
    assert_eq!(change(&first, 3).problem(412, "record.precondition-failed")["retryable"], true);
    change("\"another\"", 3).problem(412, "record.precondition-failed");
    assert_eq!(host.read(&path("setting", &setting)).ok()["value"], 2);
    change("*", 4).ok();
    change(&tag(), 5).ok();
    // PUT and DELETE as well.
    let put = |tag: &str| {
        let request = host.request("PUT", "/api/latest/setting/shared-etag?by=name&plain=true").body("6");
        request.header("If-Match", tag).as_operator().send()
    };
    put(&first).problem(412, "record.precondition-failed");
    assert_eq!(put(&tag()).ok()["value"], 6);
    let delete = |tag: &str| host.request("DELETE", &target).header("If-Match", tag).as_operator().send();
    delete(&first).problem(412, "record.precondition-failed");
    assert_eq!(delete(&tag()).status, 204);
    // Whoever has read it does not make it anew.
    put(&first).problem(412, "record.precondition-failed");
    host.read("setting/shared-etag?by=name").problem(404, "record.not-found");
}

#[test]
fn what_is_refused_is_refused_whole_with_the_place_and_the_reason() {
    let host = Host::shared();
    host.deploy("canary");
    let setting = host.create("setting", &json!({ "name": "shared-bad", "value": 1 })).ok();
    for (record_type, members, place) in [
        ("setting", json!({ "name": "shared-bad-2", "valeu": 1 }), "`valeu`"),
        (
            "webhook",
            json!({ "name": "shared-bad", "flow_name": "canary", "enabled": true }),
            "did you mean `is_enabled`",
        ),
        ("webhook", json!({ "name": "shared-bad", "flow_name": "canary", "options": { "wait": 1 } }), "`wait`"),
        ("setting", json!({ "name": 1 }), "`name`"),
        ("setting", json!({ "value": 1 }), "`name`: is missing"),
        ("setting", json!({ "name": "shared-bad-2", "schema_version": "0" }), "`schema_version`"),
        ("setting", json!({ "name": "shared-bad-2", "project_id": NOBODY }), "`project_id`: there is no project"),
        (
            "setting",
            json!({ "name": "shared-bad-2", "project_id": setting["id"] }),
            "`project_id`: there is no project",
        ),
        ("setting", json!({ "name": "shared-bad-2", "project_id": NOBODY, "bundle_id": NOBODY }), "not to both"),
        ("role", json!({ "name": "shared-bad" }), "`permissions`: is missing"),
        (
            "role",
            json!({ "name": "shared-bad", "permissions": [{}, { "operation": "READ", "a": 1 }] }),
            "permissions[1]",
        ),
        ("role", json!({ "name": "shared-bad", "permissions": [{ "record_type": "COLOUR" }] }), "permissions[0]"),
        (
            "role",
            json!({ "name": "shared-bad", "permissions": [{ "project_id": NOBODY }] }),
            "permissions[0].project_id",
        ),
        ("user", json!({ "name": "shared-bad", "password": "short" }), "`password`"),
        ("user", json!({ "name": "shared-bad", "email": "nowhere" }), "`email`"),
        ("file", json!({ "name": "shared-bad", "content": "?", "is_binary": true }), "`content`"),
    ] {
        let problem = host.create(record_type, &members).problem(422, "record.invalid");
        assert!(text(&problem, "detail").contains(place), "{members}: {problem}");
    }
    for (record_type, name) in [
        ("webhook", "shared-bad"),
        ("setting", "shared-bad-2"),
        ("role", "shared-bad"),
        ("user", "shared-bad"),
        ("file", "shared-bad"),
    ] {
        host.read(&format!("{record_type}/{name}?by=name")).problem(404, "record.not-found");
    }
    // A change as well: the valid part of it is not done either.
    let refused = json!({ "description": "half", "value": 2, "valeu": 3 });
    host.change(&path("setting", &setting), &refused).problem(422, "record.invalid");
    assert_eq!(host.read(&path("setting", &setting)).ok(), setting);
    for body in ["", "{", "[]", "1", "\"x\"", "{\"name\": \"a\"} x"] {
        let answer = host.post("/api/latest/setting", body).as_operator().send();
        assert!(matches!(answer.status, 400 | 422), "{body}: {}", answer.text());
        answer.problem(answer.status, if answer.status == 400 { "request.malformed-json" } else { "record.invalid" });
    }
    host.create("colour", &json!({ "name": "red" })).problem(404, "request.not-found");
}

#[test]
fn a_property_named_twice_or_nulled_is_what_it_says() {
    let host = Host::shared();
    let setting = host.create("setting", &json!({ "name": "shared-null", "value": 1, "description": "d" })).ok();
    let nulled = host.change(&path("setting", &setting), &json!({ "value": null, "description": null })).ok();
    assert_eq!([&nulled["value"], &nulled["description"]], [&Value::Null, &Value::Null]);
    host.change(&path("setting", &setting), &json!({ "name": null })).problem(422, "record.invalid");
    let unchanged = host.change(&path("setting", &setting), &json!({})).ok();
    assert_eq!(unchanged["name"], "shared-null");
}

#[test]
fn executions_say_the_names_of_their_project_and_bundle() {
    let host = Host::shared();
    let webhook = host.webhook("shared-executions", "canary");
    let bundle = host.create("bundle", &json!({ "name": "shared-executions" })).ok();
    let flow = host.deploy_as("shared-executions", component("canary")).ok()["flow"].clone();
    let call = || text(&webhook.call(host, &json!({})).send().ok(), "id").to_owned();
    let in_project = call();
    host.change(&webhook.record_path(), &json!({ "flow_id": flow["id"] })).ok();
    host.change(&path("flow", &flow), &json!({ "bundle_id": bundle["id"] })).ok();
    let in_bundle = call();
    host.change(&path("bundle", &bundle), &json!({ "is_readonly": true })).ok();
    let list = host.read("execution?webhook=shared-executions&order=id").ok();
    for (index, id, expected) in [
        (0, in_project, [json!("Default project"), Value::Null, json!(false), json!(false)]),
        (1, in_bundle, [Value::Null, json!("shared-executions"), json!(false), json!(true)]),
    ] {
        let one = host.read(&format!("execution/{id}")).ok();
        assert_eq!(one["id"], list[index]["id"]);
        for execution in [&one, &list[index]] {
            let names = ["project_name", "bundle_name", "is_project_readonly", "is_bundle_readonly"];
            assert_eq!(names.map(|name| execution[name].clone()), expected, "{execution}");
        }
    }
}
