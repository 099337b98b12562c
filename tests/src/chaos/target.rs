//! The host that is killed again and again.

use std::time::{Duration, Instant};

use super::promise::Broken;
use crate::{Host, Setup};

/// What is called. Each flow has a webhook of its name, whose executions may change settings and start flows.
const FLOWS: [&str; 5] = ["counter", "settings", "nap", "parent", "replayed"];

/// A host that has everything that is called, and no execution.
pub(crate) fn prepared() -> Host {
    let host = Host::start();
    for flow in FLOWS {
        host.webhook_of_admin(flow, flow);
    }
    host
}

/// A setup on this host's data folder under which no limit of time ends an execution: being killed again and again takes
/// long.
pub(crate) fn patient(host: &Host) -> Setup {
    Setup::new().set("wall_ms", 3_600_000).set("wait_ms", 3_600_000).data_of(host)
}

/// Starts a host that nothing hinders, and measures how long it takes until it is ready.
pub(crate) fn start(setup: Setup) -> Result<(Host, Duration), Broken> {
    let began = Instant::now();
    let host = setup.try_start().map_err(|ended| {
        Broken(format!("it starts after whatever happened, but it ended with {}: {}", ended.status, ended.stderr))
    })?;
    match host.get("/api/latest/ready").try_send() {
        Some(answer) if answer.status == 200 => Ok((host, began.elapsed())),
        answer => Err(Broken(format!("it is ready once it listens, but answered {answer:?}"))),
    }
}
