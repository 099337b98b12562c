//! Building the host.

use std::path::PathBuf;
use std::process::Command;

use crate::run::{self, Outcome};
use crate::workspace::{self, Metadata};

/// Builds the `flowhost` program, and these examples of the host's crates with it; gives the program's path.
pub(crate) fn build(metadata: &Metadata, examples: &[&str]) -> Outcome<PathBuf> {
    eprintln!("building the host (wasmtime, the first time: some minutes)…");
    let mut cargo = Command::new("cargo");
    // The whole workspace decides about the features of dependencies, as it does for the tests: with this package's own
    // choice, wasmtime would be compiled twice.
    cargo.args(["build", "--release", "--workspace", "--bin", "flowhost"]);
    for example in examples {
        cargo.args(["--example", example]);
    }
    run::done(cargo.current_dir(workspace::root()))?;
    Ok(metadata.target_directory.join("release/flowhost"))
}
