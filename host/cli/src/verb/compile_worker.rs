//! `flowhost compile-worker`: the process in which the server compiles a component, so that it can be limited and ended.

use std::process::ExitCode;

use clap::Args;

/// What the engine hands to its worker.
#[derive(Args)]
pub(crate) struct CompileWorker {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

impl CompileWorker {
    /// Compiles.
    pub(crate) fn run(self) -> ExitCode {
        flowhost::worker_main(&self.arguments)
    }
}
