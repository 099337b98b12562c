//! `flowhost call`: calls a webhook as any caller would.

use std::path::Path;

use clap::Args;
use flowhost_model::{FlowRef, RecordId, Status};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::client::{Answer, Connection};
use crate::failure::{Exit, Failure};
use crate::output::{Output, indented};

/// Which webhook to call, and with what.
#[derive(Args)]
pub(crate) struct Call {
    /// The webhook's name, or CLIENT/NAME for one that a setting makes
    name: String,
    /// The payload as JSON; @FILE reads it from a file, @- or - from standard input
    #[arg(short = 'd', long, value_name = "JSON")]
    payload: Option<String>,
    /// Do not wait for the execution's end
    #[arg(long = "async")]
    is_async: bool,
    /// The webhook's key
    #[arg(long, env = "FLOWHOST_KEY", hide_env_values = true)]
    key: Option<String>,
}

/// What is shown of the answer to a synchronous call, if it is an execution.
#[derive(Deserialize)]
struct Ended {
    id: RecordId,
    flow: FlowRef,
    status: Status,
    output_value: Box<RawValue>,
}

/// The answer to an asynchronous call.
#[derive(Deserialize)]
struct Accepted {
    id: String,
    status: String,
}

impl Call {
    /// Calls.
    pub(crate) fn run(self, connection: &Connection) -> Result<(), Failure> {
        let body = self.body()?;
        let client = connection.caller(self.key.is_some())?;
        let output = connection.output();
        let address = match self.name.split_once('/') {
            None => crate::client::path(&["webhook", &self.name, "call"]),
            Some((workspace, name)) => crate::client::path(&["webhook", workspace, name]),
        };
        let address = if self.is_async { address + "?async" } else { address };
        let mut headers = vec![("content-type", "application/json")];
        if let Some(key) = &self.key {
            headers.push(("x-api-key", key));
        }
        let answer = client.send_to("POST", &address, &headers, body)?;
        if self.is_async { accepted(output, &answer, &client) } else { ended(output, &answer) }
    }

    fn body(&self) -> Result<Vec<u8>, Failure> {
        let file = match self.payload.as_deref() {
            None => return Ok(Vec::new()),
            Some("-") => "-",
            Some(json) => match json.strip_prefix('@') {
                Some(file) => file,
                None => return Ok(json.as_bytes().to_vec()),
            },
        };
        super::read_input(Path::new(file))
            .map_err(|error| Failure::new(Exit::Local, format!("{file} cannot be read: {error}")))
    }
}

/// Shows the answer to a synchronous call.
fn ended(output: Output, answer: &Answer) -> Result<(), Failure> {
    // The webhook's options decide whether it is.
    match serde_json::from_slice(&answer.body) {
        Ok(Ended { id, flow, status, output_value }) if !output.json => {
            output.note(&format!("{status}: execution {id} of {} version {}", flow.name, flow.version));
            output.answer(indented(output_value.get()).as_bytes())
        }
        _ => output.answer(&answer.body),
    }
}

/// Shows the answer to an asynchronous call.
fn accepted(output: Output, answer: &Answer, client: &crate::client::Client) -> Result<(), Failure> {
    let location = answer.location.as_deref().map(|location| client.url(location));
    if output.json {
        let mut shown: Value = answer.read()?;
        shown["location"] = location.into();
        return output.data(&shown.to_string());
    }
    let Accepted { id, status } = answer.read()?;
    output.data(&id)?;
    output.note(&format!("{status}; `flowhost executions show {id}` shows how it goes on"));
    if let Some(location) = location {
        output.note(&format!("whoever has this address can read it too, for a while: {location}"));
    }
    Ok(())
}
