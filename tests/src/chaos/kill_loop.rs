//! Rounds, one after the other, and what must hold after the last.

use std::time::{Duration, Instant};

use super::ledger::Ledger;
use super::promise::{self, Broken};
use super::random::Random;
use super::round::Round;
use super::summary::Summary;
use super::{kept, target};
use crate::Host;

/// When no more rounds begin.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// After so many.
    Rounds(u64),
    /// After so long.
    Time(Duration),
}

/// A kill loop.
#[derive(Clone, Copy, Debug)]
pub struct KillLoop {
    /// What decides everything.
    pub seed: u64,
    /// When no more rounds begin.
    pub until: Until,
}

impl KillLoop {
    /// Runs it; `say` is given a line for each round before it begins.
    ///
    /// Error: the first promise that was not kept. The data folder is kept then.
    pub fn run(self, mut say: impl FnMut(&str)) -> Result<Summary, Broken> {
        let folder = target::prepared();
        folder.kill();
        let ledger = Ledger::default();
        let mut summary = Summary { seed: self.seed, ..Summary::default() };
        let done = self.rounds(&folder, &ledger, &mut summary, &mut say);
        summary.told = ledger.told().clone();
        match done.and_then(|()| after(&folder, &mut summary)) {
            Ok(()) => Ok(summary),
            Err(Broken(promise)) => Err(Broken(format!("{promise}\nthe data is kept in {}", folder.keep().display()))),
        }
    }

    fn rounds(
        &self,
        folder: &Host,
        ledger: &Ledger,
        summary: &mut Summary,
        say: &mut impl FnMut(&str),
    ) -> Result<(), Broken> {
        let began = Instant::now();
        let mut random = Random::new(self.seed);
        while match self.until {
            Until::Rounds(rounds) => summary.rounds < rounds,
            Until::Time(time) => began.elapsed() < time,
        } {
            let round = Round::random(&mut random);
            say(&format!("round {}: {round}", summary.rounds + 1));
            let death = round.death;
            summary.add(death, round.run(folder, ledger)?);
        }
        Ok(())
    }
}

/// Starts the host once more, lets everything end, and looks whether everything is as it should be.
fn after(folder: &Host, summary: &mut Summary) -> Result<(), Broken> {
    let (host, started) = target::start(target::patient(folder))?;
    summary.starts.push(started);
    promise::everything_ends(&host)?;
    summary.tally = promise::check(&host, &summary.told)?;
    host.terminate();
    let ended = host.wait();
    if ended.code() != Some(0) {
        return Err(Broken(format!("it ends in order when it is told to, but it ended with {ended}")));
    }
    kept::check(host.data())
}
