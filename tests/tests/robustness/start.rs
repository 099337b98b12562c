//! A start with many flows, and what a host holds when nothing happens.

use flowhost_tests::Host;
use serde_json::json;

use crate::written;

/// A flow that answers its number.
fn numbered(number: usize) -> Vec<u8> {
    written::flow(&written::returning(&format!(r#"{{"number":{number}.5}}"#), ""))
}

#[test]
fn a_hundred_flows_answer_after_a_restart() {
    let host = Host::start();
    let paths: Vec<String> = (100..200)
        .map(|number| {
            let name = format!("flow-{number}");
            host.deploy_as(&name, numbered(number)).ok();
            let webhook = json!({ "name": name, "flow_name": name, "is_enabled": true });
            host.create("webhook", &webhook).ok()["url"].as_str().unwrap().to_owned()
        })
        .collect();
    let host = host.crash();
    // The last first: it may not be loaded yet.
    for (number, path) in (100..200).zip(&paths).rev() {
        let execution = host.post_json(path, &json!({})).send().ok();
        assert_eq!(execution["output_value"], json!({ "number": number as f64 + 0.5 }));
    }
    assert!(!host.log().contains("ERROR"), "{}", host.log());
}

#[test]
fn an_idle_host_is_small() {
    let host = Host::start();
    for example in ["hello", "signup", "github-push", "order-form"] {
        host.deploy(example);
    }
    let hello = host.webhook("hello", "hello");
    // What an upload took is not what an idle host has.
    let host = host.crash();
    for _ in 0..20 {
        hello.call(&host, &json!({})).send().ok();
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", host.process_id())).unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kibibytes: u64 = resident.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(kibibytes < 60 << 10, "{kibibytes} KiB");
}
