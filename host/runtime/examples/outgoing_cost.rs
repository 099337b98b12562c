//! What a request of a flow to the outside costs, over a pooled connection to a server on this machine. Prints JSON.
//!
//! ```sh
//! cargo xtask guests
//! cargo run --release --workspace --example outgoing_cost -- target/guests/http.wasm
//! ```

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use flowhost::model::RecordType;
use flowhost::{AllowList, Budget, Host, HttpLimits, HttpPolicy, Limits};
use serde_json::json;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 11\r\n\r\n{\"ok\":true}";

/// Requests of one execution, and executions that are measured.
const REQUESTS: u32 = 1_000;
const ROUNDS: usize = 10;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let file = std::env::args().nth(1).ok_or("usage: outgoing_cost target/guests/http.wasm")?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || answer(&stream));
        }
    });

    let folder = tempfile::tempdir()?;
    let policy = HttpPolicy {
        allow: AllowList::new([format!("http://{address}")])?,
        private: vec!["127.0.0.0/8".parse()?],
        ..HttpPolicy::default()
    };
    let budget = Budget { cpu: Duration::from_secs(60), ..Budget::default() };
    let http = HttpLimits { requests: REQUESTS, ..HttpLimits::default() };
    let limits = Limits { budget, http, executions: 4, ..Limits::default() };
    let host = Host::builder().data(folder.path()).limits(limits).http(policy).build().await?;
    let deployed = host.deploy("http", std::fs::read(file)?).await?;
    let options = json!({ "options": { "http_allow": [format!("http://{address}")] } });
    let options = options.as_object().cloned().unwrap_or_default();
    host.update_record(&host.admin(), RecordType::Flow, deployed.flow.meta.id, options, None).await?;

    let url = format!("http://{address}/");
    let plan = |times: u32| json!({ "steps": [{ "send": [{ "url": url }], "times": times }] });
    // What it takes beside its requests, and what it takes with them.
    let mut costs = Vec::new();
    host.call("http", plan(10)).await?;
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        host.call("http", plan(0)).await?;
        let alone = begun.elapsed();
        let begun = Instant::now();
        let execution = host.call("http", plan(REQUESTS)).await?;
        let taken = begun.elapsed();
        let answered = execution.output_value.get().matches("\"status\":200").count();
        if answered != REQUESTS as usize {
            return Err(format!("{answered} of {REQUESTS} requests were answered").into());
        }
        costs.push(taken.saturating_sub(alone) / REQUESTS);
    }
    costs.sort_unstable();
    let [median, least, most] = [costs[ROUNDS / 2], costs[0], costs[ROUNDS - 1]].map(|cost| cost.as_nanos());
    println!("{}", json!({ "ns_per_request": { "median": median, "least": least, "most": most } }));
    host.shutdown().await;
    Ok(())
}

/// Answers each request of a connection: none of them has a body.
fn answer(stream: &TcpStream) {
    let _told = stream.set_nodelay(true);
    let mut reader = BufReader::new(stream);
    let mut writer = stream;
    let mut line = String::new();
    while reader.read_line(&mut line).is_ok_and(|length| length > 0) {
        if line == "\r\n" && writer.write_all(ANSWER).is_err() {
            return;
        }
        line.clear();
    }
}
