//! What the command can do: one verb, one file.

mod call;
mod compile_worker;
mod deploy;
mod executions;
mod logs;
mod serve;
mod setting;
mod user;
mod webhook;

use std::io::{self, Read};
use std::path::Path;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::client::Connection;
use crate::failure::Failure;

/// The verbs.
#[derive(Subcommand)]
pub(crate) enum Verb {
    /// Serve a data folder's webhooks
    Serve(serve::Serve),
    /// Bring a flow, or a new version of it, to the server
    Deploy(Client<deploy::Deploy>),
    /// Create, list, enable and disable webhooks
    Webhook(Group<webhook::Webhook>),
    /// Create and list users
    User(Group<user::User>),
    /// Set, read and list settings
    Setting(Group<setting::Setting>),
    /// Call a webhook and print the answer
    Call(Client<call::Call>),
    /// List, show and cancel executions
    Executions(Group<executions::Executions>),
    /// Print the log of an execution
    Logs(Client<logs::Logs>),
    /// Compile one component, for the server
    #[command(hide = true)]
    CompileWorker(compile_worker::CompileWorker),
}

/// A verb that talks to a server.
#[derive(Args)]
pub(crate) struct Client<V: Args> {
    #[command(flatten)]
    verb: V,
    #[command(flatten)]
    connection: Connection,
}

/// A verb with verbs of its own that talk to a server.
#[derive(Args)]
pub(crate) struct Group<V: Subcommand> {
    #[command(subcommand)]
    verb: V,
    #[command(flatten)]
    connection: Connection,
}

impl Verb {
    /// Does what was asked for. Gives the exit code, after telling a failure.
    pub(crate) fn run(self) -> ExitCode {
        match self {
            Self::Serve(verb) => told(verb.run(), false),
            Self::CompileWorker(verb) => verb.run(),
            Self::Deploy(it) => it.run(deploy::Deploy::run),
            Self::Call(it) => it.run(call::Call::run),
            Self::Logs(it) => it.run(logs::Logs::run),
            Self::Webhook(it) => it.run(webhook::Webhook::run),
            Self::User(it) => it.run(user::User::run),
            Self::Setting(it) => it.run(setting::Setting::run),
            Self::Executions(it) => it.run(executions::Executions::run),
        }
    }
}

impl<V: Args> Client<V> {
    fn run(self, run: impl FnOnce(V, &Connection) -> Result<(), Failure>) -> ExitCode {
        told(run(self.verb, &self.connection), self.connection.output().json)
    }
}

impl<V: Subcommand> Group<V> {
    fn run(self, run: impl FnOnce(V, &Connection) -> Result<(), Failure>) -> ExitCode {
        told(run(self.verb, &self.connection), self.connection.output().json)
    }
}

fn told(done: Result<(), Failure>, as_json: bool) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(as_json),
    }
}

/// Reads a file, or standard input where its name is `-`.
fn read_input(file: &Path) -> io::Result<Vec<u8>> {
    if file == Path::new("-") {
        let mut input = Vec::new();
        io::stdin().lock().read_to_end(&mut input)?;
        return Ok(input);
    }
    std::fs::read(file)
}
