//! `flowhost locks`: what executions keep from each other.

use clap::Subcommand;
use serde::Deserialize;

use crate::client::{Connection, address};
use crate::failure::Failure;

use super::EVERYTHING;

/// What to do with locks.
#[derive(Subcommand)]
pub(crate) enum Locks {
    /// List the locks that executions hold
    #[command(visible_alias = "ls")]
    List,
    /// Take a lock from the execution that holds it, which goes on without
    Break {
        /// The lock's name
        name: String,
        /// The lock's project, where several have a lock of this name; "" for executions of no project
        #[arg(long)]
        project: Option<String>,
    },
}

/// A lock as the server shows it.
#[derive(Deserialize)]
struct Lock {
    name: String,
    project_name: Option<String>,
    execution_id: String,
    flow_name: String,
    since: String,
}

impl Locks {
    /// Does it.
    pub(crate) fn run(self, connection: &Connection) -> Result<(), Failure> {
        let client = connection.operator()?;
        let output = connection.output();
        match self {
            Self::List => {
                let answer = client.list(&["lock"], &[], EVERYTHING)?;
                if output.json {
                    return output.answer(&answer.body);
                }
                let locks: Vec<Lock> = answer.read()?;
                let rows: Vec<_> = locks
                    .into_iter()
                    .map(|lock| {
                        vec![
                            lock.name.into(),
                            lock.project_name.unwrap_or_default().into(),
                            lock.execution_id.into(),
                            lock.flow_name.into(),
                            lock.since.into(),
                        ]
                    })
                    .collect();
                output.table(&["NAME", "PROJECT", "EXECUTION", "FLOW", "SINCE"], &rows)
            }
            Self::Break { name, project } => {
                let query: Vec<_> = project.as_deref().map(|project| ("project", project)).into_iter().collect();
                client.send_to("DELETE", &address(&["lock", &name], &query), &[], Vec::new())?;
                output.note(&format!("{name} is free, or its next execution has it"));
                Ok(())
            }
        }
    }
}
