//! `cargo xtask chaos`: the kill loop of the end-to-end tests, for as long as one likes.

use std::process::Command;

use clap::Args;

use crate::run::{self, Outcome};
use crate::workspace::Metadata;
use crate::{guests, host};

/// How long, and what happens.
#[derive(Args)]
pub(crate) struct Chaos {
    /// How long the host is killed again and again
    #[arg(long, default_value_t = 5.0)]
    minutes: f64,
    /// What decides calls, setups and deaths, to do the same again; another one each time unless given
    #[arg(long)]
    seed: Option<u64>,
    /// Write the summary as JSON
    #[arg(long)]
    json: bool,
}

/// Builds, and runs the example that does it: that is built like the tests, with which it shares everything.
pub(crate) fn run(chaos: &Chaos) -> Outcome<()> {
    let metadata = Metadata::load()?;
    guests::build(&metadata)?;
    host::build(&metadata, &["chaos"])?;
    let mut command = Command::new(metadata.target_directory.join("release/examples/chaos"));
    command.args(["--minutes", &chaos.minutes.to_string()]);
    command.args(chaos.seed.map(|seed| format!("--seed={seed}")));
    command.args(chaos.json.then_some("--json"));
    run::done(&mut command)
}
