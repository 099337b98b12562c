//! A host without room refuses what it could not keep, and goes on when there is room again.

use flowhost_tests::{Answer, Setup};
use serde_json::json;

fn is_full(answer: &Answer) -> bool {
    if answer.status == 200 {
        return false;
    }
    let problem = answer.problem(503, "host.storage-full");
    assert_eq!((&problem["fault"], &problem["retryable"]), (&json!("host"), &json!(true)));
    assert_eq!(answer.header("retry-after"), Some("1"));
    // Nothing was kept, so there is no execution to name.
    assert_eq!((answer.header("flowhost-execution-id"), problem.get("execution")), (None, None), "{problem}");
    true
}

#[test]
fn a_full_host_refuses_and_goes_on_when_there_is_room() {
    let host = Setup::new().set("data_bytes", 4 << 20).start();
    let hello = host.webhook("hello", "hello");
    let ballast = json!({ "ballast": "x".repeat(500_000) }).to_string();
    host.set("ballast", &ballast).ok();
    let setting = host.read("setting/ballast?by=name").ok()["id"].as_str().unwrap().to_owned();

    let large = json!({ "name": "x".repeat(100_000) });
    let mut kept = 0;
    while !is_full(&hello.call(&host, &large).send()) {
        kept += 1;
        assert!(kept < 100, "the host is never full");
    }
    // Neither is a call accepted that could not be kept, nor a flow or another record. What is accepted has no output yet.
    let larger = json!({ "name": "x".repeat(400_000) });
    assert!(is_full(&host.post_json(&format!("{}?async", hello.path()), &larger).send()));
    assert!(is_full(&host.set("more", &ballast)));
    // Who reads is served.
    let executions = host.executions_of("hello");
    assert_eq!(executions.len(), kept);
    assert!(executions.iter().all(|execution| execution["status"] == "ENDED_SUCCESS"));
    host.read("alive").ok();

    assert_eq!(host.delete(&format!("setting/{setting}?permanently=true")).status, 204);
    assert!(!is_full(&hello.call(&host, &large).send()));
    let host = host.crash();
    assert_eq!(host.executions_of("hello").len(), kept + 1);
}
