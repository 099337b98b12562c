//! What a process takes.

use std::fs;

use flowhost_tests::Host;

/// What a process takes, as the system counts it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Footprint {
    /// Resident memory, in KiB.
    pub(crate) memory_kib: u64,
    /// The most of it since the process began, in KiB.
    pub(crate) peak_kib: u64,
    /// Threads.
    pub(crate) threads: u64,
}

impl Footprint {
    /// What the host's process takes now.
    pub(crate) fn of(host: &Host) -> Self {
        let status = fs::read_to_string(format!("/proc/{}/status", host.process_id())).unwrap();
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim_start_matches(':').split_whitespace().next().unwrap().parse().unwrap()
        };
        Self { memory_kib: number("VmRSS"), peak_kib: number("VmHWM"), threads: number("Threads") }
    }
}
