//! The project's own commands, run as `cargo xtask COMMAND`.

mod demo;
mod guests;
mod http;
mod packaged_sdk;
mod run;
mod server;
mod test;
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
    /// Builds everything, starts a server, deploys the examples and calls them; leaves the server running
    Demo(demo::Demo),
    /// Checks everything: format, lints, unit, end-to-end and documentation tests
    Test,
    /// Builds every example flow and test guest into target/guests/NAME.wasm
    Guests,
    /// Builds a flow outside the repository from the packaged Rust SDK
    PackagedSdk,
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Demo(demo) => demo::run(&demo),
        Command::Test => test::run(),
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
