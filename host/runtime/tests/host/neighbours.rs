//! A flow that never yields of itself does not keep others from running.

use flowhost::model::Status;
use serde_json::json;

use crate::fixture::{Fixture, patient};

/// Serves 200 calls while as many flows loop as there are threads to run on.
fn serve_beside_busy_flows(workers: usize, busy: &str) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build().unwrap();
    let served = runtime.spawn({
        let busy = busy.to_owned();
        async move {
            let fixture = Fixture::with(&[&busy, "hello"], patient()).await;
            let mut loops = Vec::new();
            for _ in 0..workers {
                let id = fixture.host.call_async(&busy, json!(null)).await.unwrap();
                fixture.until(id, |execution| execution.status == Status::Running).await;
                loops.push(id);
            }
            for _ in 0..200 {
                fixture.call("hello", json!(null)).await;
            }
            for id in loops {
                assert_eq!(fixture.host.execution(id).await.unwrap().status, Status::Running);
                fixture.cancel(id).await;
                fixture.until(id, |execution| execution.status == Status::EndedCancelled).await;
            }
        }
    });
    runtime.block_on(served).unwrap();
}

#[test]
fn one_thread_serves_beside_a_loop() {
    serve_beside_busy_flows(1, "spin");
}

#[test]
fn one_thread_serves_beside_a_loop_of_host_calls() {
    serve_beside_busy_flows(1, "spin-hostcalls");
}

#[test]
fn two_threads_serve_beside_two_loops() {
    serve_beside_busy_flows(2, "spin");
}
