//! How many executions per second the SQLite store keeps.
//!
//! `cargo run --release -p flowhost-store --example store_bench [FOLDER [SECONDS [LOAD]]]`. For 1, 32 and 250 tasks that each
//! end one execution after the other, it prints the executions per second, how many share a commit, how often all of them
//! waited for a checkpoint and how long at most, and the processor time that the writing thread takes for one. Each call has
//! 1 KB of input and waits for its commit, as the host does. Those that are admitted have two: one before they run, one at
//! their end.

#![allow(clippy::disallowed_methods, reason = "a benchmark has no host whose clock it could ask")]

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use flowhost_model::{
    Digest, Execution, FlowRef, LogLevel, LogLine, LogSource, Priority, RawValue, RecordId, Status, Timestamp,
    WebhookRef,
};
use flowhost_store::sqlite::{SqliteOptions, SqliteStore};
use flowhost_store::{ExecutionRow, OwnerId, Store};

/// How long a load lasts where nothing else is asked for.
const SECONDS: u64 = 4;

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[derive(Clone, Copy)]
struct Load {
    name: &'static str,
    tasks: usize,
    flows: usize,
    log_lines: usize,
    /// Whether each is kept twice: when it is admitted, and when it ends.
    is_admitted: bool,
}

fn main() -> Result<(), Failure> {
    let folder = match std::env::args_os().nth(1) {
        Some(folder) => PathBuf::from(folder),
        None => std::env::temp_dir().join(format!("flowhost-store-bench-{}", std::process::id())),
    };
    let seconds = std::env::args().nth(2).map_or(Ok(SECONDS), |seconds| seconds.parse())?;
    let only = std::env::args().nth(3);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    println!(
        "{:<24} {:>8} {:>8} {:>10} {:>10} {:>10} {:>10} {:>11} {:>11} {:>10} {:>9}",
        "load",
        "per s",
        "a commit",
        "p50 us",
        "p99 us",
        "p99.9 us",
        "max us",
        "checkpoints",
        "longest us",
        "CPU us",
        "bytes"
    );
    let plain = Load { name: "", tasks: 1, flows: 1, log_lines: 0, is_admitted: false };
    for load in [
        Load { name: "1 task", ..plain },
        Load { name: "32 tasks", tasks: 32, ..plain },
        Load { name: "100 tasks", tasks: 100, ..plain },
        Load { name: "250 tasks", tasks: 250, ..plain },
        Load { name: "250 tasks, 100 flows", tasks: 250, flows: 100, ..plain },
        Load { name: "250 tasks, 3 log lines", tasks: 250, log_lines: 3, ..plain },
        Load { name: "250 tasks, admitted", tasks: 250, is_admitted: true, ..plain },
    ] {
        if only.as_ref().is_some_and(|only| only != load.name) {
            continue;
        }
        let data = folder.join(load.name.replace([' ', ','], "-"));
        let store = Arc::new(SqliteStore::open(&data, SqliteOptions::default())?);
        runtime.block_on(run(store, load, Duration::from_secs(seconds)))?;
    }
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

async fn run(store: Arc<SqliteStore>, load: Load, duration: Duration) -> Result<(), Failure> {
    let flows: Arc<Vec<(FlowRef, WebhookRef)>> = Arc::new((0..load.flows).map(target).collect());
    let input = RawValue::from_string(format!("{{\"text\":\"{}\"}}", "x".repeat(1000)))?;
    let counter = Arc::new(AtomicU64::new(0));
    let cpu_before = writer_cpu_ns()?;
    let began = Instant::now();
    let mut tasks = Vec::new();
    for _ in 0..load.tasks {
        let (store, flows, input, counter) = (store.clone(), flows.clone(), input.clone(), counter.clone());
        tasks.push(tokio::spawn(async move {
            let mut took = Vec::new();
            while began.elapsed() < duration {
                let number = counter.fetch_add(1, Ordering::Relaxed) as usize;
                let execution = ended(&flows[number % flows.len()], input.clone())?;
                let log = (0..load.log_lines).map(|_| line(execution.created_at)).collect();
                let called = Instant::now();
                if load.is_admitted {
                    store.insert_execution(admitted(&execution)).await?;
                }
                store.end_execution(execution, log, load.is_admitted).await?;
                took.push(called.elapsed().as_micros());
            }
            Ok::<_, Failure>(took)
        }));
    }
    let mut took = Vec::new();
    for task in tasks {
        took.extend(task.await??);
    }
    let elapsed = began.elapsed().as_secs_f64();
    let cpu_us = (writer_cpu_ns()? - cpu_before) as f64 / 1000.0;
    let stats = store.stats().await?;
    took.sort_unstable();
    let writes = took.len() as f64;
    println!(
        "{:<24} {:>8.0} {:>8.1} {:>10} {:>10} {:>10} {:>10} {:>11} {:>11} {:>10.1} {:>9.0}",
        load.name,
        writes / elapsed,
        stats.writes as f64 / stats.commits as f64,
        took[took.len() / 2],
        took[took.len() * 99 / 100],
        took[took.len() * 999 / 1000],
        took[took.len() - 1],
        stats.checkpoints,
        stats.checkpoint_max_us,
        cpu_us / writes,
        stats.data_bytes as f64 / writes,
    );
    store.close().await?;
    Ok(())
}

fn target(number: usize) -> (FlowRef, WebhookRef) {
    let name = format!("flow-{number}");
    let flow = FlowRef { id: RecordId::new(), name: name.clone(), version: 1, digest: Digest([7; 32]) };
    (flow, WebhookRef { id: RecordId::new(), name })
}

fn ended((flow, webhook): &(FlowRef, WebhookRef), input_value: Box<RawValue>) -> Result<Execution, Failure> {
    let now = Timestamp::now();
    Ok(Execution {
        id: RecordId::new(),
        flow: flow.clone(),
        webhook: Some(webhook.clone()),
        status: Status::EndedSuccess,
        status_message: None,
        failure: None,
        project_id: Some(flow.id),
        bundle_id: None,
        created_by: Some(webhook.id),
        user_id: Some(webhook.id),
        parent_id: None,
        priority: Priority::Normal,
        is_productive: true,
        attempt: 1,
        is_durable: false,
        input_value,
        output_value: RawValue::from_string("{\"greeting\":\"Hello\"}".to_owned())?,
        created_at: now,
        started_at: Some(now),
        ended_at: Some(now),
        wake_at: None,
        queue_wait_us: 0,
        run_time_us: 0,
    })
}

/// The row of an execution before its end.
fn admitted(execution: &Execution) -> ExecutionRow {
    ExecutionRow {
        execution: Execution { status: Status::Scheduled, started_at: None, ended_at: None, ..execution.clone() },
        request: None,
        seed: [1; 32],
        deadline: None,
        actor: None,
        is_detached: false,
        depth: 0,
        concurrency: None,
        owner: Some(OwnerId(1)),
        is_cancelled: false,
        journal: Vec::new(),
        log_lines: 0,
        deaths: 0,
    }
}

fn line(at: Timestamp) -> LogLine {
    let message = "a line as a flow would write it, of middling length".to_owned();
    LogLine { at, level: LogLevel::Info, source: LogSource::Flow, message, fields: None }
}

/// The processor time of the writing thread. Zero where there is no `/proc`.
fn writer_cpu_ns() -> Result<u64, Failure> {
    let Ok(threads) = std::fs::read_dir("/proc/self/task") else { return Ok(0) };
    for thread in threads {
        let folder = thread?.path();
        if std::fs::read_to_string(folder.join("comm"))?.trim() == "flowhost-store" {
            let text = std::fs::read_to_string(folder.join("schedstat"))?;
            return Ok(text.split_whitespace().next().unwrap_or("0").parse()?);
        }
    }
    Ok(0)
}
