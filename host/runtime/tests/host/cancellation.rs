//! Executions are their own tasks: they end by themselves or by somebody's wish, not because their caller went away.

use std::time::Duration;

use flowhost::Limits;
use flowhost::model::Status;
use serde_json::json;

use crate::fixture::{Fixture, limits, patient};

#[tokio::test]
async fn a_busy_flow_is_cancelled() {
    let fixture = Fixture::with(&["spin"], patient()).await;
    let id = fixture.host.call_async("spin", json!(null)).await.unwrap();
    fixture.until(id, |execution| execution.status == Status::Running).await;
    fixture.cancel(id).await;
    let ended = fixture.until(id, |execution| execution.status.is_ended()).await;
    assert_eq!((ended.status, ended.status_message.as_deref()), (Status::EndedCancelled, Some("cancelled")));
}

#[tokio::test]
async fn a_sleeping_flow_shows_its_progress_and_is_cancelled() {
    let fixture = Fixture::with(&["sleeper"], patient()).await;
    let id = fixture.host.call_async("sleeper", json!({ "ms": 3_600_000 })).await.unwrap();
    let running = fixture.until(id, |execution| execution.status_message.is_some()).await;
    assert_eq!((running.status, running.status_message.as_deref()), (Status::Running, Some("asleep")));
    fixture.cancel(id).await;
    let ended = fixture.until(id, |execution| execution.status.is_ended()).await;
    assert_eq!(ended.status, Status::EndedCancelled);
    // To cancel what has ended changes nothing.
    assert_eq!(fixture.cancel(id).await.status, Status::EndedCancelled);
}

#[tokio::test]
async fn an_execution_outlives_its_caller_and_leaves_nothing_behind() {
    let fixture = Fixture::with(&["sleeper", "hello"], Limits { executions: 1, ..limits() }).await;
    for number in 1..=5 {
        let call = fixture.host.call("sleeper", json!({ "ms": 20 }));
        // Polled once, which starts it, and dropped.
        assert!(tokio::time::timeout(Duration::ZERO, call).await.is_err());
        let ended = loop {
            let ended = fixture.executions().await;
            if ended.len() == number {
                break ended;
            }
            tokio::task::yield_now().await;
        };
        assert!(ended.iter().all(|execution| execution.status == Status::EndedSuccess));
    }
    // The only slot is free.
    fixture.call("hello", json!(null)).await;
}
