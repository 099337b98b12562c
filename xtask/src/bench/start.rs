//! How long a start with many flows takes, and how much memory a server needs that has nothing to do.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::{Place, contestant, median, wrk};
use crate::http;
use crate::run::Outcome;
use crate::server::Server;

/// Deployed flows, each with an artifact of its own.
const FLOWS: usize = 100;

/// Starts that are measured; the first of all, right after the deployments, is not among them.
const STARTS: usize = 5;

/// How long a server is left alone before its memory is looked at.
const REST: Duration = Duration::from_secs(3);

/// What was measured.
#[derive(Serialize)]
pub(super) struct Started {
    pub(super) flows: usize,
    /// From the start of the process to the first answered call, median of the starts.
    pub(super) first_answer_ms: f64,
    pub(super) spread_ms: [f64; 2],
    /// Resident memory with these flows, after the first answer and some seconds of rest.
    pub(super) idle_bytes: u64,
    /// The same of a host without a flow, which nobody has called.
    pub(super) idle_empty_bytes: u64,
}

/// Deploys the flows, then starts again and again.
pub(super) fn measure(place: &Place) -> Outcome<Started> {
    let data = place.folder.join("many-flows");
    deploy(place, &data)?;
    eprintln!("measuring starts with {FLOWS} flows…");
    let mut times = Vec::new();
    let mut idle_bytes = 0;
    for _ in 0..=STARTS {
        let start = Instant::now();
        let server = contestant::serve(place, &data)?;
        call(&server)?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
        if times.len() > STARTS {
            thread::sleep(REST);
            idle_bytes = resident(&server)?;
        }
    }
    times.remove(0);
    let spread_ms = [times.iter().copied().fold(f64::INFINITY, f64::min), times.iter().copied().fold(0.0, f64::max)];
    let idle_empty_bytes = idle_empty(place)?;
    Ok(Started { flows: FLOWS, first_answer_ms: median(times), spread_ms, idle_bytes, idle_empty_bytes })
}

fn idle_empty(place: &Place) -> Outcome<u64> {
    let data = tempfile::tempdir_in(&place.folder)?;
    let server = contestant::serve(place, data.path())?;
    thread::sleep(REST);
    resident(&server)
}

fn deploy(place: &Place, data: &Path) -> Outcome<()> {
    if data.exists() {
        fs::remove_dir_all(data)?;
    }
    let server = contestant::serve(place, data)?;
    let hello = fs::read(&place.hello)?;
    eprintln!("deploying {FLOWS} flows…");
    for number in 1..=FLOWS {
        let component = place.folder.join("variant.wasm");
        fs::write(&component, variant(&hello, number))?;
        let name = format!("hello-{number}");
        contestant::client(place, &server, data, &["deploy", &component.to_string_lossy(), "--name", &name])?;
    }
    let create = ["webhook", "create", "hello", "--flow", "hello-50", "--enable"];
    contestant::client(place, &server, data, &create)
}

/// The component with a custom section that makes its digest, and with it its artifact, its own.
fn variant(component: &[u8], number: usize) -> Vec<u8> {
    let content = format!("{number:04}");
    let name = b"variant";
    let mut bytes = component.to_vec();
    // Section 0, its size, and the name with its size: each below 128, where a size is one byte.
    bytes.extend([0, (1 + name.len() + content.len()) as u8, name.len() as u8]);
    bytes.extend(name);
    bytes.extend(content.as_bytes());
    bytes
}

fn call(server: &Server) -> Outcome<()> {
    let url = format!("{}/api/latest/webhook/hello/call", server.url);
    let answer = http::send("POST", &url, &[], Some(wrk::body().as_bytes()))?;
    if answer.status == 200 { Ok(()) } else { Err(format!("the first call was answered {}", answer.status).into()) }
}

/// The process's resident memory.
fn resident(server: &Server) -> Outcome<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", server.id()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("the system tells no memory use")?;
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kibibytes << 10)
}
