//! Flow versions: uploaded, checked, activated, and back again.

use flowhost_tests::scene::text;
use flowhost_tests::{Answer, Host, component};
use serde_json::{Value, json};

use crate::person::{Person, act_on, path};

fn upload(host: &Host, flow: &Value, more: &str, component: &[u8]) -> Answer {
    let target = format!("/api/latest/{}/action/upload{more}", path("flow", flow));
    host.post(&target, component).header("Content-Type", "application/wasm").as_operator().send()
}

fn called(host: &Host, address: &str) -> (String, u64) {
    let execution = host.post(address, "").send().ok();
    (text(&execution["flow"], "digest").to_owned(), execution["flow"]["version"].as_u64().unwrap())
}

#[test]
fn a_flow_gets_versions_and_goes_back_to_an_earlier_one() {
    let host = Host::shared();
    let flow = host.create("flow", &json!({ "name": "ver-life", "description": "kept" })).ok();
    assert_eq!([&flow["active_version"], &flow["digest"]], [&Value::Null, &Value::Null]);
    let members = json!({ "name": "ver-life", "flow_name": "ver-life", "is_enabled": true });
    let webhook = host.create("webhook", &members).ok();
    let address = text(&webhook, "url");
    // Without a version there is nothing to call.
    host.post(address, "").send().problem(404, "webhook.not-found");
    let first = upload(host, &flow, "?commit_message=first", &component("canary")).ok();
    assert_eq!([&first["flow"]["active_version"], &first["version"]["version"]], [1, 1]);
    assert_eq!(first["flow"]["description"], "kept");
    assert_eq!(called(host, address), (text(&first["flow"], "digest").to_owned(), 1));
    let second = upload(host, &flow, "", &component("echo")).ok();
    assert_eq!((second["flow"]["active_version"].as_u64(), second["is_unchanged"].as_bool()), (Some(2), Some(false)));
    assert_eq!(upload(host, &flow, "", &component("echo")).ok()["is_unchanged"], true);
    assert_eq!(called(host, address).1, 2);
    // Back, and forth.
    let activate = format!("{}/action/activate", path("flow", &flow));
    let back = act_on(host, &format!("{activate}?commit_message=back"), &json!({ "version": 1 })).ok();
    assert_eq!([&back["flow"]["active_version"], &back["flow"]["digest"]], [&json!(1), &first["flow"]["digest"]]);
    assert_eq!(called(host, address), (text(&first["flow"], "digest").to_owned(), 1));
    act_on(host, &activate, &json!({ "version": 2 })).ok();
    assert_eq!(called(host, address).1, 2);
    act_on(host, &activate, &json!({ "version": 3 })).problem(404, "record.not-found");
    act_on(host, &activate, &json!({ "version": "1" })).problem(422, "record.invalid");
    act_on(host, &activate, &json!({})).problem(422, "record.invalid");
    let versions = host.read(&format!("{}/version", path("flow", &flow))).ok();
    let numbers: Vec<_> =
        versions.as_array().unwrap().iter().map(|version| version["version"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [2, 1]);
    let component_of = |version: u32| host.read(&format!("{}/version/{version}/component", path("flow", &flow))).body;
    assert!(component_of(1) == component("canary") && component_of(2) == component("echo"));
    let history = host.read(&format!("{}/history", path("flow", &flow))).ok();
    let messages: Vec<_> = history.as_array().unwrap().iter().map(|entry| entry["commit_message"].as_str()).collect();
    assert_eq!(messages, [None, Some("back"), None, Some("first"), None]);
}

#[test]
fn a_version_that_is_refused_leaves_the_former_active() {
    let host = Host::shared();
    let flow = host.deploy_as("ver-refused", component("canary")).ok()["flow"].clone();
    let webhook = host.webhook("ver-refused", "canary");
    host.change(&webhook.record_path(), &json!({ "flow_id": flow["id"] })).ok();
    let mut broken = component("echo");
    let middle = broken.len() / 2;
    broken.truncate(middle);
    for bytes in [&b"nonsense"[..], b"", &broken] {
        upload(host, &flow, "", bytes).problem(422, "component.invalid");
    }
    assert_eq!(host.read(&path("flow", &flow)).ok(), flow);
    assert_eq!(host.read(&format!("{}/version", path("flow", &flow))).ok().as_array().unwrap().len(), 1);
    assert_eq!(flow["has_syntax_error"], false);
    assert_eq!(host.read(&webhook.record_path()).ok()["has_syntax_error"], false);
    host.post(webhook.path(), "").send().ok();
}

#[test]
fn a_version_cannot_be_written_as_a_property() {
    let host = Host::shared();
    let flow = host.deploy_as("ver-property", component("canary")).ok()["flow"].clone();
    for change in [json!({ "active_version": 7 }), json!({ "digest": null }), json!({ "has_syntax_error": true })] {
        host.change(&path("flow", &flow), &change).problem(422, "record.invalid");
    }
    assert_eq!(host.read(&path("flow", &flow)).ok()["active_version"], 1);
}

#[test]
fn a_trashed_flow_takes_no_version_and_comes_back_as_it_was() {
    let host = Host::shared();
    let flow = host.deploy_as("ver-trash", component("canary")).ok()["flow"].clone();
    assert_eq!(host.delete(&path("flow", &flow)).status, 204);
    upload(host, &flow, "", &component("echo")).problem(409, "record.readonly");
    act_on(host, &format!("{}/action/activate", path("flow", &flow)), &json!({ "version": 1 }))
        .problem(409, "record.readonly");
    host.read("flow/ver-trash?by=name").problem(404, "record.not-found");
    let restored = act_on(host, &format!("{}/action/restore", path("flow", &flow)), &json!({})).ok();
    assert_eq!([&restored["active_version"], &restored["digest"]], [&json!(1), &flow["digest"]]);
}

#[test]
fn versions_need_the_permission_to_update_the_flow() {
    let host = Host::shared();
    let flow = host.deploy_as("ver-permit", component("canary")).ok()["flow"].clone();
    let viewer = Person::in_role(host, "ver-viewer", "User");
    let path = path("flow", &flow);
    viewer.read(&format!("{path}/version")).ok();
    viewer.create(&format!("{path}/action/activate"), &json!({ "version": 1 })).problem(403, "access.forbidden");
    viewer.deploy("ver-permit", &component("echo")).problem(403, "access.forbidden");
    viewer.deploy("ver-permit-new", &component("echo")).problem(403, "access.forbidden");
    let stranger = Person::with(host, "ver-stranger", &json!([{ "record_type": "USER" }]));
    for what in
        [path.clone(), format!("{path}/version"), format!("{path}/version/1/component"), format!("{path}/history")]
    {
        stranger.read(&what).problem(404, "record.not-found");
    }
    stranger.create(&format!("{path}/action/activate"), &json!({ "version": 1 })).problem(404, "record.not-found");
    assert_eq!(host.read(&path).ok(), flow);
    // Whoever may make flows is answered with what was made, also without the permission to read it again.
    let maker = Person::with(host, "ver-maker", &json!([{ "record_type": "FLOW", "operation": "CREATE" }]));
    assert_eq!(maker.deploy("ver-made", &component("canary")).ok()["is_new_flow"], true);
    maker.deploy("ver-made", &component("echo")).problem(409, "record.name-taken");
    assert_eq!(host.read("flow/ver-made?by=name").ok()["active_version"], 1);
}

#[test]
fn versions_outlive_the_process() {
    let host = Host::start();
    let flow = host.deploy("canary")["flow"].clone();
    let webhook = host.webhook("kept", "canary");
    upload(&host, &flow, "", &component("echo")).ok();
    act_on(&host, &format!("{}/action/activate", path("flow", &flow)), &json!({ "version": 1 })).ok();
    let host = host.crash();
    assert_eq!(called(&host, webhook.path()).1, 1);
}
