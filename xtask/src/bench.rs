//! `cargo xtask bench`: how fast calls are, next to other servers on the same cores under the same client.

mod contestant;
mod in_process;
mod lists;
mod neighbours;
mod start;
mod table;
mod wrk;

use std::fs;
use std::path::PathBuf;

use clap::Args;
use contestant::Contestant;
use serde::Serialize;
use serde_json::Value;
use wrk::Measured;

use crate::run::Outcome;
use crate::workspace::Metadata;
use crate::{guests, host};

/// Connections that the client keeps busy.
const CONNECTIONS: [u32; 3] = [1, 32, 250];

/// Seconds for which a server is called before it is measured.
const WARM_UP: u32 = 1;

/// How long to measure.
#[derive(Args)]
pub(crate) struct Bench {
    /// Rounds; in each, every server runs once
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds for each server and number of connections in a round
    #[arg(long, default_value_t = 5)]
    seconds: u32,
    /// Measure only these parts
    #[arg(long, value_delimiter = ',', default_values = ["calls", "neighbours", "start", "in-process", "lists"])]
    only: Vec<String>,
}

/// What the benchmark needs to know of the checkout.
struct Place {
    flowhost: PathBuf,
    hello: PathBuf,
    guests: PathBuf,
    examples: PathBuf,
    folder: PathBuf,
}

/// What was measured for one server with one number of connections.
#[derive(Serialize)]
struct Line {
    server: &'static str,
    connections: u32,
    /// Median of the rounds, good answers in a second.
    per_second: f64,
    /// The slowest and the fastest round.
    spread: [f64; 2],
    p50_us: f64,
    p99_us: f64,
    /// Answers with a status of 400 or more, in all rounds.
    refused: u64,
    /// Executions that ended, in a second, where calls do not wait for that.
    #[serde(skip_serializing_if = "Option::is_none")]
    executed_per_second: Option<f64>,
}

/// Everything, as `target/bench.json` has it.
#[derive(Serialize)]
struct Report {
    cores: usize,
    rounds: usize,
    seconds: u32,
    calls: Vec<Line>,
    skipped: Vec<String>,
    neighbours: Vec<neighbours::Neighbours>,
    start: Option<start::Started>,
    in_process: Option<Value>,
    lists: Option<lists::Lists>,
}

/// Measures, prints and writes.
pub(crate) fn run(bench: &Bench) -> Outcome<()> {
    let metadata = Metadata::load()?;
    let wants = |part: &str| bench.only.iter().any(|only| only == part);
    if wants("calls") || wants("neighbours") {
        wrk::ensure()?;
    }
    guests::build(&metadata)?;
    let examples: Vec<&str> = ["bare_hyper", "lists_bench"].into_iter().chain(in_process::examples()).collect();
    let flowhost = host::build(&metadata, &examples)?;
    let target = &metadata.target_directory;
    let folder = target.join("bench");
    fs::create_dir_all(&folder)?;
    let place = Place {
        flowhost,
        hello: metadata.guests_folder().join("hello.wasm"),
        guests: metadata.guests_folder(),
        examples: target.join("release/examples"),
        folder,
    };

    let mut report = Report {
        cores: std::thread::available_parallelism()?.get(),
        rounds: bench.rounds,
        seconds: bench.seconds,
        calls: Vec::new(),
        skipped: Vec::new(),
        neighbours: Vec::new(),
        start: None,
        in_process: None,
        lists: None,
    };
    if wants("in-process") {
        report.in_process = Some(in_process::measure(&place)?);
    }
    if wants("lists") {
        report.lists = Some(lists::measure(&place)?);
    }
    if wants("start") {
        report.start = Some(start::measure(&place)?);
    }
    if wants("calls") {
        (report.calls, report.skipped) = calls(bench, &place)?;
    }
    if wants("neighbours") {
        report.neighbours = neighbours::measure(bench, &place)?;
    }
    table::print(&report);
    let file = target.join("bench.json");
    fs::write(&file, serde_json::to_vec_pretty(&report)?)?;
    eprintln!("written to {}", file.display());
    Ok(())
}

/// Every server in every round, so that what slows the machine down for a while slows all of them down.
fn calls(bench: &Bench, place: &Place) -> Outcome<(Vec<Line>, Vec<String>)> {
    let (contestants, skipped) = contestant::all();
    for reason in &skipped {
        eprintln!("skipped: {reason}");
    }
    let mut rounds: Vec<Vec<Round>> = contestants.iter().map(|_| Vec::new()).collect();
    for number in 1..=bench.rounds {
        for (contestant, rounds) in contestants.iter().zip(&mut rounds) {
            eprintln!("round {number} of {}: {}", bench.rounds, contestant.name);
            rounds.extend(round(contestant, bench, place)?);
        }
    }
    let lines = contestants.iter().zip(&rounds).flat_map(|(contestant, rounds)| {
        CONNECTIONS.iter().map(|&connections| {
            let of: Vec<&Round> = rounds.iter().filter(|round| round.connections == connections).collect();
            line(contestant.name, connections, &of)
        })
    });
    Ok((lines.collect(), skipped))
}

/// One server, one number of connections, one round.
struct Round {
    connections: u32,
    measured: Measured,
    executed_per_second: Option<f64>,
}

fn round(contestant: &Contestant, bench: &Bench, place: &Place) -> Outcome<Vec<Round>> {
    let running = (contestant.start)(place)?;
    running.answers_rightly(contestant)?;
    wrk::measure(&running.url, CONNECTIONS[1], WARM_UP)?;
    let mut rounds = Vec::new();
    for connections in CONNECTIONS {
        running.until_idle()?;
        let measured = wrk::measure(&running.url, connections, bench.seconds)?;
        let after = running.until_idle()?;
        let accepted = measured.requests.saturating_sub(measured.refused) as f64;
        let executed_per_second = contestant.is_async.then(|| accepted / (measured.seconds + after.as_secs_f64()));
        rounds.push(Round { connections, measured, executed_per_second });
    }
    Ok(rounds)
}

fn line(server: &'static str, connections: u32, rounds: &[&Round]) -> Line {
    let values = |of: fn(&Measured) -> f64| rounds.iter().map(|round| of(&round.measured)).collect::<Vec<_>>();
    let per_second = values(Measured::per_second);
    let executed: Vec<f64> = rounds.iter().filter_map(|round| round.executed_per_second).collect();
    Line {
        server,
        connections,
        spread: [
            per_second.iter().copied().fold(f64::INFINITY, f64::min),
            per_second.iter().copied().fold(0.0, f64::max),
        ],
        per_second: median(per_second),
        p50_us: median(values(|measured| measured.p50_us)),
        p99_us: median(values(|measured| measured.p99_us)),
        refused: rounds.iter().map(|round| round.measured.refused).sum(),
        executed_per_second: (!executed.is_empty()).then(|| median(executed)),
    }
}

/// The middle value; the mean of the two middle ones of an even number; 0 of none.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let (low, high) = (values.len().saturating_sub(1) / 2, values.len() / 2);
    match (values.get(low), values.get(high)) {
        (Some(low), Some(high)) => f64::midpoint(*low, *high),
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
    }
}
