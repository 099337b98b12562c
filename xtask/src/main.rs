//! The project's own commands, run as `cargo xtask COMMAND`.

mod bench;
mod chaos;
mod debian;
mod demo;
mod guests;
mod host;
mod http;
mod openapi;
mod packaged_sdk;
mod python;
mod run;
mod schemathesis;
mod server;
mod test;
mod toolchain;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Builds, shows and checks flowhost.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
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
    /// Measures calls, next to other servers, and writes target/bench.json
    Bench(bench::Bench),
    /// Kills a host again and again while clients call it, and checks that it keeps its promises
    Chaos(chaos::Chaos),
    /// Builds every example flow and test guest into target/guests/NAME.wasm
    Guests,
    /// Writes the description of the REST API to docs/openapi.json
    Openapi,
    /// Builds a flow outside the repository from the packaged Rust SDK
    PackagedSdk,
    /// Checks the REST API against its description with thousands of requests
    Schemathesis,
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Demo(demo) => demo::run(&demo),
        Command::Test => test::run(),
        Command::Bench(bench) => bench::run(&bench),
        Command::Chaos(chaos) => chaos::run(&chaos),
        Command::Guests => guests::run(),
        Command::Openapi => openapi::run(),
        Command::PackagedSdk => packaged_sdk::run(),
        Command::Schemathesis => schemathesis::run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
