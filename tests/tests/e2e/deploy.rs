//! Bringing flows to the host, and what is no flow.

use flowhost_tests::{Answer, Host, Setup, component};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// A component from its text form.
fn wat(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

fn refused(answer: &Answer, words: &[&str]) {
    let problem = answer.problem(422, "component.invalid");
    assert_eq!(problem["fault"], "caller");
    let detail = problem["detail"].as_str().unwrap();
    for word in words {
        assert!(detail.contains(word), "`{word}` is not in: {detail}");
    }
}

#[test]
fn what_is_no_flow_is_refused_with_the_reason() {
    let host = Host::shared();
    let handler = r#"(instance $i) (export "flowhost:flow/handler@1.0.0" (instance $i))"#;
    for (component, words) in [
        (Vec::new(), vec!["empty"]),
        (b"#!/bin/sh\n".to_vec(), vec!["not WebAssembly"]),
        (vec![0; 100], vec!["not WebAssembly"]),
        (b"\0asm".to_vec(), vec!["damaged WebAssembly"]),
        (wat("(module (func (export \"run\")))"), vec!["a core module, not a component", "wasm32-wasip2"]),
        (wat("(component)"), vec!["exports no `flowhost:flow/handler`"]),
        (
            wat(r#"(component (instance $i) (export "wasi:cli/run@0.2.0" (instance $i)))"#),
            vec!["exports no `flowhost:flow/handler`"],
        ),
        (
            wat(r#"(component (instance $i) (export "flowhost:flow/handler@2.0.0" (instance $i)))"#),
            vec!["exports no `flowhost:flow/handler`"],
        ),
        (wat(&format!("(component {handler})")), vec!["do not fit the contract"]),
        (
            wat(&format!(r#"(component (import "wasi:nn/graph@0.2.0-rc-2024-10-28" (instance)) {handler})"#)),
            vec!["imports `wasi:nn/graph@0.2.0-rc-2024-10-28`, which this host does not offer"],
        ),
        (
            wat(&format!(r#"(component (import "wasi:http/incoming-handler@0.2.6" (instance)) {handler})"#)),
            vec!["imports `wasi:http/incoming-handler@0.2.6`, which this host does not offer"],
        ),
        (
            wat(&format!(r#"(component (import "flowhost:flow/execution@1.9.0" (instance)) {handler})"#)),
            vec!["imports `flowhost:flow/execution@1.9.0`, which this host does not offer"],
        ),
        (
            wat(&format!(
                r#"(component (import "flowhost:flow/execution@1.0.0" (instance (export "id" (func (result u32))))) {handler})"#
            )),
            vec!["do not fit the contract"],
        ),
    ] {
        refused(&host.deploy_as("deploy-refused", component), &words);
    }
    // Nothing was kept.
    host.read("flow/deploy-refused?by=name").problem(404, "record.not-found");
}

#[test]
fn a_truncated_or_damaged_flow_is_refused_and_the_former_version_stays() {
    let host = Host::shared();
    let webhook = host.webhook("deploy-kept", "canary");
    let whole = component("canary");
    for length in [9, whole.len() / 4, whole.len() / 2, whole.len() - 1] {
        refused(&host.deploy_as("canary", &whole[..length]), &["damaged WebAssembly"]);
    }
    // A code section whose insides are no code: the surface is in order, validation finds it.
    let mut damaged = whole.clone();
    let third = damaged.len() / 3;
    damaged[third..third + 2_000].fill(0xff);
    refused(&host.deploy_as("canary", damaged), &[]);
    let flow = webhook.call(host, &json!({})).send().ok()["flow"].clone();
    assert_eq!(flow["version"], 1);
    assert_eq!(host.read("flow/canary/version?by=name").ok().as_array().unwrap().len(), 1);
}

#[test]
fn a_flow_that_is_too_large_is_refused() {
    let host = Setup::new().set("compile_component_bytes", 1_000).start();
    let problem = host.deploy_as("large", vec![0; 1_001]).problem(413, "request.too-large");
    assert!(problem["detail"].as_str().unwrap().contains("1000 bytes"));
    refused(&host.deploy_as("large", vec![0; 1_000]), &["not WebAssembly"]);
}

#[test]
fn a_flow_whose_compilation_takes_too_long_is_refused() {
    let host = Setup::new().set("compile_time_ms", 1).start();
    refused(&host.deploy_as("slow", component("echo")), &["could not be compiled within its limits"]);
    host.read("flow/slow?by=name").problem(404, "record.not-found");
}

#[test]
fn a_new_version_is_effective_for_the_next_call() {
    let host = Host::shared();
    let (first, second) = (component("canary"), component("outputs"));
    let deploy = |component: &[u8]| host.deploy_as("deploy-versions", component).ok();

    let deployed = deploy(&first);
    assert_eq!([&deployed["is_new_flow"], &deployed["is_unchanged"]], [true, false]);
    assert_eq!(deployed["version"]["version"], 1);
    assert_eq!(deployed["version"]["size"], first.len());
    assert_eq!(deployed["version"]["digest"], digest(&first));
    assert_eq!(deployed["flow"]["name"], "deploy-versions");
    let flow = deployed["flow"]["id"].as_str().unwrap().to_owned();
    let webhook = json!({ "name": "deploy-versions", "flow_id": flow, "is_enabled": true });
    host.create("webhook", &webhook).ok();
    let call = || host.post("/api/latest/webhook/deploy-versions/call", r#"{"return":{"a":1}}"#).send().ok();
    assert_eq!(call()["output_value"]["calls"], 1);

    let deployed = deploy(&second);
    assert_eq!([&deployed["is_new_flow"], &deployed["is_unchanged"]], [false, false]);
    assert_eq!([&deployed["version"]["version"], &deployed["flow"]["active_version"]], [2, 2]);
    let called = call();
    assert_eq!(called["output_value"], json!({ "a": 1 }));
    assert_eq!([&called["flow"]["version"], &called["flow"]["digest"]], [&json!(2), &json!(digest(&second))]);

    let unchanged = deploy(&second);
    assert_eq!([&unchanged["is_new_flow"], &unchanged["is_unchanged"]], [false, true]);
    assert_eq!(unchanged["version"], deployed["version"]);
    // Back to the first: a version of its own.
    assert_eq!(deploy(&first)["version"]["version"], 3);
    assert_eq!(call()["output_value"]["calls"], 1);

    let versions = host.read(&format!("flow/{flow}/version")).ok();
    let numbers: Vec<&Value> = versions.as_array().unwrap().iter().map(|version| &version["version"]).collect();
    assert_eq!(numbers, [3, 2, 1]);
    for (version, component) in [(1, &first), (2, &second), (3, &first)] {
        let answer = host.read(&format!("flow/{flow}/version/{version}/component"));
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/wasm")));
        assert!(answer.body == *component, "version {version}");
    }
    host.read(&format!("flow/{flow}/version/4/component")).problem(404, "record.not-found");
}

fn digest(component: &[u8]) -> String {
    let digest: String = Sha256::digest(component).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{digest}")
}

#[test]
fn an_execution_ends_with_the_version_that_it_began_with() {
    let host = Host::shared();
    host.deploy_as("deploy-running", component("sleeper")).ok();
    let webhook = json!({ "name": "deploy-running", "flow_name": "deploy-running", "is_enabled": true });
    host.create("webhook", &webhook).ok();
    let path = "/api/latest/webhook/deploy-running/call";
    let accepted = host.post(&format!("{path}?async"), r#"{"ms":500}"#).send().json();
    let id = accepted["id"].as_str().unwrap();
    host.wait_until(id, "waits", |execution| execution["status"] == "WAITING");
    host.deploy_as("deploy-running", component("canary")).ok();
    assert_eq!(host.post(path, "").send().ok()["flow"]["version"], 2);
    let ended = host.wait_until_ended(id).record;
    assert_eq!((&ended["status"], &ended["flow"]["version"]), (&json!("ENDED_SUCCESS"), &json!(1)));
}

#[test]
fn a_flow_needs_a_name() {
    let host = Host::shared();
    let canary = component("canary");
    host.post("/api/latest/flow", &canary).as_operator().send().problem(400, "request.malformed");
    for name in ["", " ", "a\nb", &"x".repeat(129)] {
        host.deploy_as(name, &canary).problem(422, "record.invalid");
    }
    assert_eq!(host.deploy_as("  Grüße 1/2 ", &canary).ok()["flow"]["name"], "Grüße 1/2");
    assert_eq!(host.read("flow/Gr%C3%BC%C3%9Fe%201%2F2?by=name").ok()["name"], "Grüße 1/2");
}

#[test]
fn flows_survive_a_restart() {
    let host = Host::start();
    let webhook = host.webhook("kept", "canary");
    host.terminate();
    assert!(host.wait().success());
    let host = host.restart();
    assert_eq!(webhook.call(&host, &json!({})).send().ok()["output_value"]["calls"], 1);
}

#[test]
fn instances_know_nothing_of_each_other() {
    let host = Host::shared();
    let webhook = host.webhook("deploy-fresh", "canary");
    for _ in 0..50 {
        let outputs = webhook.call(host, &json!("left behind")).send().ok()["output_value"].clone();
        assert_eq!(outputs, json!({ "calls": 1, "found": null }));
    }
}
