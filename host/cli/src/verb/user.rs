//! `flowhost user`: the people in whose name executions run.

use clap::Subcommand;
use serde::Deserialize;
use serde_json::json;

use crate::client::{Connection, address};
use crate::failure::Failure;
use crate::output::{Cell, Paint};

/// What to do with users.
#[derive(Subcommand)]
pub(crate) enum User {
    /// Create a user
    Create {
        /// The user's name
        name: String,
    },
    /// List the users
    List,
}

/// The part of a user that is shown.
#[derive(Deserialize)]
struct View {
    id: String,
    name: String,
    is_enabled: bool,
}

impl User {
    /// Does it.
    pub(crate) fn run(self, connection: &Connection) -> Result<(), Failure> {
        let client = connection.operator()?;
        let output = connection.output();
        match self {
            Self::Create { name } => {
                let answer = client.send_json("POST", &address(&["user"], &[]), &json!({ "name": name }))?;
                if output.json {
                    return output.answer(&answer.body);
                }
                let user: View = answer.read()?;
                output.data(&user.id)?;
                output.note(&format!("{} can be named as `user_name` in settings", user.name));
                Ok(())
            }
            Self::List => {
                let answer = client.get(&address(&["user"], &[]))?;
                if output.json {
                    return output.answer(&answer.body);
                }
                let users: Vec<View> = answer.read()?;
                let row = |user: &View| -> Vec<Cell> {
                    let state = if user.is_enabled { ("enabled", Paint::Good) } else { ("disabled", Paint::Faint) };
                    vec![user.name.as_str().into(), Cell::painted(state.0, state.1), user.id.as_str().into()]
                };
                output.table(&["NAME", "STATE", "ID"], &users.iter().map(row).collect::<Vec<_>>())
            }
        }
    }
}
