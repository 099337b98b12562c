//! The long form of the kill loop. `cargo xtask chaos` builds what it needs and runs it.

use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use clap::Parser;
use flowhost_tests::chaos::{Broken, KillLoop, Until};

/// Kills a host again and again while clients call it, and looks whether it keeps what it promises.
#[derive(Parser)]
struct Arguments {
    /// How long rounds begin
    #[arg(long)]
    minutes: f64,
    /// What decides everything; another one each time unless given
    #[arg(long)]
    seed: Option<u64>,
    /// Write the summary as JSON
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let Arguments { minutes, seed, json } = Arguments::parse();
    let present = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let seed = seed.unwrap_or(present.as_secs());
    eprintln!("the seed is {seed}");
    let until = Until::Time(Duration::from_secs_f64(minutes * 60.0));
    let done = KillLoop { seed, until }.run(|line| eprintln!("{line}"));
    match done {
        Ok(summary) => {
            if json {
                println!("{}", summary.to_json())
            } else {
                print!("{summary}")
            }
            if summary.is_quick() {
                return ExitCode::SUCCESS;
            }
            eprintln!(
                "broken: a start takes less than 5 s, but one took {:.1} s",
                summary.longest_start().as_secs_f64()
            );
        }
        Err(Broken(promise)) => eprintln!("broken: {promise}"),
    }
    ExitCode::FAILURE
}
