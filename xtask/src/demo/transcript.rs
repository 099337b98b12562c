//! What the demo prints: each command as one would type it, its output, and whether it was right.

use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::call::Call;
use super::shown;
use crate::http::{self, Answer};
use crate::run::Outcome;
use crate::workspace;

/// The exit code of `flowhost` for what the server refused.
const REFUSED: i32 = 6;

/// How long the asynchronous call of the demo may take; it takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often its result is asked for.
const POLL: Duration = Duration::from_millis(20);

/// A demo under way.
pub(crate) struct Transcript<'a> {
    flowhost: &'a Path,
    server: &'a str,
    data: &'a Path,
    calls: usize,
    wrong: usize,
}

impl<'a> Transcript<'a> {
    /// Begins, with the lines that make what follows work in another terminal.
    pub(crate) fn new(flowhost: &'a Path, server: &'a str, data: &'a Path) -> Self {
        let programs = flowhost.parent().unwrap_or(flowhost);
        println!("── the server listens on {server}; to follow in another terminal, here:");
        println!(
            "$ export PATH=\"{}:$PATH\" FLOWHOST_SERVER={server} FLOWHOST_DATA={}",
            programs.display(),
            shown(data)
        );
        Self { flowhost, server, data, calls: 0, wrong: 0 }
    }

    /// Begins a part.
    pub(crate) fn title(&self, title: &str) {
        println!("\n── {title}");
    }

    /// Says something between two commands.
    pub(crate) fn say(&self, text: &str) {
        println!("  ({text})");
    }

    /// Runs a `flowhost` command, which must succeed.
    pub(crate) fn flowhost(&self, arguments: &[&str]) -> Outcome<()> {
        self.run(arguments, &[0]).map(|_| ())
    }

    /// Runs a `flowhost` command that creates something, unless an earlier demo left it; says whether it did.
    pub(crate) fn create(&self, arguments: &[&str]) -> Outcome<bool> {
        let is_created = self.run(arguments, &[0, REFUSED])? == 0;
        if !is_created {
            self.say("an earlier demo left it");
        }
        Ok(is_created)
    }

    fn run(&self, arguments: &[&str], accepted: &[i32]) -> Outcome<i32> {
        println!("$ flowhost {}", arguments.join(" "));
        let mut command = Command::new(self.flowhost);
        let command = command.args(arguments).current_dir(workspace::root());
        // Absolute, since the command runs at the checkout's root wherever the demo was started.
        command.env("FLOWHOST_SERVER", self.server).env("FLOWHOST_DATA", std::path::absolute(self.data)?);
        let status = command.env_remove("FLOWHOST_TOKEN").env_remove("FLOWHOST_KEY").status()?;
        let failed = || format!("`flowhost {}` failed ({status})", arguments.join(" ")).into();
        status.code().filter(|code| accepted.contains(code)).ok_or_else(failed)
    }

    /// Makes a call and judges its answer.
    pub(crate) fn call(&mut self, call: Call) -> Outcome<Answer> {
        println!("$ {}", call.as_curl(self.server));
        let answer = call.send(self.server)?;
        self.judge(&answer, &call.mistakes_in(&answer));
        Ok(answer)
    }

    fn judge(&mut self, answer: &Answer, mistakes: &[String]) {
        println!("HTTP {}", answer.status);
        if let Some(location) = &answer.location {
            println!("Location: {location}");
        }
        match serde_json::from_str::<Value>(&answer.body) {
            Ok(body) => println!("{body:#}"),
            Err(_) => println!("{}", answer.body),
        }
        self.calls += 1;
        self.wrong += usize::from(!mistakes.is_empty());
        if mistakes.is_empty() {
            println!("✓ right");
        }
        for mistake in mistakes {
            println!("✗ {mistake}");
        }
    }

    /// Follows the `Location` of an asynchronous call to the end of its execution; gives the execution's id.
    pub(crate) fn until_ended(&mut self, accepted: &Answer) -> Outcome<String> {
        let location = accepted.location.as_deref().ok_or("the answer to the asynchronous call has no Location")?;
        let url = format!("{}{location}", self.server);
        println!("$ curl '{url}'");
        let start = Instant::now();
        loop {
            let answer = http::send("GET", &url, &[], None)?;
            let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
            let status = body["status"].as_str().unwrap_or_default();
            let is_ended = answer.status != 200 || status.starts_with("ENDED");
            if !is_ended && start.elapsed() < PATIENCE {
                thread::sleep(POLL);
                continue;
            }
            let mut mistakes = Vec::new();
            if status != "ENDED_SUCCESS" || body["output_value"]["greeting"] != "Hello, world!" {
                mistakes.push("an execution that greeted the world was expected".to_owned());
            }
            self.judge(&answer, &mistakes);
            return Ok(body["id"].as_str().unwrap_or_default().to_owned());
        }
    }

    /// The number of calls, and of wrong answers.
    pub(crate) fn verdict(&self) -> (usize, usize) {
        (self.calls, self.wrong)
    }

    /// Says what a person may do now.
    pub(crate) fn next_things_to_try(&self, log: &Path) {
        println!("\n── the server goes on at {}, until Ctrl-C; its log is {}", self.server, shown(log));
        println!("Any line above can be typed again, after the first one. And then:");
        println!("$ flowhost executions list --status ENDED_ERROR");
        println!("$ flowhost call hello -d '{{\"name\": \"you\"}}'");
        println!("$ flowhost webhook disable hello");
        println!("Change examples/hello/src/lib.rs, run `cargo xtask guests`, and deploy it again.");
        println!("README.md goes on from here.");
    }
}
