//! The command line, run against a host.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::host::{Host, program};

/// What a command did.
#[derive(Clone, Debug)]
pub struct Ran {
    /// Its exit code; none where a signal ended it.
    pub exit: Option<i32>,
    /// What it wrote on standard output.
    pub stdout: String,
    /// What it wrote on standard error.
    pub stderr: String,
}

impl Host {
    /// Runs a command of `flowhost` against this host, which finds the token through the data folder.
    pub fn cli(&self, arguments: &[&str]) -> Ran {
        self.cli_with_input(arguments, "")
    }

    /// [`Host::cli`], with something on standard input.
    pub fn cli_with_input(&self, arguments: &[&str], input: &str) -> Ran {
        let mut command = program();
        command.args(arguments).env("FLOWHOST_SERVER", self.url()).env("FLOWHOST_DATA", self.data());
        Ran::of(&mut command, input)
    }

    /// Runs a line of shell in which `flowhost` is the command under test, and knows of this host; `$TOKEN` is the operator's.
    pub fn shell(&self, line: &str) -> Ran {
        let program = program();
        let folder = Path::new(program.get_program()).parent().unwrap().display();
        let path = format!("{folder}:{}", std::env::var("PATH").unwrap_or_default());
        let mut shell = Command::new("sh");
        shell.args(["-euc", line]).env("PATH", path).env("TOKEN", self.token()).env("no_proxy", "*");
        shell.env("FLOWHOST_SERVER", self.url()).env("FLOWHOST_DATA", self.data());
        Ran::of(&mut shell, "")
    }
}

impl Ran {
    /// Runs a command of `flowhost` that knows of no host.
    pub fn alone(arguments: &[&str]) -> Self {
        Self::of(program().args(arguments), "")
    }

    /// Runs any command to its end.
    pub fn of(command: &mut Command, input: &str) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A command that does not read its input may have ended already.
        let _read = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Self { exit: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Standard output as JSON, of a command that did what it should.
    ///
    /// # Panics
    ///
    /// When it did not.
    pub fn json(&self) -> Value {
        assert_eq!(self.exit, Some(0), "{self:?}");
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The problem on standard error, of a command that ended with this exit code.
    ///
    /// # Panics
    ///
    /// When it ended with another, or wrote no JSON.
    pub fn problem(&self, exit: i32) -> Value {
        assert_eq!(self.exit, Some(exit), "{self:?}");
        serde_json::from_str(&self.stderr).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}
