//! One life of the host: its setup, its clients, its death.

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::thread;
use std::time::{Duration, Instant};

use super::call::Call;
use super::death::Death;
use super::ledger::{Ledger, Meaning};
use super::promise::Broken;
use super::random::Random;
use super::target;
use crate::Host;

/// The most calls that a client makes, for hosts that do not die of what they do.
const CALLS: u64 = 400;

/// What is decided for a round.
#[derive(Clone, Debug)]
pub(crate) struct Round {
    clients: u64,
    executions: u64,
    unload_ms: u64,
    drain_timeout_ms: u64,
    pub(crate) death: Death,
    random: Random,
}

/// How a round ended.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Lived {
    /// The host was ready after this time.
    Ready(Duration),
    /// It died before it was.
    DiedAtStart,
}

impl Round {
    pub(crate) fn random(random: &mut Random) -> Self {
        Self {
            clients: random.of(2..=8),
            executions: random.one(&[2, 8, 200]),
            unload_ms: random.one(&[1, 20, 10_000]),
            drain_timeout_ms: random.one(&[0, 50, 2_000]),
            death: Death::random(random),
            random: random.fork(),
        }
    }

    /// Starts a host on the data folder of another, and lets clients call it until it dies.
    pub(crate) fn run(mut self, folder: &Host, ledger: &Ledger) -> Result<Lived, Broken> {
        let setup = target::patient(folder);
        let setup = setup.set("executions", self.executions).set("unload_ms", self.unload_ms);
        let setup = self.death.of(setup.set("drain_timeout_ms", self.drain_timeout_ms));
        let (host, started) = match (self.death, target::start(setup)) {
            (_, Ok(started)) => started,
            (Death::Abort { .. }, Err(_)) => return Ok(Lived::DiedAtStart),
            (_, Err(broken)) => return Err(broken),
        };
        let answers = AtomicU64::new(0);
        thread::scope(|scope| {
            for _ in 0..self.clients {
                let (random, host, answers) = (self.random.fork(), &host, &answers);
                scope.spawn(move || client(random, host, ledger, self.death, answers));
            }
        });
        if let Death::Terminate { .. } = self.death {
            let ended = host.wait();
            if ended.code() != Some(0) {
                return Err(Broken(format!("it ends in order when it is told to, but it ended with {ended}")));
            }
        }
        host.kill();
        match ledger.told().wrong.clone() {
            Some(wrong) => {
                Err(Broken(format!("a call is answered well, refused or cut off, but one was answered {wrong}")))
            }
            None => Ok(Lived::Ready(started)),
        }
    }
}

impl fmt::Display for Round {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { clients, executions, unload_ms, drain_timeout_ms, death, .. } = self;
        write!(
            formatter,
            "{death}; {clients} clients, executions={executions} unload_ms={unload_ms} drain_timeout_ms={drain_timeout_ms}"
        )
    }
}

/// Calls until the host is gone.
fn client(mut random: Random, host: &Host, ledger: &Ledger, death: Death, answers: &AtomicU64) {
    for _ in 0..CALLS {
        let call = Call::random(&mut random);
        let began = Instant::now();
        let answer = call.request(host).try_send();
        let meaning = ledger.note(&call, answer.as_ref(), began.elapsed());
        if answer.is_some() {
            death.count(host, answers);
        }
        if meaning == Meaning::Stops {
            return;
        }
    }
}

impl Call {
    /// The request that makes it.
    pub(crate) fn request<'a>(&self, host: &'a Host) -> crate::Request<'a> {
        let mode = if self.is_async { "?async" } else { "" };
        host.post_json(&format!("/api/latest/webhook/default/{}{mode}", self.flow), &self.payload)
    }
}
