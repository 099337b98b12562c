//! A crash after every commit in turn.

use std::thread;
use std::time::Instant;

use serde_json::json;

use super::call::Call;
use super::ledger::Ledger;
use super::promise::{self, Broken};
use super::{kept, target};
use crate::Host;
use crate::patience::until;

/// What a sweep did.
#[derive(Clone, Copy, Debug)]
pub struct Swept {
    /// How many commits the work takes: a crash was made after each of them.
    pub commits: u64,
    /// How often an execution was run again.
    pub run_again: u64,
}

/// Lets a host die after its first commit, its second, and so on, while it does the same work, until it survives all of it.
/// After each crash it is seen whether it kept what it promised.
///
/// Error: the first promise that was not kept. The data folder is kept then.
pub fn sweep() -> Result<Swept, Broken> {
    let folder = target::prepared();
    folder.kill();
    let ledger = Ledger::default();
    for commits in 1.. {
        match step(&folder, &ledger, commits) {
            Ok(None) => {}
            Ok(Some(run_again)) => return Ok(Swept { commits, run_again }),
            Err(Broken(promise)) => {
                let kept = folder.keep();
                return Err(Broken(format!(
                    "after commit {commits}: {promise}\nthe data is kept in {}",
                    kept.display()
                )));
            }
        }
    }
    unreachable!("the work ends")
}

/// What is called, all at once.
fn work() -> [Call; 6] {
    let count = |times: u32| json!({ "name": "total.1", "times": times });
    let children = json!([
        { "flow": "counter", "input": count(1) },
        { "flow": "nap", "input": { "for_ms": 20 } },
        { "flow": "parent", "input": { "children": [{ "flow": "counter", "input": count(1) }], "when": "ALL_ENDED" } },
    ]);
    let family = json!({ "children": children, "when": "ALL_SUCCEEDED" });
    let replayed = json!({ "child": "counter", "child_input": count(1), "nap_ms": 5 });
    [
        Call::new("counter", count(2)).asynchronous(),
        Call::new("parent", family.clone()).asynchronous(),
        Call::new("replayed", replayed.clone()).asynchronous(),
        Call::new("counter", count(2)),
        Call::new("parent", family),
        Call::new("replayed", replayed),
    ]
}

/// Whether a host has ended everything; none where it still works, false where it has died.
fn has_done_its_work(host: &Host) -> Option<bool> {
    let Some(answer) = host.get(promise::UNFINISHED).as_operator().try_send() else { return Some(false) };
    answer.ok().as_array().is_some_and(Vec::is_empty).then_some(true)
}

/// Lets a host die after so many commits, and looks what comes of it. Gives how often an execution was run again in all where
/// it survives its work.
fn step(folder: &Host, ledger: &Ledger, commits: u64) -> Result<Option<u64>, Broken> {
    let setup = target::patient(folder).set("unload_ms", 5).flag("--abort-after-commits", &commits.to_string());
    let mut survives = false;
    if let Ok(host) = setup.try_start() {
        thread::scope(|scope| {
            for call in work() {
                let host = &host;
                scope.spawn(move || {
                    let began = Instant::now();
                    let answer = call.request(host).try_send();
                    ledger.note(&call, answer.as_ref(), began.elapsed());
                });
            }
        });
        survives = until("the host has died or done its work", || has_done_its_work(&host));
        host.kill();
    }
    let (host, _) = target::start(target::patient(folder))?;
    promise::everything_ends(&host)?;
    let told = ledger.told().clone();
    if let Some(wrong) = told.wrong {
        return Err(Broken(format!("a call is answered well or cut off, but one was answered {wrong}")));
    }
    let tally = promise::check(&host, &told)?;
    host.terminate();
    host.wait();
    kept::check(host.data())?;
    Ok(survives.then_some(tally.run_again))
}
