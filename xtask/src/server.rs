//! Servers that the demo and the benchmark start and end.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::run::{self, Outcome};

/// What `flowhost serve` and the bare server of the benchmark print before their address.
const LISTENS: &str = " listens on ";

/// A server in a process of its own. Ended when it is dropped.
pub(crate) struct Server {
    child: Child,
    /// Where it listens, `http://127.0.0.1:8080`.
    pub(crate) url: String,
    // Kept open: what the server says later must not fail.
    _stdout: Option<BufReader<ChildStdout>>,
}

impl Server {
    /// Starts a server that prints a line with ` listens on ` and its address. What it logs goes to a file.
    pub(crate) fn start(command: &mut Command, log: &Path) -> Outcome<Self> {
        let mut child = spawn(command.stdout(Stdio::piped()), log)?;
        let mut line = String::new();
        let mut stdout = child.stdout.take().map(BufReader::new);
        if let Some(stdout) = &mut stdout {
            stdout.read_line(&mut line)?;
        }
        match line.trim().split_once(LISTENS) {
            Some((_, url)) => Ok(Self { child, url: url.to_owned(), _stdout: stdout }),
            None => {
                child.wait()?;
                let said = std::fs::read_to_string(log).unwrap_or_default();
                Err(format!("`{}` did not start:\n{}", run::shown(command), said.trim()).into())
            }
        }
    }

    /// Starts a server that prints nothing of use, but was told to listen here.
    pub(crate) fn start_at(command: &mut Command, url: &str, log: &Path) -> Outcome<Self> {
        let child = spawn(command.stdout(Stdio::null()), log)?;
        Ok(Self { child, url: url.to_owned(), _stdout: None })
    }

    /// The process's id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until somebody else ends the server.
    pub(crate) fn wait(&mut self) -> Outcome<()> {
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let (Ok(None), Some(id)) = (self.child.try_wait(), id) {
            // If it cannot be told to end, it has ended; either way there is nothing left to do here.
            let _told = kill_process(id, Signal::TERM);
            let _ended = self.child.wait();
        }
    }
}

fn spawn(command: &mut Command, log: &Path) -> Outcome<Child> {
    command.stdin(Stdio::null()).stderr(File::create(log)?);
    command.spawn().map_err(|error| format!("`{}` cannot be started: {error}", run::shown(command)).into())
}
