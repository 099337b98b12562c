//! `flowhost executions`: what calls left behind.

use clap::Subcommand;
use flowhost_model::{Execution, FlowRef, RecordId, Status, Timestamp, WebhookRef};
use serde::Deserialize;

use crate::client::{Client, Connection, address};
use crate::failure::Failure;
use crate::id::{self, Kind};
use crate::output::{Cell, Output, Paint, indented, to_the_second};

/// What to do with executions.
#[derive(Subcommand)]
pub(crate) enum Executions {
    /// List executions, the newest first
    List {
        /// Only those with this status, for example ENDED_ERROR
        #[arg(long, value_parser = status)]
        status: Option<Status>,
        /// Only those of this flow
        #[arg(long)]
        flow: Option<String>,
        /// Only those of this webhook
        #[arg(long)]
        webhook: Option<String>,
        /// At most so many; a note on standard error says if there are more
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// Show one execution
    Show {
        /// The execution's id, the beginning of it, or `latest` for the newest execution
        id: String,
    },
    /// End an execution that is not over, and its children with it
    Cancel {
        /// The execution's id, or the beginning of it
        id: String,
    },
    /// Let an execution wait until it is resumed
    Pause {
        /// The execution's id, or the beginning of it
        id: String,
    },
    /// Let a paused execution go on
    Resume {
        /// The execution's id, or the beginning of it
        id: String,
    },
}

impl Executions {
    /// Does it.
    pub(crate) fn run(self, connection: &Connection) -> Result<(), Failure> {
        let client = connection.operator()?;
        let output = connection.output();
        match self {
            Self::List { status, flow, webhook, limit } => {
                let mut query = Vec::new();
                query.extend(status.map(|status| ("status", status.as_str())));
                query.extend(flow.as_deref().map(|flow| ("flow", flow)));
                query.extend(webhook.as_deref().map(|webhook| ("webhook", webhook)));
                let answer = client.list(&["execution"], &query, limit)?;
                if output.json { output.answer(&answer.body) } else { list(output, &answer.read::<Vec<_>>()?) }
            }
            Self::Show { id } => {
                let id = id::execution_to_read(&client, &id)?;
                let answer = client.get(&address(&["execution", &id], &[]))?;
                if output.json { output.answer(&answer.body) } else { show(output, &answer.read()?) }
            }
            Self::Cancel { id } => act(&client, output, &id, "cancel"),
            Self::Pause { id } => act(&client, output, &id, "pause"),
            Self::Resume { id } => act(&client, output, &id, "resume"),
        }
    }
}

fn act(client: &Client, output: Output, id: &str, verb: &str) -> Result<(), Failure> {
    let id = &id::whole(client, Kind::Execution, id)?;
    let answer = client.send_to("POST", &address(&["execution", id, "action", verb], &[]), &[], Vec::new())?;
    if output.json { output.answer(&answer.body) } else { show(output, &answer.read()?) }
}

fn status(text: &str) -> Result<Status, flowhost_model::UnknownStatus> {
    text.to_uppercase().parse()
}

/// An execution as lists show it, without input and outputs.
#[derive(Deserialize)]
struct Listed {
    id: RecordId,
    status: Status,
    flow: FlowRef,
    webhook: Option<WebhookRef>,
    created_at: Timestamp,
    started_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
    failure: Option<Failed>,
}

/// The part of a failure that lists show.
#[derive(Deserialize)]
struct Failed {
    code: String,
}

fn list(output: Output, executions: &[Listed]) -> Result<(), Failure> {
    let row = |execution: &Listed| -> Vec<Cell> {
        vec![
            execution.id.to_string().into(),
            Cell::painted(execution.status.as_str(), paint(execution.status)),
            execution.flow.name.as_str().into(),
            execution.webhook.as_ref().map_or("", |webhook| &webhook.name).into(),
            to_the_second(&execution.created_at.to_string()).into(),
            duration(execution.started_at, execution.ended_at).into(),
            execution.failure.as_ref().map_or("", |failure| &failure.code).into(),
        ]
    };
    let rows: Vec<_> = executions.iter().map(row).collect();
    output.table(&["ID", "STATUS", "FLOW", "WEBHOOK", "CREATED", "TOOK", "FAILURE"], &rows)
}

fn show(output: Output, execution: &Execution) -> Result<(), Failure> {
    let flow = &execution.flow;
    let mut rows: Vec<Vec<Cell>> = Vec::new();
    let mut row = |name: &str, value: Cell| rows.push(vec![Cell::painted(name, Paint::Faint), value]);
    row("status", Cell::painted(execution.status.as_str(), paint(execution.status)));
    if let Some(message) = &execution.status_message {
        row("message", message.as_str().into());
    }
    row("flow", format!("{} version {}, {}", flow.name, flow.version, flow.digest).into());
    if let Some(webhook) = &execution.webhook {
        row("webhook", webhook.name.as_str().into());
    }
    row("mode", if execution.is_productive { "productive" } else { "development" }.into());
    if execution.attempt > 1 {
        row("attempt", execution.attempt.to_string().into());
    }
    row("created", execution.created_at.to_string().into());
    if execution.ended_at.is_some() {
        row("took", duration(execution.started_at, execution.ended_at).into());
    }
    if let Some(failure) = &execution.failure {
        row("failure", Cell::painted(failure.code.as_str(), Paint::Bad));
        if let Some(code) = &failure.flow_code {
            row("its code", code.as_str().into());
        }
        if let Some(details) = &failure.details {
            row("details", details.get().into());
        }
    }
    output.table(&["execution", &execution.id.to_string()], &rows)?;
    if let Some(trace) = execution.failure.as_ref().and_then(|failure| failure.trace.as_deref()) {
        output.data("trace")?;
        output.answer(trace.as_bytes())?;
    }
    output.data("input")?;
    output.answer(indented(execution.input_value.get()).as_bytes())?;
    output.data("outputs")?;
    output.answer(indented(execution.output_value.get()).as_bytes())
}

fn paint(status: Status) -> Paint {
    match status {
        Status::EndedSuccess => Paint::Good,
        Status::EndedError => Paint::Bad,
        Status::EndedCancelled => Paint::Faint,
        _ => Paint::Busy,
    }
}

/// The time from the start of the flow to its end; empty as long as it runs.
fn duration(started_at: Option<Timestamp>, ended_at: Option<Timestamp>) -> String {
    match (started_at, ended_at) {
        (Some(started), Some(ended)) => in_words(ended.as_micros().saturating_sub(started.as_micros())),
        _ => String::new(),
    }
}

fn in_words(micros: i64) -> String {
    match micros {
        ..1_000 => format!("{micros} µs"),
        1_000..1_000_000 => format!("{}.{} ms", micros / 1_000, micros / 100 % 10),
        _ => format!("{}.{} s", micros / 1_000_000, micros / 100_000 % 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short() {
        assert_eq!([0, 999, 1_250, 61_250_000].map(in_words), ["0 µs", "999 µs", "1.2 ms", "61.2 s"].map(String::from));
    }
}
