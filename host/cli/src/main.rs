//! The `flowhost` command: serves flows, and manages them on a running server.

mod allocator;
mod client;
mod command_line;
mod config;
mod descriptors;
mod failure;
mod id;
mod output;
mod token;
mod verb;

use std::process::ExitCode;

use clap::Parser;

use crate::verb::Verb;

/// Runs webhook-triggered flows: WebAssembly components, sandboxed and recorded.
#[derive(Parser)]
#[command(name = "flowhost", version, after_help = failure::HELP)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

fn main() -> ExitCode {
    allocator::configure();
    match command_line::parse::<Arguments>() {
        Ok(arguments) => arguments.verb.run(),
        Err(exit) => exit,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
