//! `flowhost messages`: what executions ask people.

use clap::Subcommand;
use flowhost_model::MessageStatus;
use serde::Deserialize;
use serde_json::Value;

use crate::client::{Connection, address};
use crate::failure::Failure;
use crate::id::{self, Kind};
use crate::output::{Cell, Output, Paint, indented, to_the_second};

/// What to do with messages.
#[derive(Subcommand)]
pub(crate) enum Messages {
    /// List messages, the newest first
    #[command(visible_alias = "ls")]
    List {
        /// Also those that nobody can respond to any more
        #[arg(long)]
        all: bool,
        /// At most so many; a note on standard error says if there are more
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// Show a message with its form
    Show {
        /// The message's id, or the beginning of it
        id: String,
    },
    /// Respond to a message
    Respond {
        /// The message's id, or the beginning of it
        id: String,
        /// The response, as JSON that fits the form
        response: String,
    },
}

/// The part of a message that is shown.
#[derive(Deserialize)]
struct View {
    id: String,
    subject: String,
    text: Option<String>,
    form: Option<Value>,
    recipient_name: Option<String>,
    status: MessageStatus,
    response: Option<Value>,
    responder_name: Option<String>,
    execution_id: String,
    created_at: String,
}

impl Messages {
    /// Does it.
    pub(crate) fn run(self, connection: &Connection) -> Result<(), Failure> {
        let client = connection.operator()?;
        let output = connection.output();
        match self {
            Self::List { all, limit } => {
                let mut query = vec![("order", "-created_at")];
                if !all {
                    query.push(("filter", r#"{"field":"status","value":"OPEN"}"#));
                }
                let answer = client.list(&["message"], &query, limit)?;
                if output.json { output.answer(&answer.body) } else { list(output, answer.read()?) }
            }
            Self::Show { id } => {
                let id = id::whole(&client, Kind::Message, &id)?;
                let answer = client.get(&address(&["message", &id], &[]))?;
                if output.json { output.answer(&answer.body) } else { show(output, answer.read()?) }
            }
            Self::Respond { id, response } => {
                let id = id::whole(&client, Kind::Message, &id)?;
                let address = address(&["message", &id, "respond"], &[]);
                let headers = [("content-type", "application/json")];
                let answer = client.send_to("POST", &address, &headers, response.into_bytes())?;
                if output.json { output.answer(&answer.body) } else { show(output, answer.read()?) }
            }
        }
    }
}

fn status(status: MessageStatus) -> Cell {
    match status {
        MessageStatus::Open => Cell::painted("OPEN", Paint::Busy),
        MessageStatus::Answered => Cell::painted("ANSWERED", Paint::Good),
        MessageStatus::Closed => Cell::painted("CLOSED", Paint::Faint),
    }
}

fn list(output: Output, messages: Vec<View>) -> Result<(), Failure> {
    let rows: Vec<Vec<Cell>> = messages
        .into_iter()
        .map(|message| {
            let recipient = message.recipient_name.unwrap_or_default();
            vec![
                message.id.into(),
                status(message.status),
                recipient.into(),
                to_the_second(&message.created_at).into(),
                message.subject.into(),
            ]
        })
        .collect();
    output.table(&["ID", "STATUS", "FOR", "CREATED", "SUBJECT"], &rows)
}

fn show(output: Output, message: View) -> Result<(), Failure> {
    let named = |name: &str| Cell::painted(name, Paint::Faint);
    let mut rows = vec![
        vec![named("subject"), message.subject.into()],
        vec![named("status"), status(message.status)],
        vec![named("created"), to_the_second(&message.created_at).into()],
        vec![named("execution"), message.execution_id.into()],
    ];
    rows.extend(message.recipient_name.map(|name| vec![named("for"), name.into()]));
    rows.extend(message.responder_name.map(|name| vec![named("from"), name.into()]));
    output.table(&["message", &message.id], &rows)?;
    if let Some(text) = message.text {
        output.data("text")?;
        output.answer(text.as_bytes())?;
    }
    if let Some(form) = message.form {
        output.data("form")?;
        output.answer(indented(&form.to_string()).as_bytes())?;
    }
    if message.status == MessageStatus::Answered {
        output.data("response")?;
        output.answer(indented(&message.response.unwrap_or_default().to_string()).as_bytes())?;
    }
    Ok(())
}
