//! The client of the benchmark: wrk, which keeps each connection busy with one request after the other.

use std::process::Command;

use serde::Deserialize;

use crate::run::{self, Outcome};

/// What wrk sends, and how it reports.
const SCRIPT: &str = include_str!("call.lua");

/// The size of the body, in bytes.
const BODY_BYTES: usize = 1024;

/// What one run of wrk measured.
#[derive(Clone, Copy, Deserialize)]
pub(crate) struct Measured {
    pub(crate) requests: u64,
    pub(crate) seconds: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    /// Answers with a status of 400 or more.
    pub(crate) refused: u64,
    /// Requests without an answer.
    pub(crate) broken: u64,
}

impl Measured {
    /// Good answers in a second.
    pub(crate) fn per_second(&self) -> f64 {
        self.requests.saturating_sub(self.refused) as f64 / self.seconds
    }
}

/// The body of every call: JSON of [`BODY_BYTES`] that the flow `hello` reads.
pub(crate) fn body() -> String {
    let head = r#"{"name": "Ada", "padding": ""#;
    let padding = BODY_BYTES - head.len() - r#""}"#.len();
    format!(r#"{head}{}"}}"#, "x".repeat(padding))
}

/// Installs wrk if it is missing, or says how to.
pub(crate) fn ensure() -> Outcome<()> {
    // Without arguments wrk tells its usage and fails, so that only its presence is asked for.
    if Command::new("wrk").output().is_ok() {
        return Ok(());
    }
    eprintln!("installing wrk…");
    let mut install = Command::new("apt-get");
    install.args(["install", "--yes", "--no-install-recommends", "wrk"]).env("DEBIAN_FRONTEND", "noninteractive");
    if run::succeeds(Command::new("apt-get").arg("update")) && run::succeeds(&mut install) {
        return Ok(());
    }
    Err("the benchmark's client is missing; run as root: apt-get update && apt-get install wrk".into())
}

/// Calls an address from so many connections for so many seconds.
pub(crate) fn measure(url: &str, connections: u32, seconds: u32) -> Outcome<Measured> {
    let folder = tempfile::tempdir()?;
    let script = folder.path().join("call.lua");
    std::fs::write(&script, SCRIPT)?;
    let mut wrk = Command::new("wrk");
    wrk.args(["--threads", if connections == 1 { "1" } else { "2" }])
        .args(["--connections", &connections.to_string()])
        .args(["--duration", &format!("{seconds}s"), "--timeout", "10s", "--latency", "--script"])
        .arg(&script)
        .arg(url)
        .env("BENCH_BODY", body());
    let said = run::output_of(&mut wrk)?;
    let line = said.lines().find_map(|line| line.strip_prefix("BENCH ")).ok_or("wrk reported nothing")?;
    let measured: Measured = serde_json::from_str(line)?;
    if measured.broken > 0 {
        eprintln!("note: {} requests to {url} got no answer", measured.broken);
    }
    Ok(measured)
}
