//! `flowhost setting`: named values; one named `client.webhook.<name>` is a webhook.

use std::path::PathBuf;

use clap::Subcommand;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{EVERYTHING, to_trash};
use crate::client::{Connection, by_name};
use crate::failure::{Exit, Failure};
use crate::output::indented;

/// What to do with settings.
#[derive(Subcommand)]
pub(crate) enum Setting {
    /// Set a value, in place of the one it had
    Set {
        /// The setting's name; `client.webhook.<name>` makes a webhook
        name: String,
        /// A file with the value as YAML or JSON, or - for standard input; it must hold a value: null is `null`, an empty
        /// text is `""`
        file: PathBuf,
    },
    /// Print a value; a webhook's key is never shown
    Get {
        /// The setting's name
        name: String,
    },
    /// List the settings
    List,
    /// Put a setting into the trash; a webhook that it makes goes with it
    Delete {
        /// The setting's name
        name: String,
    },
}

/// The part of a setting that is shown.
#[derive(Deserialize)]
struct View {
    name: String,
    value: Box<RawValue>,
}

impl Setting {
    /// Does it.
    pub(crate) fn run(self, connection: &Connection) -> Result<(), Failure> {
        let client = connection.operator()?;
        let output = connection.output();
        match self {
            Self::Set { name, file } => {
                let value = super::read_input(&file).map_err(|error| {
                    Failure::new(Exit::Local, format!("{} cannot be read: {error}", file.display()))
                })?;
                let headers = [("content-type", "application/yaml")];
                let answer = client.send_to("PUT", &by_name("setting", &name), &headers, value)?;
                if output.json {
                    return output.answer(&answer.body);
                }
                let setting: View = answer.read()?;
                output.data(&setting.name)
            }
            Self::Delete { name } => to_trash(&client, output, "setting", &name),
            Self::Get { name } => {
                let answer = client.get(&by_name("setting", &name))?;
                if output.json {
                    return output.answer(&answer.body);
                }
                let setting: View = answer.read()?;
                output.answer(indented(setting.value.get()).as_bytes())
            }
            Self::List => {
                let answer = client.list(&["setting"], &[], EVERYTHING)?;
                if output.json {
                    return output.answer(&answer.body);
                }
                let settings: Vec<View> = answer.read()?;
                let rows: Vec<_> = settings
                    .iter()
                    .map(|setting| vec![setting.name.as_str().into(), setting.value.get().into()])
                    .collect();
                output.table(&["NAME", "VALUE"], &rows)
            }
        }
    }
}
