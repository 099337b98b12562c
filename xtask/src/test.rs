//! `cargo xtask test`: everything that has to hold before a change is shared. `.ci/run` runs this and nothing else.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::run::{self, Outcome};
use crate::workspace::Metadata;
use crate::{guests, host, packaged_sdk, schemathesis, workspace};

/// One step, its words for the summary, and what to do where it fails.
struct Step {
    name: &'static str,
    run: fn() -> Outcome<()>,
    mend: &'static str,
}

/// What the program is made of.
const LIBRARIES: [&str; 6] =
    ["flowhost", "flowhost-cli", "flowhost-engine", "flowhost-model", "flowhost-server", "flowhost-store"];

const STEPS: [Step; 8] = [
    Step {
        name: "format",
        run: || cargo(&["fmt", "--all", "--check"]),
        mend: "`cargo fmt --all` puts it right; `rustup component add rustfmt` installs it",
    },
    Step {
        name: "clippy",
        run: || cargo(&["clippy", "--release", "--workspace", "--all-targets", "--", "--deny", "warnings"]),
        mend: "each warning above says what to change; `rustup component add clippy` installs it",
    },
    Step {
        name: "guests",
        run: || guests::build(&Metadata::load()?).map(|_| ()),
        mend: "`cargo xtask guests` does this step alone",
    },
    Step {
        name: "host",
        run: || host::build(&Metadata::load()?, &[]).map(|_| ()),
        mend: "`cargo build --release --workspace --bin flowhost` does this step alone",
    },
    Step { name: "tests", run: tests, mend: "`cargo test --release --package PACKAGE NAME` runs one test alone" },
    Step { name: "schemathesis", run: schemathesis::run, mend: "`cargo xtask schemathesis` does this step alone" },
    Step { name: "packaged SDK", run: packaged_sdk::run, mend: "`cargo xtask packaged-sdk` does this step alone" },
    Step {
        name: "documentation",
        run: documentation,
        mend: "`cargo doc --release --workspace --no-deps` does this step alone",
    },
];

/// Runs every step; stops at the first that fails.
pub(crate) fn run() -> Outcome<()> {
    let mut taken: Vec<(&str, Duration)> = Vec::new();
    for Step { name, run, mend } in STEPS {
        eprintln!("── {name}");
        let start = Instant::now();
        run().map_err(|error| format!("{error}\n  {mend}"))?;
        taken.push((name, start.elapsed()));
        eprintln!("── {name}: good, {:.1} s", start.elapsed().as_secs_f64());
    }
    eprintln!();
    for (name, time) in &taken {
        eprintln!("{:>9.1} s  {name}", time.as_secs_f64());
    }
    let all: Duration = taken.iter().map(|(_, time)| *time).sum();
    eprintln!("{:>9.1} s  everything is good", all.as_secs_f64());
    Ok(())
}

fn cargo(arguments: &[&str]) -> Outcome<()> {
    run::done(Command::new("cargo").args(arguments).current_dir(workspace::root()))
}

/// The end-to-end tests drive the optimised program of the step before. What the others are linked with compiles in a quarter
/// of the time as it is written.
fn tests() -> Outcome<()> {
    let as_written = |package: &str| ["--config".to_owned(), format!("profile.release.package.{package}.opt-level=0")];
    let mut cargo = Command::new("cargo");
    cargo.args(["test", "--release", "--workspace"]).args(LIBRARIES.iter().flat_map(|package| as_written(package)));
    run::done(cargo.current_dir(workspace::root()))
}

fn documentation() -> Outcome<()> {
    let mut cargo = Command::new("cargo");
    cargo.args(["doc", "--release", "--workspace", "--no-deps", "--quiet"]).env("RUSTDOCFLAGS", "--deny warnings");
    run::done(cargo.current_dir(workspace::root()))
}
