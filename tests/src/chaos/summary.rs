//! What a kill loop did, in numbers.

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use super::death::Death;
use super::ledger::Told;
use super::promise::Tally;
use super::round::Lived;

/// The promise is less than this.
const RECOVERED_WITHIN: Duration = Duration::from_secs(5);

/// What a kill loop did, in numbers.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    pub(crate) seed: u64,
    pub(crate) rounds: u64,
    pub(crate) kills: u64,
    pub(crate) aborts: u64,
    pub(crate) aborts_at_start: u64,
    pub(crate) terminations: u64,
    pub(crate) starts: Vec<Duration>,
    pub(crate) told: Told,
    pub(crate) tally: Tally,
}

impl Summary {
    /// Notes a round.
    pub(crate) fn add(&mut self, death: Death, lived: Lived) {
        self.rounds += 1;
        match (death, lived) {
            (Death::Kill { .. }, _) => self.kills += 1,
            (Death::Abort { .. }, Lived::DiedAtStart) => self.aborts_at_start += 1,
            (Death::Abort { .. }, Lived::Ready(_)) => self.aborts += 1,
            (Death::Terminate { .. }, _) => self.terminations += 1,
        }
        if let Lived::Ready(after) = lived {
            self.starts.push(after);
        }
    }

    /// How many executions were run again after a crash, counted as often as they were.
    pub fn run_again(&self) -> u64 {
        self.tally.run_again
    }

    /// The longest time from a start until the host was ready.
    pub fn longest_start(&self) -> Duration {
        self.starts.iter().max().copied().unwrap_or_default()
    }

    /// Whether each start was as quick as promised.
    pub fn is_quick(&self) -> bool {
        self.longest_start() < RECOVERED_WITHIN
    }

    /// All of it as JSON. Times are in milliseconds.
    pub fn to_json(&self) -> Value {
        let Self { told, tally, .. } = self;
        json!({
            "seed": self.seed,
            "rounds": self.rounds,
            "deaths": {
                "kill": self.kills, "abort": self.aborts, "abort_at_start": self.aborts_at_start,
                "terminate": self.terminations,
            },
            "calls": {
                "all": told.calls, "accepted": told.accepted.len(), "answered": told.answered.len(),
                "refused": told.refused, "cut_off": told.cut_off,
            },
            "executions": {
                "all": tally.executions, "run_again": tally.run_again, "interrupted": tally.interrupted, "given_up": tally.given_up,
                "cancelled": tally.cancelled,
            },
            "start_ms": percentiles(&self.starts),
            "accepted_ms": percentiles(&told.accepted_after),
            "answered_ms": percentiles(&told.answered_after),
        })
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { told, tally, .. } = self;
        writeln!(
            formatter,
            "{} rounds with the seed {}: {} by SIGKILL, {} by an abort after a commit, {} of that kind before they were \
             ready, {} by SIGTERM",
            self.rounds, self.seed, self.kills, self.aborts, self.aborts_at_start, self.terminations
        )?;
        writeln!(
            formatter,
            "{} calls: {} accepted, {} answered, {} refused, {} cut off",
            told.calls,
            told.accepted.len(),
            told.answered.len(),
            told.refused,
            told.cut_off
        )?;
        writeln!(
            formatter,
            "{} executions: {} times one was run again, {} interrupted, {} given up, {} cancelled",
            tally.executions, tally.run_again, tally.interrupted, tally.given_up, tally.cancelled
        )?;
        for (name, times) in
            [("start to ready", &self.starts), ("accepted", &told.accepted_after), ("answered", &told.answered_after)]
        {
            let [p50, p99, most] = [percentile(times, 50), percentile(times, 99), percentile(times, 100)];
            writeln!(formatter, "{name}: p50 {p50:.1} ms, p99 {p99:.1} ms, longest {most:.1} ms")?;
        }
        Ok(())
    }
}

fn percentiles(times: &[Duration]) -> Value {
    json!({ "p50": percentile(times, 50), "p99": percentile(times, 99), "max": percentile(times, 100) })
}

/// The time that so many of a hundred do not exceed, in milliseconds.
fn percentile(times: &[Duration], percent: usize) -> f64 {
    let mut times = times.to_vec();
    times.sort_unstable();
    let place = (times.len() * percent).div_ceil(100).max(1) - 1;
    times.get(place).map_or(0.0, |time| time.as_secs_f64() * 1e3)
}
