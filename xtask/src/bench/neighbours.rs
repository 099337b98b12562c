//! What flows that compute without end cost their neighbours: calls of another flow, and what operators ask of the host.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde::Serialize;
use serde_json::Value;

use super::{Bench, Place, contestant, wrk};
use crate::http::{self, Answer};
use crate::run::Outcome;
use crate::server::Server;

/// How many flows loop. The first is the quiet host.
const LOOPS: [usize; 5] = [0, 1, 4, 20, 190];

/// How often the host is asked whether it is alive.
const ASKED: usize = 50;

/// How many of the loops are cancelled one by one.
const CANCELLED: usize = 10;

/// How long the loops may take to run.
const PATIENCE: Duration = Duration::from_secs(60);

/// What was measured beside so many loops.
#[derive(Serialize)]
pub(super) struct Neighbours {
    pub(super) loops: usize,
    /// Calls of `hello` over one connection.
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
    /// The longest answer of `/alive`, each over a connection of its own.
    pub(super) alive_ms: f64,
    /// The longest time from a cancellation's request until its execution has ended; 0 where nothing loops.
    pub(super) cancel_ms: f64,
    /// From the signal until the host no longer says that it is ready.
    pub(super) sigterm_ms: f64,
}

/// A host with a flow that answers and one that loops.
struct Street {
    server: Server,
    token: String,
}

/// Measures beside each number of loops, on a host of its own.
pub(super) fn measure(bench: &Bench, place: &Place) -> Outcome<Vec<Neighbours>> {
    LOOPS.iter().map(|&loops| beside(loops, bench, place)).collect()
}

fn beside(loops: usize, bench: &Bench, place: &Place) -> Outcome<Neighbours> {
    eprintln!("measuring beside {loops} loops…");
    let data = tempfile::tempdir_in(&place.folder)?;
    let street = Street::new(place, data.path())?;
    let hello = street.address("webhook/hello/call");
    wrk::measure(&hello, 1, 1)?;
    let looping = street.start(loops)?;
    let measured = wrk::measure(&hello, 1, bench.seconds)?;
    let alive_ms = longest((0..ASKED).map(|_| {
        let asked = Instant::now();
        http::send("GET", &format!("{}/api/latest/alive", street.server.url), &[], None)?;
        Ok(asked.elapsed())
    }))?;
    let cancel_ms = longest(looping.iter().take(CANCELLED).map(|id| street.cancel(id)))?;
    let sigterm_ms = street.terminate()?.as_secs_f64() * 1e3;
    Ok(Neighbours { loops, p50_us: measured.p50_us, p99_us: measured.p99_us, alive_ms, cancel_ms, sigterm_ms })
}

/// The longest of some times, in milliseconds.
fn longest(times: impl Iterator<Item = Outcome<Duration>>) -> Outcome<f64> {
    let longest = times.collect::<Outcome<Vec<_>>>()?.into_iter().max().unwrap_or_default();
    Ok(longest.as_secs_f64() * 1e3)
}

impl Street {
    fn new(place: &Place, data: &Path) -> Outcome<Self> {
        let hours = 3_600_000;
        let server = contestant::serve_with(place, data, &[&format!("cpu_ms={hours}"), &format!("wall_ms={hours}")])?;
        for (flow, component) in [("hello", place.hello.clone()), ("spin", place.guests.join("spin.wasm"))] {
            contestant::client(place, &server, data, &["deploy", &component.to_string_lossy(), "--name", flow])?;
            contestant::client(place, &server, data, &["webhook", "create", flow, "--flow", flow, "--enable"])?;
        }
        let token = fs::read_to_string(data.join("operator-token"))?.trim().to_owned();
        Ok(Self { server, token })
    }

    fn address(&self, path: &str) -> String {
        format!("{}/api/latest/{path}", self.server.url)
    }

    fn send(&self, method: &str, path: &str) -> Outcome<Answer> {
        let headers = [("Authorization".to_owned(), format!("Bearer {}", self.token))];
        let body = (method == "POST").then_some(b"null".as_slice());
        http::send(method, &self.address(path), &headers, body)
    }

    fn status(&self, id: &str) -> Outcome<String> {
        let execution: Value = serde_json::from_str(&self.send("GET", &format!("execution/{id}"))?.body)?;
        Ok(execution["status"].as_str().unwrap_or_default().to_owned())
    }

    /// Starts the loops and waits until each computes.
    fn start(&self, loops: usize) -> Outcome<Vec<String>> {
        let mut ids = Vec::new();
        for _ in 0..loops {
            let accepted: Value = serde_json::from_str(&self.send("POST", "webhook/spin/call?async")?.body)?;
            ids.push(accepted["id"].as_str().unwrap_or_default().to_owned());
        }
        let began = Instant::now();
        for id in &ids {
            while self.status(id)? != "RUNNING" {
                if began.elapsed() > PATIENCE {
                    return Err(format!("{id} does not run").into());
                }
                thread::sleep(Duration::from_millis(10));
            }
        }
        Ok(ids)
    }

    fn cancel(&self, id: &str) -> Outcome<Duration> {
        let began = Instant::now();
        self.send("POST", &format!("execution/{id}/action/cancel"))?;
        while self.status(id)? != "ENDED_CANCELLED" {
            if began.elapsed() > PATIENCE {
                return Err(format!("{id} does not end").into());
            }
        }
        Ok(began.elapsed())
    }

    /// Tells the host to end; how long it takes until it says that it is not ready, or is gone.
    fn terminate(&self) -> Outcome<Duration> {
        let process = i32::try_from(self.server.id()).ok().and_then(Pid::from_raw).ok_or("no such process")?;
        let began = Instant::now();
        kill_process(process, Signal::TERM)?;
        loop {
            match http::send("GET", &format!("{}/api/latest/ready", self.server.url), &[], None) {
                Ok(answer) if answer.status == 200 => {}
                _ => return Ok(began.elapsed()),
            }
        }
    }
}
