//! `flowhost logs`: what an execution wrote while it ran.

use clap::Args;
use flowhost_model::{LogLevel, LogLine, LogSource};

use serde_json::value::RawValue;

use crate::client::{Connection, address, parsed};
use crate::failure::Failure;
use crate::id;
use crate::output::{Output, Paint, to_the_millisecond};

/// Lines read with one request.
const PAGE: usize = 1_000;

/// Whose log to print.
#[derive(Args)]
pub(crate) struct Logs {
    /// The execution's id, the beginning of it, or `latest` for the newest execution
    id: String,
}

impl Logs {
    /// Prints it, page by page: lines for people, or one JSON object a line.
    pub(crate) fn run(self, connection: &Connection) -> Result<(), Failure> {
        let client = connection.operator()?;
        let output = connection.output();
        let id = id::execution_to_read(&client, &self.id)?;
        let mut from = 0;
        loop {
            let query = [("from", from.to_string()), ("limit", PAGE.to_string())];
            let query: Vec<_> = query.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let answer = client.get(&address(&["execution", &id, "log"], &query))?;
            let lines: Vec<Box<RawValue>> = answer.read()?;
            for line in &lines {
                if output.json { output.data(line.get())? } else { show(output, &parsed(line.get())?)? }
            }
            from += lines.len();
            if lines.len() < PAGE {
                return Ok(());
            }
        }
    }
}

fn show(output: Output, line: &LogLine) -> Result<(), Failure> {
    let time = to_the_millisecond(&line.at.to_string());
    let (level, paint) = match line.level {
        LogLevel::Trace => ("TRACE", Paint::Faint),
        LogLevel::Debug => ("DEBUG", Paint::Faint),
        LogLevel::Info => ("INFO ", Paint::Good),
        LogLevel::Warn => ("WARN ", Paint::Busy),
        LogLevel::Error => ("ERROR", Paint::Bad),
    };
    let source = match line.source {
        LogSource::Flow => "",
        LogSource::Stdout => "stdout: ",
        LogSource::Stderr => "stderr: ",
        LogSource::Host => "host: ",
    };
    let fields = line.fields.as_ref().map_or(String::new(), |fields| format!(" {}", fields.get()));
    output.parts(&[
        (&time, Paint::Faint),
        (" ", Paint::Plain),
        (level, paint),
        // A line of the message must not look like one of the log.
        (&format!(" {source}{}", line.message.replace('\n', "\n    | ")), Paint::Plain),
        (&fields, Paint::Faint),
    ])
}
