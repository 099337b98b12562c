//! A host without memory says so, blames no flow, and loses nothing that it accepted.

use std::fs;

use flowhost_tests::{Host, Webhook, until};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::{Value, json};

use crate::footprint::Footprint;
use crate::written;

/// What the flow takes at once: more than the host is left, and less than a flow may have.
const TAKEN: u32 = 100 << 20;

/// What the host is left: enough for all else that it does.
const LEFT: u64 = 64 << 20;

/// A webhook of a flow that takes memory and fails without it.
fn taking(host: &Host) -> Webhook {
    let pages = TAKEN >> 16;
    let grow = format!("(if (i32.eq (memory.grow (i32.const {pages})) (i32.const -1)) (then unreachable))");
    host.deploy_as("taking", written::flow(&written::returning(r#"{"took":true}"#, &grow))).ok();
    let webhook = json!({ "name": "taking", "flow_name": "taking", "is_enabled": true });
    Webhook { record: host.create("webhook", &webhook).ok() }
}

/// Lets a host have this much memory beyond what it has by now; any where none is named.
fn leave(host: &Host, more: Option<u64>) {
    let status = fs::read_to_string(format!("/proc/{}/status", host.process_id())).unwrap();
    let data = status.lines().find_map(|line| line.strip_prefix("VmData:")).unwrap();
    let kibibytes: u64 = data.trim().trim_end_matches(" kB").parse().unwrap();
    let current = more.map(|more| (kibibytes << 10) + more);
    let id = Pid::from_raw(host.process_id().cast_signed());
    prlimit(id, Resource::Data, Rlimit { current, maximum: None }).unwrap();
}

fn took(outputs: &Value) {
    assert_eq!(outputs["took"], json!(true));
}

#[test]
fn host_without_memory_is_busy_and_no_flow_is_blamed() {
    let host = Host::start();
    let taking = taking(&host);
    took(&taking.call(&host, &json!({})).send().ok()["output_value"]);
    // The next call would be lent the memory of the last.
    let host = host.crash();
    leave(&host, Some(LEFT));
    let answer = taking.call(&host, &json!({})).send();
    let problem = answer.problem(503, "host.busy");
    assert_eq!((&problem["fault"], &problem["retryable"]), (&json!("host"), &json!(true)));
    assert_eq!(problem["execution"]["failure"]["code"], "host.busy");
    assert_eq!(answer.header("retry-after"), Some("1"));
    leave(&host, None);
    took(&taking.call(&host, &json!({})).send().ok()["output_value"]);
}

#[test]
fn accepted_execution_waits_for_the_hosts_memory() {
    let host = Host::start();
    let taking = taking(&host);
    leave(&host, Some(LEFT));
    let id = taking.call_async(&host, &json!({}));
    until("the host has no memory", || host.log().contains("it runs again later").then_some(()));
    leave(&host, None);
    took(host.wait_until_ended(&id).success());
}

#[test]
fn changes_of_records_take_little_memory_together() {
    let host = Host::start();
    // 2 MB as text, and some 43 MB in memory.
    let value = format!("[{}]", vec!["{}"; 680_000].join(","));
    let before = Footprint::of(&host).peak_kib;
    std::thread::scope(|scope| {
        for number in 0..12 {
            let body = format!(r#"{{"name":"large-{number}","value":{value}}}"#);
            let request = host.post("/api/latest/setting", body).as_operator();
            let request = request.header("Content-Type", "application/json");
            scope.spawn(move || match request.send() {
                answer if answer.status == 503 => drop(answer.problem(503, "host.busy")),
                answer => drop(answer.ok()),
            });
        }
    });
    let more = (Footprint::of(&host).peak_kib - before) >> 10;
    assert!(more < 300, "{more} MiB more");
}
