//! Hostile flows end by their budgets while their neighbours are served.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use flowhost_tests::{Host, Setup};
use serde_json::{Value, json};

/// A flow, what it is called with, and how it ends.
type Hostile = (&'static str, &'static str, u16, &'static str);

const HOSTILE: [Hostile; 15] = [
    ("spin", "null", 500, "flow.cpu-limit"),
    ("spin-hostcalls", "null", 500, "flow.cpu-limit"),
    ("start-loop", "null", 500, "flow.cpu-limit"),
    ("memory-bomb", "null", 500, "flow.memory-limit"),
    ("log-flood", "null", 500, "flow.output-limit"),
    ("stdout-flood", "null", 500, "flow.output-limit"),
    ("stdout-flood", r#""no-newline""#, 500, "flow.output-limit"),
    ("big-output", r#"{"bytes":2000000}"#, 500, "flow.output-limit"),
    ("big-output", r#"{"bytes":2000000,"set":true}"#, 500, "flow.output-limit"),
    ("handle-flood", "null", 500, "flow.output-limit"),
    ("poll-flood", r#"{"polled":1000000}"#, 500, "flow.trap"),
    ("deep-recursion", "null", 500, "flow.trap"),
    ("trap", "null", 500, "flow.trap"),
    ("exit", "0", 500, "flow.trap"),
    ("panics", r#""enough""#, 500, "flow.panic"),
];

/// Calls each of the flows four times at once while a neighbour is called again and again.
fn call_beside_a_neighbour(host: &Host, hostile: &[Hostile]) {
    let name = |(number, (flow, ..)): (usize, &Hostile)| host.webhook(&format!("{flow}-{number}"), flow);
    let webhooks: Vec<_> = hostile.iter().enumerate().map(name).collect();
    let neighbour = host.webhook("hello", "hello");
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let neighbour = scope.spawn(|| {
            let mut served = 0;
            while !is_over.load(Ordering::Relaxed) || served == 0 {
                neighbour.call(host, &json!({})).send().ok();
                served += 1;
            }
        });
        for (webhook, (flow, input, status, code)) in webhooks.iter().zip(hostile) {
            let input: Value = serde_json::from_str(input).unwrap();
            let mut callers = [(); 4].map(|()| webhook.call(host, &input).start());
            for caller in &mut callers {
                let answer = caller.answer("POST");
                let problem = answer.problem(*status, code);
                assert_eq!(problem["execution"]["status"], "ENDED_ERROR", "{flow}: {problem}");
                assert_eq!(answer.header("flowhost-execution-id"), problem["execution"]["id"].as_str());
            }
        }
        is_over.store(true, Ordering::Relaxed);
        neighbour.join().unwrap();
    });
    let log = host.log();
    assert!(!log.contains("panicked") && !log.contains("ERROR"), "{log}");
}

#[test]
fn hostile_flows_end_by_their_budgets_while_a_neighbour_is_served() {
    let host = Setup::new().set("cpu_ms", 400).set("memory_bytes", 16 << 20).start();
    call_beside_a_neighbour(&host, &HOSTILE);
}

#[test]
fn flows_that_take_long_end_by_their_time_while_a_neighbour_is_served() {
    let host = Setup::new().set("wall_ms", 2_000).set("cpu_ms", 3_600_000).start();
    call_beside_a_neighbour(&host, &[("spin", "null", 504, "flow.time-limit")]);
}

#[test]
fn a_neighbour_is_served_while_more_flows_loop_than_there_are_threads() {
    let hours = 10 * 3_600_000;
    let host = Setup::new().set("cpu_ms", hours).set("wall_ms", hours).start();
    let spin = host.webhook("spin", "spin");
    let hello = host.webhook("hello", "hello");
    let threads = thread::available_parallelism().unwrap().get();
    let loops: Vec<String> = (0..threads + 1).map(|_| spin.call_async(&host, &json!(null))).collect();
    for id in &loops {
        host.wait_until(id, "runs", |execution| execution["status"] == "RUNNING");
    }
    for _ in 0..50 {
        hello.call(&host, &json!({})).send().ok();
    }
    for id in &loops {
        assert_eq!(host.read(&format!("execution/{id}")).ok()["status"], "RUNNING");
        host.cancel(id).ok();
        assert_eq!(host.wait_until_ended(id).status(), "ENDED_CANCELLED");
    }
}

/// Stopped for longer than its budget, it still has most of it: the clock went on, the processor did not.
#[test]
fn flow_that_was_stopped_keeps_its_cpu_budget() {
    let budget = Duration::from_secs(3);
    let host = Setup::new().set("cpu_ms", 3_000).set("wall_ms", 3_600_000).start();
    let id = host.webhook("spin", "spin").call_async(&host, &json!(null));
    host.wait_until(&id, "runs", |execution| execution["status"] == "RUNNING");
    host.suspend_for(budget);
    assert_eq!(host.read(&format!("execution/{id}")).ok()["status"], "RUNNING");
    assert_eq!(host.wait_until_ended(&id).failure(), Some("flow.cpu-limit"));
}
