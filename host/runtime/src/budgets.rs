//! What the host takes of the machine's memory at the most, all in all.
//!
//! Each budget here is one sum over all callers, users and flows. By default all of them together stay below the memory of
//! the machine, or of the control group (cgroup) that the process runs in.

use std::fmt;
use std::fs;
use std::path::Path;

use crate::limits::Limits;

/// What the process takes without any load: its code, the records in memory, the store's caches.
const BASE: u64 = 128 << 20;

/// A machine that does not tell how much memory it has is taken for one with so much.
const UNKNOWN: u64 = 2 << 30;

/// The memory that a host may take for all of its callers and flows together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryBudgets {
    /// What the machine has, or the control group of the process.
    pub available: u64,
    /// For the memories and tables of all flows that run.
    pub guests: u64,
    /// By the keys of the configuration, in bytes.
    parts: Vec<(&'static str, u64)>,
}

impl MemoryBudgets {
    /// The budgets of a host with these limits on this machine.
    pub fn new(limits: &Limits) -> Self {
        Self::on(limits, available(Path::new("/")).unwrap_or(UNKNOWN))
    }

    fn on(limits: &Limits, available: u64) -> Self {
        // With room for one flow to have its half of it and all the memory that its executions may take, however few run.
        let all_guests = (u64::from(limits.executions) + 2).saturating_mul(limits.budget.memory_bytes as u64);
        let guests = limits.guest_bytes.unwrap_or(available / 2).min(all_guests);
        Self { available, guests, parts: vec![("guest_bytes", guests), ("queue_bytes", limits.queue_bytes)] }
    }

    /// Adds a budget that is kept elsewhere, by its key in the configuration.
    #[must_use]
    pub fn with(mut self, key: &'static str, bytes: u64) -> Self {
        self.parts.push((key, bytes));
        self
    }

    /// All budgets together, with what the process takes without any load.
    pub fn sum(&self) -> u64 {
        self.parts.iter().fold(BASE, |sum, (_, bytes)| sum.saturating_add(*bytes))
    }

    /// What an operator should know of them, and can do.
    pub fn advice(&self, limits: &Limits) -> Option<String> {
        let (sum, available) = (self.sum(), self.available);
        if sum > available {
            let (key, bytes) = self.parts.iter().max_by_key(|(_, bytes)| *bytes)?;
            return Some(format!(
                "the budgets of memory together are {} MiB, and there are {} MiB; lower `{key}`, which is {}",
                mebibytes(sum),
                mebibytes(available),
                bytes
            ));
        }
        // One flow alone has half of it.
        if self.guests / 2 < limits.budget.memory_bytes as u64 {
            return Some(format!(
                "one flow has at most {} MiB of `guest_bytes`, less than the {} MiB of `memory_bytes`; \
                 lower `memory_bytes`, raise `guest_bytes`, or give the host more memory",
                mebibytes(self.guests / 2),
                mebibytes(limits.budget.memory_bytes as u64)
            ));
        }
        None
    }
}

impl fmt::Display for MemoryBudgets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (key, bytes) in &self.parts {
            write!(f, "{key} {} MiB, ", mebibytes(*bytes))?;
        }
        write!(f, "with {} MiB for itself ", mebibytes(BASE))?;
        write!(f, "{} MiB of {} MiB", mebibytes(self.sum()), mebibytes(self.available))
    }
}

fn mebibytes(bytes: u64) -> u64 {
    bytes.div_ceil(1 << 20)
}

/// The memory of the machine, or of the control group, in a file system that begins at `root`.
fn available(root: &Path) -> Option<u64> {
    let read = |path: &str| fs::read_to_string(root.join(path)).ok();
    let of_machine = read("proc/meminfo").as_deref().and_then(total);
    let groups = read("proc/self/cgroup").unwrap_or_default();
    let of_groups = groups.lines().flat_map(|line| limits_of(root, line));
    of_machine.into_iter().chain(of_groups).min()
}

/// The machine's memory, as the kernel tells it in `/proc/meminfo`.
fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// The limits of the control group in a line of `/proc/self/cgroup`, and of those above it.
fn limits_of(root: &Path, line: &str) -> Vec<u64> {
    let mut parts = line.splitn(3, ':').skip(1);
    let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { return Vec::new() };
    let (folder, file) = match controllers {
        "" => ("sys/fs/cgroup", "memory.max"),
        _ if controllers.split(',').any(|controller| controller == "memory") => {
            ("sys/fs/cgroup/memory", "memory.limit_in_bytes")
        }
        _ => return Vec::new(),
    };
    // In a container, the path may be that of the machine outside: then the container's own group is at the top.
    let groups = Path::new(path.trim_start_matches('/')).ancestors();
    let limits = groups.filter_map(|group| fs::read_to_string(root.join(folder).join(group).join(file)).ok());
    // Without a limit a group of the second version says `max`.
    limits.filter_map(|limit| limit.trim().parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn machine(files: &[(&str, &str)]) -> Option<u64> {
        let root = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        available(root.path())
    }

    const MEMINFO: (&str, &str) = ("proc/meminfo", "MemTotal:        8388608 kB\nMemFree:          100 kB\n");

    #[test]
    fn memory_is_the_machines_without_a_control_group() {
        assert_eq!(machine(&[]), None);
        assert_eq!(machine(&[MEMINFO]), Some(8 * GIB));
        let unlimited = [MEMINFO, ("proc/self/cgroup", "0::/a\n"), ("sys/fs/cgroup/a/memory.max", "max\n")];
        assert_eq!(machine(&unlimited), Some(8 * GIB));
    }

    #[test]
    fn memory_is_the_least_of_all_groups_above_the_process() {
        let nested = [
            MEMINFO,
            ("proc/self/cgroup", "0::/a/b\n"),
            ("sys/fs/cgroup/a/memory.max", "536870912\n"),
            ("sys/fs/cgroup/a/b/memory.max", "1073741824\n"),
        ];
        assert_eq!(machine(&nested), Some(GIB / 2));
        let in_container =
            [MEMINFO, ("proc/self/cgroup", "0::/outside\n"), ("sys/fs/cgroup/memory.max", "1073741824\n")];
        assert_eq!(machine(&in_container), Some(GIB));
    }

    #[test]
    fn memory_is_that_of_a_group_of_the_first_version() {
        let first = [
            MEMINFO,
            ("proc/self/cgroup", "5:cpu,cpuacct:/x\n4:memory:/x\n"),
            ("sys/fs/cgroup/memory/x/memory.limit_in_bytes", "1073741824\n"),
        ];
        assert_eq!(machine(&first), Some(GIB));
    }

    #[test]
    fn default_budgets_stay_below_every_machine_from_half_a_gibibyte() {
        for available in [GIB / 2, GIB, 2 * GIB, 8 * GIB, 64 * GIB, 1024 * GIB] {
            let budgets = MemoryBudgets::on(&Limits::default(), available).with("body_bytes_total", 64 << 20);
            assert!(budgets.sum() < available, "{budgets}");
        }
    }

    #[test]
    fn guests_have_half_of_the_machine_and_no_more_than_they_can_use() {
        let limits = Limits::default();
        assert_eq!(MemoryBudgets::on(&limits, 8 * GIB).guests, 4 * GIB);
        assert_eq!(MemoryBudgets::on(&limits, 1024 * GIB).guests, 202 * (128 << 20));
        let set = Limits { guest_bytes: Some(GIB), ..limits };
        assert_eq!(MemoryBudgets::on(&set, 8 * GIB).guests, GIB);
    }

    #[test]
    fn advice_names_the_key_to_lower() {
        let limits = Limits { guest_bytes: Some(4 * GIB), ..Limits::default() };
        let budgets = MemoryBudgets::on(&limits, 2 * GIB);
        assert!(budgets.advice(&limits).unwrap().contains("lower `guest_bytes`, which is 4294967296"));
        let limits = Limits { guest_bytes: Some(GIB / 8), ..Limits::default() };
        assert!(MemoryBudgets::on(&limits, 8 * GIB).advice(&limits).unwrap().contains("lower `memory_bytes`"));
        let limits = Limits::default();
        assert_eq!(MemoryBudgets::on(&limits, 8 * GIB).advice(&limits), None);
    }

    #[test]
    fn one_line_shows_all_budgets_and_their_sum() {
        let budgets = MemoryBudgets::on(&Limits::default(), 8 * GIB);
        let shown = "guest_bytes 4096 MiB, queue_bytes 32 MiB, with 128 MiB for itself 4256 MiB of 8192 MiB";
        assert_eq!(budgets.to_string(), shown);
    }
}
