//! Every budget ends the flow that exceeds it, by its own name.

use std::time::Duration;

use bytes::Bytes;
use flowhost::model::RecordType;
use flowhost::webhook::{Address, WebhookRequest};
use flowhost::{Budget, Code, Limits};
use http::{HeaderMap, Method};
use serde_json::json;

use crate::fixture::{Fixture, limits, patient};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endless_loop_uses_up_its_cpu_time() {
    let guests = ["spin", "spin-hostcalls", "start-loop"];
    let fixture = Fixture::new(&guests).await;
    for guest in guests {
        let execution = fixture.failed(guest, json!(null), Code::FlowCpuLimit).await;
        assert_eq!(execution.status_message.unwrap(), "the flow used up its CPU time of 300 ms");
    }
}

#[tokio::test]
async fn a_flow_that_runs_too_long_uses_up_its_wall_time_and_waiting_is_not_running() {
    let budget = Budget { wall: Duration::from_millis(500), ..patient().budget };
    let fixture = Fixture::with(&["sleeper", "spin"], Limits { budget, ..limits() }).await;
    fixture.failed("spin", json!(null), Code::FlowTimeLimit).await;
    let outputs = fixture.outputs("sleeper", json!({ "ms": 1_000 })).await;
    assert!(outputs["slept_ms"].as_u64().unwrap() >= 1_000, "{outputs}");
}

#[tokio::test]
async fn sleeping_costs_no_cpu_time() {
    let fixture = Fixture::new(&["sleeper"]).await;
    let outputs = fixture.outputs("sleeper", json!({ "ms": 700 })).await;
    assert!(outputs["slept_ms"].as_u64().unwrap() >= 700, "{outputs}");
}

#[tokio::test]
async fn a_flow_that_wants_too_much_memory_is_told_from_one_that_traps() {
    let fixture = Fixture::new(&["memory-bomb"]).await;
    assert_eq!(fixture.outputs("memory-bomb", json!({ "mib": 8 })).await, json!({ "mib": 8 }));
    fixture.failed("memory-bomb", json!({ "mib": 64 }), Code::FlowMemoryLimit).await;
    fixture.failed("memory-bomb", json!(null), Code::FlowMemoryLimit).await;
}

#[tokio::test]
async fn a_flow_that_floods_its_log_is_ended_and_the_log_is_kept() {
    let fixture = Fixture::new(&["log-flood", "stdout-flood"]).await;
    for (guest, input) in
        [("log-flood", json!(null)), ("stdout-flood", json!(null)), ("stdout-flood", json!("no-newline"))]
    {
        let execution = fixture.failed(guest, input, Code::FlowOutputLimit).await;
        assert!(execution.status_message.unwrap().ends_with(": log"));
        let log = fixture.log(execution.id).await;
        let bytes: usize = log.iter().map(|line| line.message.len()).sum();
        let budget = limits().budget.log_bytes;
        assert!(!log.is_empty() && bytes <= budget, "{} lines of {bytes} bytes", log.len());
    }
}

#[tokio::test]
async fn outputs_have_one_budget_whether_they_are_set_or_returned() {
    let fixture = Fixture::new(&["big-output", "outputs"]).await;
    for input in [json!({ "bytes": 70_000 }), json!({ "bytes": 70_000, "set": true }), json!({ "bytes": 2 << 20 })] {
        let execution = fixture.failed("big-output", input, Code::FlowOutputLimit).await;
        assert!(execution.status_message.unwrap().ends_with(": outputs"));
    }
    let half = "x".repeat(40_000);
    fixture.failed("outputs", json!({ "set": { "a": half }, "return": { "b": half } }), Code::FlowOutputLimit).await;
    fixture.call("outputs", json!({ "set": { "a": half }, "return": { "a": half } })).await;
}

#[tokio::test]
async fn an_error_that_a_flow_returns_has_the_budget_of_outputs() {
    let fixture = Fixture::new(&["fail"]).await;
    let long = "x".repeat(70_000);
    for input in [json!({ "message": long }), json!({ "message": "short", "details": long })] {
        fixture.failed("fail", input, Code::FlowOutputLimit).await;
    }
}

#[tokio::test]
async fn the_message_of_a_panic_is_kept_without_an_end_that_is_too_long() {
    let fixture = Fixture::new(&["panics"]).await;
    let execution = fixture.failed("panics", json!("x".repeat(1 << 20)), Code::FlowPanic).await;
    let message = execution.status_message.unwrap();
    assert!(message.contains("xxxx") && message.len() < 20_000, "{} bytes", message.len());
}

#[tokio::test]
async fn a_flow_that_keeps_every_handle_is_ended() {
    let fixture = Fixture::new(&["handle-flood"]).await;
    let webhook = json!({ "name": "flood", "flow_name": "handle-flood", "is_enabled": true });
    let webhook = webhook.as_object().unwrap().clone();
    fixture.host.create_record(&fixture.host.admin(), RecordType::Webhook, webhook).await.unwrap();
    let route = fixture.host.webhook_route(&Address::Record { name: "flood".into() }).unwrap();
    let request = WebhookRequest {
        method: Method::POST,
        path: String::new(),
        query: None,
        headers: HeaderMap::new(),
        body: Bytes::new(),
        caller: None,
        standing: None,
        reservation: None,
    };
    let problem = fixture.host.call_webhook(&route, request).await.unwrap_err();
    assert_eq!(problem.code, Code::FlowOutputLimit);
    assert!(problem.detail.ends_with(": open handles"), "{}", problem.detail);
}
