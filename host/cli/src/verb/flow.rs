//! `flowhost flow`: the flows of a server.

use clap::Subcommand;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{EVERYTHING, joined, to_trash};
use crate::client::{Client, Connection, by_name};
use crate::failure::Failure;
use crate::output::Cell;

/// The option that lists what a flow may call.
const ALLOW: &str = "http_allow";

/// What to do with flows.
#[derive(Subcommand)]
pub(crate) enum Flow {
    /// List the flows
    List,
    /// Show a flow
    Show {
        /// The flow's name
        name: String,
    },
    /// Let a flow call hosts outside, which the server's own list must allow as well
    Allow {
        /// The flow's name
        name: String,
        /// What it may call, for example 'https://api.example.com' or 'GET,POST https://*.example.com:8443'
        #[arg(required = true)]
        lines: Vec<String>,
    },
    /// Take back what `allow` allowed
    Deny {
        /// The flow's name
        name: String,
        /// The lines, as `flowhost flow show` has them
        #[arg(required = true)]
        lines: Vec<String>,
    },
    /// Put a flow into the trash; its webhooks answer as if they did not exist
    Delete {
        /// The flow's name
        name: String,
    },
}

/// The part of a flow that is shown.
#[derive(Deserialize)]
struct View {
    id: String,
    name: String,
    description: Option<String>,
    active_version: Option<u32>,
    digest: Option<String>,
    options: Option<Value>,
}

/// The part of a webhook that tells what it runs.
#[derive(Deserialize)]
struct Running {
    name: String,
    flow_name: Option<String>,
}

impl Flow {
    /// Does it.
    pub(crate) fn run(self, connection: &Connection) -> Result<(), Failure> {
        let client = connection.operator()?;
        let output = connection.output();
        match self {
            Self::List => {
                let answer = client.list(&["flow"], &[], EVERYTHING)?;
                if output.json {
                    return output.answer(&answer.body);
                }
                let flows: Vec<View> = answer.read()?;
                let row = |flow: &View| -> Vec<Cell> {
                    let version = flow.active_version.map_or_else(|| "none".to_owned(), |version| version.to_string());
                    let description = flow.description.as_deref().unwrap_or_default();
                    vec![flow.name.as_str().into(), version.into(), flow.id.as_str().into(), description.into()]
                };
                output.table(&["NAME", "VERSION", "ID", "DESCRIPTION"], &flows.iter().map(row).collect::<Vec<_>>())
            }
            Self::Show { name } => {
                let answer = client.get(&by_name("flow", &name))?;
                if output.json {
                    return output.answer(&answer.body);
                }
                let flow: View = answer.read()?;
                let version = flow.active_version.map(|version| version.to_string());
                let allowed = allowed(&flow).join(", ");
                let rows = [
                    ("id", Some(flow.id)),
                    ("description", flow.description),
                    ("version", version),
                    ("digest", flow.digest),
                    ("may call", Some(allowed).filter(|lines| !lines.is_empty())),
                ];
                let row = |(name, value): (&str, Option<String>)| -> Vec<Cell> {
                    vec![name.into(), value.unwrap_or_else(|| "none".to_owned()).into()]
                };
                output.table(&["PROPERTY", "VALUE"], &rows.map(row))
            }
            Self::Allow { name, lines } => change(connection, &client, &name, |allowed| {
                for line in lines {
                    if !allowed.contains(&line) {
                        allowed.push(line);
                    }
                }
            }),
            Self::Deny { name, lines } => {
                change(connection, &client, &name, |allowed| allowed.retain(|line| !lines.contains(line)))
            }
            Self::Delete { name } => {
                // Before its end, so that webhooks of the record form still have its name.
                let webhooks: Vec<Running> =
                    client.list(&["webhook"], &[("fields", "name,flow_name")], EVERYTHING)?.read()?;
                to_trash(&client, output, "flow", &name)?;
                let running = webhooks.into_iter().filter(|webhook| webhook.flow_name.as_deref() == Some(&*name));
                let names: Vec<String> = running.map(|webhook| webhook.name).collect();
                if !names.is_empty() {
                    output.caution(&format!("these webhooks have no flow any more and answer 404: {}", joined(&names)));
                    output.note("`flowhost webhook disable NAME` disables one of a record, `flowhost setting delete NAME` ends one of a setting");
                }
                Ok(())
            }
        }
    }
}

fn allowed(flow: &View) -> Vec<String> {
    let lines = flow.options.as_ref().and_then(|options| options[ALLOW].as_array());
    lines.into_iter().flatten().filter_map(|line| line.as_str().map(str::to_owned)).collect()
}

fn change(
    connection: &Connection,
    client: &Client,
    name: &str,
    edit: impl FnOnce(&mut Vec<String>),
) -> Result<(), Failure> {
    let output = connection.output();
    let flow: View = client.get(&by_name("flow", name))?.read()?;
    let mut lines = allowed(&flow);
    edit(&mut lines);
    // The other options stay as they are.
    let mut options = flow.options.unwrap_or_else(|| json!({}));
    options[ALLOW] = json!(lines);
    let answer = client.send_json("PATCH", &by_name("flow", name), &json!({ "options": options }))?;
    if output.json {
        return output.answer(&answer.body);
    }
    for line in &lines {
        output.data(line)?;
    }
    let note = if lines.is_empty() { "calls nothing outside" } else { "may call these, where the server allows them" };
    output.note(&format!("{name} {note}"));
    Ok(())
}
