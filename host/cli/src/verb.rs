//! What the command can do: one verb, one file.

mod call;
mod compile_worker;
mod deploy;
mod executions;
mod flow;
mod locks;
mod logs;
mod messages;
mod role;
mod secret;
mod serve;
mod setting;
mod token;
mod trash;
mod user;
mod webhook;

use std::io::{self, Read};
use std::path::Path;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::client::{Client as ApiClient, Connection, by_name};
use crate::failure::Failure;
use crate::output::{Output, shell_word};

/// The verbs.
#[derive(Subcommand)]
pub(crate) enum Verb {
    /// Serve a data folder's webhooks
    Serve(serve::Serve),
    /// Bring a flow, or a new version of it, to the server
    Deploy(Client<deploy::Deploy>),
    /// List and show flows; allow them to call hosts outside
    Flow(Group<flow::Flow>),
    /// Create, list, show, enable, disable and delete webhooks
    Webhook(Group<webhook::Webhook>),
    /// Create, list and delete users; give them passwords and roles
    User(Group<user::User>),
    /// Create, list, show and delete roles
    Role(Group<role::Role>),
    /// Create, list and revoke tokens of users
    Token(Group<token::Token>),
    /// List, restore and delete what is in the trash
    Trash(Group<trash::Trash>),
    /// Set, read, list and delete settings
    Setting(Group<setting::Setting>),
    /// Set, list and delete secrets; make keys for them
    Secret(Group<secret::Secret>),
    /// Call a webhook and print the answer
    Call(Client<call::Call>),
    /// List, show and cancel executions
    Executions(Group<executions::Executions>),
    /// List and break the locks of executions
    Locks(Group<locks::Locks>),
    /// List, show and answer the messages of executions
    Messages(Group<messages::Messages>),
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
            Self::Flow(it) => it.run(flow::Flow::run),
            Self::Webhook(it) => it.run(webhook::Webhook::run),
            Self::User(it) => it.run(user::User::run),
            Self::Role(it) => it.run(role::Role::run),
            Self::Token(it) => it.run(token::Token::run),
            Self::Trash(it) => it.run(trash::Trash::run),
            Self::Setting(it) => it.run(setting::Setting::run),
            Self::Secret(it) => it.run(secret::Secret::run),
            Self::Executions(it) => it.run(executions::Executions::run),
            Self::Locks(it) => it.run(locks::Locks::run),
            Self::Messages(it) => it.run(messages::Messages::run),
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

/// The limit of a list that has none.
const EVERYTHING: u32 = u32::MAX;

/// Puts a record into the trash.
fn to_trash(client: &ApiClient, output: Output, kind: &str, name: &str) -> Result<(), Failure> {
    client.send_to("DELETE", &by_name(kind, name), &[], Vec::new())?;
    let word = shell_word(name);
    output.note(&format!("{name} is in the trash; `flowhost trash restore {kind} {word}` takes it out"));
    Ok(())
}

/// What the name of a setting begins with that makes a webhook.
const WEBHOOK_PREFIX: &str = "client.webhook.";

/// How many names a sentence lists before it counts the rest.
const NAMED: usize = 10;

/// Joins names for a sentence: all of them, or the first and how many more there are.
fn joined(names: &[String]) -> String {
    match names.len().checked_sub(NAMED) {
        None | Some(0) => names.join(", "),
        Some(more) => format!("{} and {more} more", names[..NAMED].join(", ")),
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
