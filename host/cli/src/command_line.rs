//! The words of the command line, before clap reads them and where it rejects them.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, Parser};

use crate::failure::{Exit, Failure};

/// Options of [`Connection`](crate::client::Connection) that take a value, and those that take none.
const WITH_VALUE: [&str; 3] = ["--server", "--token", "--data"];
const WITHOUT_VALUE: [&str; 2] = ["--plain-http", "--json"];

/// Parses the process's command line.
///
/// # Errors
///
/// The exit code, after the help or the failure was written.
pub(crate) fn parse<T: Parser>() -> Result<T, ExitCode> {
    let words = noun_first(std::env::args_os().collect());
    T::try_parse_from(&words).map_err(|error| report(error, T::command(), &words))
}

/// Moves options of the connection that stand before the noun behind it, where clap knows them: `flowhost --server URL flow
/// list`. Which of them a noun takes, clap still decides.
fn noun_first(mut words: Vec<OsString>) -> Vec<OsString> {
    let mut noun = 1;
    while let Some(word) = words.get(noun).and_then(|word| word.to_str()) {
        noun += match word.split_once('=') {
            Some((name, _)) if WITH_VALUE.contains(&name) => 1,
            None if WITH_VALUE.contains(&word) => 2,
            None if WITHOUT_VALUE.contains(&word) => 1,
            _ => break,
        };
    }
    if noun > 1 && noun < words.len() {
        words[1..=noun].rotate_right(1);
    }
    words
}

/// Writes what clap has to say: help as it is, a failure as JSON if the command line asks for JSON.
fn report(mut error: clap::Error, command: Command, words: &[OsString]) -> ExitCode {
    if !error.use_stderr() {
        error.exit();
    }
    let mut command = addressed(command, words);
    let usage = command.render_usage();
    // Clap's own line shows optional values that were given, or stand in the environment, as if they were required.
    if error.get(ContextKind::Usage).is_some() {
        error.insert(ContextKind::Usage, ContextValue::StyledStr(usage.clone()));
    }
    if !words.iter().take_while(|word| *word != "--").any(|word| word == "--json") {
        let _closed = error.print();
        return ExitCode::from(Exit::Usage as u8);
    }
    let usage = format!("usage: {}", usage.to_string().trim_start_matches("Usage: "));
    let is_verb_missing =
        matches!(error.kind(), ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand);
    let what = if is_verb_missing {
        let verbs: Vec<&str> =
            command.get_subcommands().filter(|one| !one.is_hide_set()).map(Command::get_name).collect();
        format!("a command is missing; it is one of {}", verbs.join(", "))
    } else {
        let text = error.to_string();
        let text =
            ["\n\nUsage:", "\n\nFor more"].iter().fold(&*text, |text, end| text.split(end).next().unwrap_or(text));
        text.trim_start_matches("error: ").split_whitespace().collect::<Vec<_>>().join(" ")
    };
    Failure::new(Exit::Usage, what).next(usage).report(true)
}

/// Returns the command that the words lead to.
fn addressed(mut command: Command, words: &[OsString]) -> Command {
    command.build();
    for word in words.iter().skip(1) {
        if let Some(found) = command.find_subcommand(word) {
            command = found.clone();
        }
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_before_the_noun_move_behind_it() {
        for (given, parsed) in [
            ("f --server u flow list", "f flow --server u list"),
            ("f --json --data=d --token t flow list", "f flow --json --data=d --token t list"),
            ("f flow --server u list", "f flow --server u list"),
            ("f --server", "f --server"),
            ("f --version", "f --version"),
            ("f", "f"),
        ] {
            let words = noun_first(given.split(' ').map(OsString::from).collect());
            assert_eq!(words.join(&OsString::from(" ")), parsed, "{given}");
        }
    }
}
