//! Guests that compute for long do not hold the threads of those who call them.

use std::time::Duration;

use flowhost_engine::{Budget, Outcome};
use rustix::time::{ClockId, clock_gettime};
use tokio::task::JoinSet;

use crate::component::Component;
use crate::sandbox::{BUDGET, Sandbox, invocation};

const FOREVER: &str = "(loop $again (br $again)) unreachable";

/// Computes for long, then calls a function of the host that panics.
fn panicking() -> Component {
    Component {
        outside: r#"(import "test:host/panics" (instance $panics (export "panic" (func))))
            (core func $panic (canon lower (func $panics "panic")))"#,
        with: r#"(with "host" (instance (export "panic" (func $panic))))"#,
        fields: r#"(import "host" "panic" (func $panic))"#,
        run: "(local $left i64) (local.set $left (i64.const 300000000))
            (loop $again
                (local.set $left (i64.sub (local.get $left) (i64.const 1)))
                (br_if $again (i64.ne (local.get $left) (i64.const 0))))
            call $panic i32.const 16",
        ..Component::default()
    }
}

/// The CPU time of this thread, which is the only one that the async runtime of these tests has.
fn own_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap())
}

#[tokio::test]
async fn long_call_computes_on_another_thread() {
    let sandbox = Sandbox::new();
    let busy = sandbox.compile(&Component { run: FOREVER, ..Component::default() }.build()).await.unwrap();
    let began = own_time();
    let report = busy.invoke(invocation(BUDGET), "null", std::future::pending()).await;
    assert!(matches!(report.outcome, Outcome::CpuLimit), "{:?}", report.outcome);
    assert!(report.cpu >= BUDGET.cpu);
    let own = own_time() - began;
    assert!(own < BUDGET.cpu / 3, "{own:?} on the caller's thread");
}

#[tokio::test]
async fn calls_beyond_the_threads_end_when_cancelled() {
    let sandbox = Sandbox::new();
    let busy = sandbox.compile(&Component { run: FOREVER, ..Component::default() }.build()).await.unwrap();
    let budget = Budget { cpu: Duration::from_secs(600), ..BUDGET };
    let stop = tokio::sync::watch::Sender::new(false);
    let mut calls = JoinSet::new();
    // As many as the pool has instances.
    for _ in 0..17 {
        let (busy, mut stopped) = (busy.clone(), stop.subscribe());
        calls.spawn(async move {
            let stopped = async move { drop(stopped.wait_for(|stop| *stop).await) };
            busy.invoke(invocation(budget), "null", stopped).await.outcome
        });
    }
    tokio::task::yield_now().await;
    stop.send_replace(true);
    while let Some(outcome) = calls.join_next().await {
        assert!(matches!(outcome, Ok(Outcome::Cancelled)), "{outcome:?}");
    }
}

#[tokio::test]
async fn panic_of_the_host_reaches_the_caller() {
    let sandbox = Sandbox::new();
    let flow = sandbox.compile(&panicking().build()).await.unwrap();
    let budget = Budget { cpu: Duration::from_secs(600), ..BUDGET };
    let call = tokio::spawn(async move { flow.invoke(invocation(budget), "null", std::future::pending()).await });
    assert!(call.await.unwrap_err().is_panic());
}
