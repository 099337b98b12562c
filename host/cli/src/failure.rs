//! Why a command did not do what it should: for the person in two lines, for scripts in an exit code.

use std::process::ExitCode;

use serde_json::{Value, json};

use crate::output::{printable, say};

/// The exit codes, as `--help` lists them. `docs/operating.md` says more about each.
pub(crate) const HELP: &str = "\
Verbs that talk to a server take --server, --token, --data, --plain-http and --json, also before the verb.

Exit codes:
  0  done
  1  the flow's execution did not end well
  2  the command line is wrong
  3  the server cannot be reached
  4  the server does not accept the token or the key
  5  there is no such flow, webhook, setting, user, role, token or execution
  6  the server refused the request: it is invalid, in conflict or too large
  7  the server failed or is busy
  8  something on this machine: a file, the configuration, the data folder, the address";

/// What to do about a webhook that only users may call: `flowhost call` sends no token.
const LOGIN_WANTED: &str = "call it with a user's token, for example with curl and -H 'Authorization: Bearer TOKEN'";

/// What to do about a valid token that does not permit what was asked for.
const NOT_PERMITTED: &str = "the token is valid, but does not permit this: `flowhost user roles` gives its user a role that does; a token that \
     was narrowed to roles has only theirs";

/// The exit codes of failures. Scripts rely on the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// The execution did not end well.
    Failed = 1,
    /// The command line is wrong; clap's own code for it.
    Usage = 2,
    /// No server answers.
    Unreachable = 3,
    /// The token or the key is missing or wrong.
    Unauthorized = 4,
    /// No such record.
    NotFound = 5,
    /// The server refused the request.
    Refused = 6,
    /// The server failed.
    Server = 7,
    /// Something on this machine.
    Local = 8,
}

/// Why a command failed.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    what: String,
    next: Option<String>,
    problem: Option<Box<Value>>,
}

impl Failure {
    /// A failure in one sentence that says what was wrong.
    pub(crate) fn new(exit: Exit, what: impl Into<String>) -> Self {
        Self { exit, what: what.into(), next: None, problem: None }
    }

    /// Its exit code.
    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }

    /// The same failure with what to do next.
    pub(crate) fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }

    /// The failure behind a server's answer, of which `challenge` is the header `WWW-Authenticate`.
    pub(crate) fn from_answer(status: u16, challenge: Option<&str>, body: &[u8]) -> Self {
        let problem: Option<Value> = serde_json::from_slice(body).ok().filter(Value::is_object);
        let text = |member: &str| problem.as_ref().and_then(|problem| problem[member].as_str()).unwrap_or_default();
        let (code, detail) = (text("code"), text("detail"));
        let exit = match status {
            _ if text("fault") == "flow" || code.starts_with("execution.") => Exit::Failed,
            401 | 403 => Exit::Unauthorized,
            404 => Exit::NotFound,
            400..500 => Exit::Refused,
            _ => Exit::Server,
        };
        let what = if code.is_empty() {
            format!("the server answered with status {status}, which is no answer of flowhost's")
        } else {
            format!("{detail} ({code})")
        };
        let execution = problem.as_ref().and_then(|problem| problem["execution"]["id"].as_str());
        let next = match (exit, execution) {
            (_, Some(id)) => Some(format!("`flowhost logs {id}` shows what the flow logged")),
            (Exit::Unauthorized, None) if code.starts_with("webhook.") => {
                let wants_login = challenge.is_some_and(|challenge| challenge.starts_with("Bearer"));
                Some(if wants_login { LOGIN_WANTED } else { "give the webhook's key with --key" }.into())
            }
            (Exit::Unauthorized, None) if status == 403 => Some(NOT_PERMITTED.into()),
            (Exit::Unauthorized, None) => Some("give a valid token with --token or FLOWHOST_TOKEN".into()),
            (Exit::NotFound, None) if code.starts_with("webhook.") => {
                Some("`flowhost webhook list` shows the webhooks, and which of them are enabled".into())
            }
            (Exit::NotFound, None) if code.starts_with("flow.") => {
                Some("`flowhost deploy FILE --name NAME` brings a flow".into())
            }
            (Exit::NotFound, None) if code.starts_with("record.") => {
                Some("check the name; `flowhost trash list` shows what was deleted".into())
            }
            (Exit::Server, None) => Some("the server's log says more".into()),
            _ => None,
        };
        Self { exit, what, next, problem: problem.map(Box::new) }
    }

    /// Tells the failure on standard error, as a problem object for programs or in lines for people.
    pub(crate) fn report(&self, as_json: bool) -> ExitCode {
        if as_json {
            let own = || json!({ "code": format!("cli.{}", self.name()), "detail": self.what, "next": self.next });
            say(&self.problem.as_deref().cloned().unwrap_or_else(own).to_string());
        } else {
            say(&format!("error: {}", printable(&self.what)));
            if let Some(next) = &self.next {
                say(&format!("  {}", printable(next)));
            }
        }
        ExitCode::from(self.exit as u8)
    }

    /// The exit code's name in the problems that the command itself makes.
    fn name(&self) -> &'static str {
        match self.exit {
            Exit::Failed => "failed",
            Exit::Usage => "usage",
            Exit::Unreachable => "unreachable",
            Exit::Unauthorized => "unauthorized",
            Exit::NotFound => "not-found",
            Exit::Refused => "refused",
            Exit::Server => "server",
            Exit::Local => "local",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_becomes_an_exit_code() {
        for (status, body, exit) in [
            (401, r#"{"code":"access.unauthorized","fault":"caller"}"#, Exit::Unauthorized),
            (404, r#"{"code":"record.not-found","fault":"caller"}"#, Exit::NotFound),
            (409, r#"{"code":"record.name-taken","fault":"caller"}"#, Exit::Refused),
            (409, r#"{"code":"execution.cancelled","fault":"caller"}"#, Exit::Failed),
            (422, r#"{"code":"component.invalid","fault":"caller"}"#, Exit::Refused),
            (500, r#"{"code":"flow.panic","fault":"flow"}"#, Exit::Failed),
            (503, r#"{"code":"host.busy","fault":"host"}"#, Exit::Server),
            (502, "<html>bad gateway</html>", Exit::Server),
        ] {
            assert_eq!(Failure::from_answer(status, None, body.as_bytes()).exit, exit, "{status} {body}");
        }
    }

    fn exit_codes() -> impl Iterator<Item = &'static str> {
        HELP.lines().skip_while(|line| *line != "Exit codes:").skip(1)
    }

    #[test]
    fn every_exit_code_stands_in_the_help_and_in_the_documentation() {
        let documentation = include_str!("../../../docs/operating.md");
        for line in exit_codes() {
            let (code, meaning) = line.trim().split_once("  ").unwrap();
            assert!(documentation.contains(&format!("| {code} | {meaning}")), "docs/operating.md lacks `{line}`");
        }
        assert_eq!(exit_codes().count(), Exit::Local as usize + 1);
    }
}
