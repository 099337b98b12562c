//! The host as a library: no state but in its folder, several at once.

use flowhost::model::Status;
use flowhost::{Code, Host, Pooling};
use serde_json::json;

use crate::fixture::{Fixture, component, limits};

#[tokio::test]
async fn two_hosts_in_one_process_know_nothing_of_each_other() {
    let (one, other) = (Fixture::new(&["hello"]).await, Fixture::new(&["canary"]).await);
    let execution = one.call("hello", json!({ "name": "Ada" })).await;
    assert_eq!(execution.output_value.get(), r#"{"greeting":"Hello, Ada!"}"#);
    other.call("canary", json!(1)).await;
    assert_eq!(other.host.call("hello", json!(null)).await.unwrap_err().code, Code::FlowNotFound);
    assert_eq!(other.host.execution(execution.id).await.unwrap_err().code, Code::RecordNotFound);
    one.host.shutdown().await;
    other.call("canary", json!(2)).await;
    assert_eq!(one.host.call("hello", json!(null)).await.unwrap_err().code, Code::HostDraining);
}

#[tokio::test]
async fn the_same_folder_serves_one_host_at_a_time() {
    let fixture = Fixture::new(&["hello"]).await;
    let again = Host::builder().data(fixture.folder.path()).limits(limits()).build();
    let problem = again.await.err().unwrap();
    assert!(problem.detail.contains("in use"), "{}", problem.detail);
    fixture.host.shutdown().await;
    let next = Host::builder().data(fixture.folder.path()).limits(limits()).build().await.unwrap();
    next.call("hello", json!(null)).await.unwrap();
}

#[tokio::test]
async fn what_was_accepted_runs_after_a_restart() {
    let fixture = Fixture::new(&["sleeper"]).await;
    let id = fixture.host.call_async("sleeper", json!({ "ms": 1 })).await.unwrap();
    fixture.host.shutdown_within(std::time::Duration::ZERO).await;
    let next = Host::builder().data(fixture.folder.path()).limits(limits()).build().await.unwrap();
    let fixture = Fixture { host: next, folder: fixture.folder };
    let ended = fixture.until(id, |execution| execution.status.is_ended()).await;
    assert_eq!(ended.status, Status::EndedSuccess);
}

#[tokio::test]
async fn a_host_without_a_pool_does_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let builder = Host::builder().data(folder.path()).limits(limits()).pooling(Pooling::Never);
    let host = builder.build().await.unwrap();
    assert!(!host.info().is_pooled);
    for guest in ["canary", "memory-bomb", "spin"] {
        host.deploy(guest, component(guest)).await.unwrap();
    }
    let fixture = Fixture { host, folder };
    for _ in 0..3 {
        assert_eq!(fixture.outputs("canary", json!(1)).await, json!({ "calls": 1, "found": null }));
    }
    fixture.failed("memory-bomb", json!(null), Code::FlowMemoryLimit).await;
    fixture.failed("spin", json!(null), Code::FlowCpuLimit).await;
}

#[tokio::test]
async fn what_is_no_flow_is_refused_and_the_former_version_stays() {
    let fixture = Fixture::new(&["hello"]).await;
    for bytes in [Vec::new(), b"#!/bin/sh".to_vec(), b"\0asm\x01\0\0\0".to_vec(), component("hello")[..1000].to_vec()] {
        let problem = fixture.host.deploy("hello", bytes).await.unwrap_err();
        assert_eq!(problem.code, Code::ComponentInvalid);
    }
    assert_eq!(fixture.call("hello", json!(null)).await.flow.version, 1);
    let again = fixture.host.deploy("hello", component("hello")).await.unwrap();
    assert!(again.is_unchanged && again.version.version == 1);
}

#[tokio::test]
async fn damaged_artifacts_are_compiled_again_at_the_next_start() {
    let fixture = Fixture::new(&["hello"]).await;
    fixture.host.shutdown().await;
    for artifact in std::fs::read_dir(fixture.folder.path().join("artifacts")).unwrap() {
        let artifact = artifact.unwrap().path();
        let half = std::fs::read(&artifact).unwrap();
        std::fs::write(&artifact, &half[..half.len() / 2]).unwrap();
    }
    let next = Host::builder().data(fixture.folder.path()).limits(limits()).build().await.unwrap();
    next.call("hello", json!(null)).await.unwrap();
}
