//! How and when a host dies.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use super::random::Random;
use crate::{Host, Setup};

/// The most answers or commits that a host lives for.
const LONGEST: u64 = 150;

/// How and when a host dies.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Death {
    /// By SIGKILL, so long after so many answers.
    Kill { answers: u64, then: Duration },
    /// By itself, right after so many commits.
    Abort { commits: u64 },
    /// In order, by SIGTERM after so many answers.
    Terminate { answers: u64 },
}

impl Death {
    pub(crate) fn random(random: &mut Random) -> Self {
        match random.of(1..=6) {
            1..=3 => Self::Kill { answers: random.of(1..=LONGEST), then: Duration::from_micros(random.of(0..=20_000)) },
            4 | 5 => Self::Abort { commits: random.of(1..=2 * LONGEST) },
            _ => Self::Terminate { answers: random.of(1..=LONGEST) },
        }
    }

    /// The setup of a host that is to die so.
    pub(crate) fn of(self, setup: Setup) -> Setup {
        match self {
            Self::Abort { commits } => setup.flag("--abort-after-commits", &commits.to_string()),
            _ => setup,
        }
    }

    /// Counts an answer. The client whose answer is the last does the deed.
    pub(crate) fn count(self, host: &Host, answers: &AtomicU64) {
        let count = answers.fetch_add(1, Ordering::Relaxed) + 1;
        match self {
            Self::Kill { answers, then } if answers == count => {
                thread::sleep(then);
                host.kill();
            }
            Self::Terminate { answers } if answers == count => host.terminate(),
            _ => {}
        }
    }
}

impl fmt::Display for Death {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill { answers, then } => {
                write!(formatter, "SIGKILL {:.1} ms after {answers} answers", then.as_secs_f64() * 1e3)
            }
            Self::Abort { commits } => write!(formatter, "abort after {commits} commits"),
            Self::Terminate { answers } => write!(formatter, "SIGTERM after {answers} answers"),
        }
    }
}
