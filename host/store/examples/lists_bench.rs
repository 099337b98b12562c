//! How long lists of executions take when there are many.
//!
//! `cargo run --release -p flowhost-store --example lists_bench [EXECUTIONS] [FOLDER]`. It keeps 1,000,000 executions
//! unless another number is given: of ten flows, one of which has half of them, and one that only the oldest hundred are
//! of; one in a thousand ended with an error, but for none of the newest tenth. For each list it prints, as JSON, the times
//! of the first page of 50 (the median and the worst) and of the page behind it (the median), in milliseconds, and how its
//! query finds them. A folder that is given and holds data is used as it is, and kept. `cargo xtask bench` shows the same
//! as a table.

#![allow(clippy::disallowed_methods, reason = "a benchmark has no host whose clock it could ask")]

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use flowhost_model::{
    Digest, Execution, Filter, FlowRef, Order, Priority, RawValue, RecordId, RecordType, Status, Timestamp, WebhookRef,
    definition,
};
use flowhost_store::sqlite::{SqliteOptions, SqliteStore, explain_executions};
use flowhost_store::{ExecutionQuery, Store};
use serde_json::{Value, json};

/// How often each list is read.
const RUNS: usize = 20;
/// How many tasks keep executions at the same time.
const TASKS: usize = 500;

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let count = std::env::args().nth(1).map_or(Ok(1_000_000), |count| count.parse())?;
    let given = std::env::args_os().nth(2).map(PathBuf::from);
    let folder = given
        .clone()
        .unwrap_or_else(|| std::env::temp_dir().join(format!("flowhost-lists-bench-{}", std::process::id())));
    let store = Arc::new(SqliteStore::open(&folder, SqliteOptions::default())?);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let fill_seconds = match page(&*store, ExecutionQuery::default()).await?.0 {
            0 => Some(fill(store.clone(), count).await?),
            _ => None,
        };
        let report = json!({
            "executions": count,
            "fill_seconds": fill_seconds,
            "data_bytes": store.stats().await?.data_bytes,
            "lists": lists(&*store, &folder).await?,
        });
        println!("{report:#}");
        store.close().await?;
        Ok::<_, Failure>(())
    })?;
    if given.is_none() {
        std::fs::remove_dir_all(&folder)?;
    }
    Ok(())
}

/// Keeps the executions; gives the seconds that it took.
async fn fill(store: Arc<SqliteStore>, count: u64) -> Result<f64, Failure> {
    let flows: Arc<Vec<RecordId>> = Arc::new((0..11).map(|_| RecordId::new()).collect());
    let next = Arc::new(AtomicU64::new(0));
    let began = Instant::now();
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let (store, flows, next) = (store.clone(), flows.clone(), next.clone());
            tokio::spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return Ok::<_, Failure>(());
                    }
                    store.end_execution(execution(number, count, &flows)?, Vec::new(), false).await?;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    Ok(began.elapsed().as_secs_f64())
}

fn execution(number: u64, count: u64, flows: &[RecordId]) -> Result<Execution, Failure> {
    let flow = match number {
        number if number < 100 => 10,
        number if number % 2 == 0 => 0,
        number => (number / 2 % 9 + 1) as usize,
    };
    let is_error = number % 1000 == 7 && number < count / 10 * 9;
    let now = Timestamp::now();
    let name = format!("flow-{flow}");
    Ok(Execution {
        id: RecordId::new(),
        flow: FlowRef { id: flows[flow], name: name.clone(), version: 1, digest: Digest([7; 32]) },
        webhook: Some(WebhookRef { id: flows[(flow + 1) % flows.len()], name }),
        project_id: Some(flows[if flow == 10 { 10 } else { 0 }]),
        bundle_id: None,
        created_by: Some(flows[flow]),
        user_id: Some(flows[flow]),
        parent_id: None,
        priority: Priority::Normal,
        status: if is_error { Status::EndedError } else { Status::EndedSuccess },
        status_message: None,
        failure: None,
        is_productive: true,
        attempt: 1,
        is_durable: false,
        input_value: RawValue::from_string(format!("{{\"text\":\"{}\"}}", "x".repeat(500)))?,
        output_value: RawValue::from_string("{\"greeting\":\"Hello\"}".to_owned())?,
        created_at: now,
        started_at: Some(now),
        ended_at: Some(now),
        wake_at: None,
        queue_wait_us: 0,
        run_time_us: 0,
    })
}

/// How many executions a page has, and from where the list goes on.
async fn page(store: &dyn Store, query: ExecutionQuery) -> Result<(usize, Option<String>), Failure> {
    let page = store.query_executions(query).await?;
    Ok((page.executions.len(), page.next))
}

async fn lists(store: &dyn Store, folder: &std::path::Path) -> Result<Vec<Value>, Failure> {
    let first = |order| ExecutionQuery { order, limit: 1, ..ExecutionQuery::default() };
    let created_at = Order::parse("created_at", definition(RecordType::Execution))?;
    let oldest = store.query_executions(first(created_at)).await?.executions.pop().ok_or("no executions")?;
    let newest = store.query_executions(first(Vec::new())).await?.executions.pop().ok_or("no executions")?;
    let span = newest.created_at.0 - oldest.created_at.0;
    let at = |percent: i64| Timestamp(oldest.created_at.0 + span / 100 * percent).to_string();
    let rare_flow = oldest.flow.id.to_string();
    let error = json!({"field": "status", "value": "ENDED_ERROR"});
    let success = json!({"field": "status", "value": "ENDED_SUCCESS"});
    let old = json!({"and": [
        {"field": "created_at", "op": "ge", "value": at(20)}, {"field": "created_at", "op": "lt", "value": at(21)},
    ]});
    let large_flow = {
        let filter = json!({"field": "name", "value": "flow-0"});
        let query = query(Some(&filter), "")?;
        store.query_executions(ExecutionQuery { limit: 1, ..query }).await?.executions.pop()
    };
    let large_flow = large_flow.ok_or("no flow-0")?;
    let webhook = large_flow.webhook.as_ref().map(|webhook| webhook.id.to_string());
    let flow = json!({"field": "flow_id", "value": large_flow.flow.id});
    let rows: Vec<(&str, Option<Value>, &str)> = vec![
        ("newest", None, ""),
        ("oldest", None, "created_at"),
        ("status ENDED_ERROR, rare", Some(error.clone()), ""),
        ("status ENDED_SUCCESS, common", Some(success.clone()), ""),
        ("status not ENDED_SUCCESS", Some(json!({"not": success})), "-created_at"),
        ("status RUNNING, none", Some(json!({"field": "status", "value": "RUNNING"})), ""),
        ("a flow with half of all", Some(flow.clone()), ""),
        ("a flow with the oldest 100", Some(json!({"field": "flow_id", "value": rare_flow})), "-created_at"),
        ("a webhook with half of all", Some(json!({"field": "webhook_id", "value": webhook})), ""),
        ("created_at, a range of 1 %", Some(old.clone()), "-created_at"),
        ("created_at before all", Some(json!({"field": "created_at", "op": "lt", "value": at(0)})), ""),
        ("a status and a range", Some(json!({"and": [error, old]})), ""),
        ("a flow, a status and a range", Some(json!({"and": [flow, error, old]})), ""),
        ("a project with nearly all", None, "newest project"),
        ("a project with the oldest 100", None, "oldest project"),
        (
            "two projects, not RUNNING",
            Some(json!({"field": "status", "op": "ne", "value": "RUNNING"})),
            "both projects",
        ),
        ("by the end, all are sorted", None, "-ended_at"),
    ];
    let mut lists = Vec::new();
    for (name, filter, order) in rows {
        let in_projects = |projects: &[Option<RecordId>]| -> Result<_, Failure> {
            let in_projects = projects.iter().copied().collect();
            Ok(ExecutionQuery { in_projects, ..query(filter.as_ref(), "")? })
        };
        let query = match order {
            "newest project" => in_projects(&[newest.project_id])?,
            "oldest project" => in_projects(&[oldest.project_id])?,
            "both projects" => in_projects(&[newest.project_id, oldest.project_id])?,
            order => query(filter.as_ref(), order)?,
        };
        let (count, next) = page(store, query.clone()).await?;
        let first = times(store, &query).await?;
        let second = match next {
            Some(next) => Some(times(store, &ExecutionQuery { after: Some(next), ..query.clone() }).await?.0),
            None => None,
        };
        // A list that is merged of several scans has the same step for each.
        let mut steps = explain_executions(folder, &query)?;
        steps.retain(|step| step.contains("execution"));
        steps.dedup();
        lists.push(json!({
            "list": name,
            "rows": count,
            "median_ms": first.0,
            "worst_ms": first.1,
            "second_page_ms": second,
            "plan": steps,
        }));
    }
    Ok(lists)
}

fn query(filter: Option<&Value>, order: &str) -> Result<ExecutionQuery, Failure> {
    let definition = definition(RecordType::Execution);
    let filter = filter.map(|filter| Filter::parse(filter, definition)).transpose()?;
    let order = if order.is_empty() { Vec::new() } else { Order::parse(order, definition)? };
    Ok(ExecutionQuery { filter, order, ..ExecutionQuery::default() })
}

/// The median and the longest time of a page, in milliseconds.
async fn times(store: &dyn Store, query: &ExecutionQuery) -> Result<(f64, f64), Failure> {
    let mut took = Vec::new();
    for _ in 0..RUNS {
        let began = Instant::now();
        store.query_executions(query.clone()).await?;
        took.push(began.elapsed().as_secs_f64() * 1000.0);
    }
    took.sort_by(f64::total_cmp);
    Ok((took[took.len() / 2], took[took.len() - 1]))
}
