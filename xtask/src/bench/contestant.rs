//! The servers that are measured.

use std::env;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Place, wrk};
use crate::http;
use crate::run::{self, Outcome};
use crate::server::Server;

/// The variable that names the `wasmtime` program.
const WASMTIME: &str = "WASMTIME";

/// How long a server may take to answer its first call, or to end what it has accepted.
const PATIENCE: Duration = Duration::from_secs(120);

/// How often that is looked at.
const POLL: Duration = Duration::from_millis(50);

/// A server of the benchmark.
pub(super) struct Contestant {
    pub(super) name: &'static str,
    /// Whether it answers before the flow has run.
    pub(super) is_async: bool,
    /// What an answer must contain.
    answer: &'static str,
    pub(super) start: fn(&Place) -> Outcome<Running>,
}

/// A server that runs, and the address to call.
pub(super) struct Running {
    _server: Server,
    pub(super) url: String,
    /// The address that lists executions under way, with the token that it takes.
    under_way: Option<(String, String)>,
}

/// The servers that can run here, and why others cannot.
pub(super) fn all() -> (Vec<Contestant>, Vec<String>) {
    let mut all = vec![
        Contestant { name: "bare hyper", is_async: false, answer: "padding", start: bare_hyper },
        Contestant { name: "flowhost, sync", is_async: false, answer: "Hello, Ada!", start: |it| flowhost(it, "") },
        Contestant { name: "flowhost, async", is_async: true, answer: "id", start: |it| flowhost(it, "?async") },
    ];
    if env::var_os(WASMTIME).is_some() {
        let start = wasmtime_serve;
        all.insert(1, Contestant { name: "wasmtime serve", is_async: false, answer: "Hello, Ada!", start });
        return (all, Vec::new());
    }
    (all, vec![format!("wasmtime serve: the variable {WASMTIME} names no wasmtime 48 program")])
}

impl Running {
    /// Makes one call and checks its answer: a fast wrong answer is worth nothing.
    pub(super) fn answers_rightly(&self, contestant: &Contestant) -> Outcome<()> {
        let headers = [("Content-Type".to_owned(), "application/json".to_owned())];
        let start = Instant::now();
        let answer = loop {
            match http::send("POST", &self.url, &headers, Some(wrk::body().as_bytes())) {
                Ok(answer) => break answer,
                Err(_) if start.elapsed() < PATIENCE => thread::sleep(POLL),
                Err(error) => return Err(error),
            }
        };
        if answer.status < 300 && answer.body.contains(contestant.answer) {
            return Ok(());
        }
        Err(format!("{} answered {}: {}", contestant.name, answer.status, answer.body).into())
    }

    /// Waits until every execution has ended; says how long that took.
    pub(super) fn until_idle(&self) -> Outcome<Duration> {
        let start = Instant::now();
        let Some((url, token)) = &self.under_way else { return Ok(Duration::ZERO) };
        let headers = [("Authorization".to_owned(), format!("Bearer {token}"))];
        for status in ["SCHEDULED", "RUNNING"] {
            loop {
                let answer = http::send("GET", &format!("{url}&status={status}"), &headers, None)?;
                let found: Vec<Value> = serde_json::from_str(&answer.body)?;
                if found.is_empty() {
                    break;
                }
                if start.elapsed() > PATIENCE {
                    return Err("accepted executions do not come to an end".into());
                }
                thread::sleep(POLL);
            }
        }
        Ok(start.elapsed())
    }
}

fn bare_hyper(place: &Place) -> Outcome<Running> {
    let server = Server::start(&mut Command::new(place.examples.join("bare_hyper")), &place.folder.join("hyper.log"))?;
    Ok(Running { url: server.url.clone(), _server: server, under_way: None })
}

/// A host on the disk of the checkout, with `hello` behind a webhook.
fn flowhost(place: &Place, query: &str) -> Outcome<Running> {
    let data = place.folder.join("data");
    if data.exists() {
        fs::remove_dir_all(&data)?;
    }
    let server = serve(place, &data)?;
    client(place, &server, &data, &["deploy", &place.hello.to_string_lossy(), "--name", "hello"])?;
    client(place, &server, &data, &["webhook", "create", "hello", "--flow", "hello", "--enable"])?;
    let token = fs::read_to_string(data.join("operator-token"))?.trim().to_owned();
    let under_way = format!("{}/api/latest/execution?plain=true&limit=1", server.url);
    let url = format!("{}/api/latest/webhook/hello/call{query}", server.url);
    Ok(Running { _server: server, url, under_way: Some((under_way, token)) })
}

/// Starts a host as an operator would, but for a queue that holds whatever one round brings.
pub(super) fn serve(place: &Place, data: &Path) -> Outcome<Server> {
    serve_with(place, data, &[])
}

/// [`serve`] with more of its configuration, each `KEY=VALUE`.
pub(super) fn serve_with(place: &Place, data: &Path, settings: &[&str]) -> Outcome<Server> {
    let mut serve = Command::new(&place.flowhost);
    serve.args(["serve", "--listen", "127.0.0.1:0", "--set", "queued=10000000", "--data"]).arg(data);
    for setting in settings {
        serve.args(["--set", setting]);
    }
    Server::start(serve.env("FLOWHOST_LOG", "warn"), &place.folder.join("flowhost.log"))
}

/// Runs a `flowhost` command against a server.
pub(super) fn client(place: &Place, server: &Server, data: &Path, arguments: &[&str]) -> Outcome<()> {
    let mut command = Command::new(&place.flowhost);
    command.args(arguments).args(["--json", "--server", &server.url, "--data"]).arg(data);
    run::output_of(&mut command).map(|_| ())
}

/// `wasmtime serve` as fast as its options make it: pooled instances that keep their first pages, as this host's do.
fn wasmtime_serve(place: &Place) -> Outcome<Running> {
    // Given back at once, for the server to take.
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let address = format!("127.0.0.1:{port}");
    let mut wasmtime = Command::new(env::var_os(WASMTIME).unwrap_or_default());
    wasmtime
        .args(["serve", "-O", "pooling-allocator=y"])
        .args(["-O", "pooling-memory-keep-resident=262144", "-O", "pooling-table-keep-resident=65536"])
        .args(["-O", "pooling-async-stack-keep-resident=65536"])
        .args(["-S", "cli", "--addr", &address])
        .arg(place.hello.with_file_name("bench-http.wasm"));
    let url = format!("http://{address}/");
    let server = Server::start_at(&mut wasmtime, &url, &place.folder.join("wasmtime.log"))?;
    Ok(Running { url, _server: server, under_way: None })
}
