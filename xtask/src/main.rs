//! The project's own commands, run as `cargo xtask COMMAND`.

mod guests;
mod packaged_sdk;
mod run;
mod toolchain;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Builds, shows and checks flowhost.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

/// One command, one module.
#[derive(Subcommand)]
enum Command {
    /// Builds every example flow and test guest into target/guests/<name>.wasm
    Guests,
    /// Builds a flow outside the repository from the packaged Rust SDK
    PackagedSdk,
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Guests => guests::run(),
        Command::PackagedSdk => packaged_sdk::run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
