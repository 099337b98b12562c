//! A host that is full says so, and never that its sandbox is.

use std::time::Duration;

use flowhost::{Code, Limits};
use serde_json::json;

use crate::fixture::{Fixture, limits};

/// What 200 calls of one flow at once come to, where its share is two at a time: those that ended well, and those that were told to come back.
async fn two_hundred_at_once(admission_wait: Duration) -> (usize, usize) {
    let limits = Limits { executions: 4, admission_wait, ..limits() };
    let fixture = Fixture::with(&["sleeper"], limits).await;
    let calls: Vec<_> = (0..200)
        .map(|_| {
            let host = fixture.host.clone();
            tokio::spawn(async move { host.call("sleeper", json!({ "ms": 5 })).await })
        })
        .collect();
    let (mut served, mut refused) = (0, 0);
    for call in calls {
        match call.await.unwrap() {
            Ok(_) => served += 1,
            Err(problem) => {
                assert_eq!(problem.code, Code::FlowBusy, "{}", problem.detail);
                assert!(problem.retry_after.is_some() && problem.execution.is_none());
                refused += 1;
            }
        }
    }
    let kept = fixture.executions().await;
    assert_eq!(kept.len(), served);
    (served, refused)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_beyond_the_limit_are_refused_at_once_where_they_may_not_wait() {
    let (served, refused) = two_hundred_at_once(Duration::ZERO).await;
    assert!(served >= 2, "{served}");
    assert_eq!(served + refused, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_beyond_the_limit_have_their_turn_where_they_may_wait() {
    assert_eq!(two_hundred_at_once(Duration::from_secs(600)).await, (200, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accepted_executions_beyond_the_share_wait_and_then_are_refused() {
    let limits = Limits { executions: 2, queued: 6, ..crate::fixture::patient() };
    let fixture = Fixture::with(&["spin"], limits).await;
    let first = fixture.host.call_async("spin", json!(null)).await.unwrap();
    fixture.until(first, |execution| execution.started_at.is_some()).await;
    let mut waiting = Vec::new();
    for _ in 0..3 {
        waiting.push(fixture.host.call_async("spin", json!(null)).await.unwrap());
    }
    let problem = fixture.host.call_async("spin", json!(null)).await.unwrap_err();
    assert_eq!(problem.code, Code::FlowBusy);
    // One that waits can be cancelled and makes room.
    fixture.cancel(waiting[1]).await;
    fixture.until(waiting[1], |execution| execution.status.is_ended()).await;
    fixture.host.call_async("spin", json!(null)).await.unwrap();
}
