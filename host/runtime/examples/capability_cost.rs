//! What a call of a flow into its host costs, one capability after the other.
//!
//! `cargo run --release --workspace --example capability_cost -- target/guests/cost.wasm`. Prints, as JSON and in nanoseconds for each
//! call, the median of several executions: of a call that takes and gives next to nothing (`deadline`), which is what the
//! sandbox itself costs, and of calls that do something.

use std::time::Duration;

use flowhost::{Budget, Host, Limits};
use serde_json::{Map, json};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// How often an execution makes the call.
const TIMES: u32 = 20_000;

/// How many executions there are for each call.
const RUNS: usize = 7;

const CALLS: [&str; 9] =
    ["deadline", "id", "log", "log-fields", "set-output", "append-output", "set-status", "set-header", "get-setting"];

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let file = std::env::args().nth(1).ok_or("expected the path of cost.wasm")?;
    let folder = tempfile::tempdir()?;
    // So large that the calls are measured and no limit.
    let budget = Budget {
        cpu: Duration::from_secs(600),
        wall: Duration::from_secs(600),
        log_bytes: 1 << 30,
        journal_entries: u64::from(TIMES) + 1,
        journal_bytes: 1 << 30,
        ..Budget::default()
    };
    let host = Host::builder().data(folder.path()).limits(Limits { budget, ..Limits::default() }).build().await?;
    host.deploy("cost", std::fs::read(file)?).await?;
    let loop_alone = each(&host, "nothing").await?;
    let mut report = Map::new();
    for call in CALLS {
        let took = each(&host, call).await? - loop_alone;
        report.insert(call.to_owned(), json!((took * 10.0).round() / 10.0));
    }
    println!("{}", json!({ "ns_per_call": report }));
    host.shutdown().await;
    Ok(())
}

/// Nanoseconds of one turn of the loop with this call in it.
async fn each(host: &Host, call: &str) -> Result<f64, Failure> {
    let mut took = Vec::with_capacity(RUNS);
    for _ in 0..RUNS {
        let execution = host.call("cost", json!({ "call": call, "times": TIMES })).await?;
        took.push(execution.run_time_us);
    }
    took.sort_unstable();
    Ok(took[RUNS / 2] as f64 * 1_000.0 / f64::from(TIMES))
}
