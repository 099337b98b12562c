//! `flowhost deploy`: brings a component to the server, which checks, compiles and activates it, or refuses it whole.

use std::path::PathBuf;

use clap::Args;
use serde::Deserialize;

use crate::client::{Connection, address};
use crate::failure::{Exit, Failure};

/// What to deploy, and as what.
#[derive(Args)]
pub(crate) struct Deploy {
    /// The component, as `cargo build --target wasm32-wasip2` makes it
    file: PathBuf,
    /// The flow's name
    #[arg(long)]
    name: String,
}

/// The part of the answer that is shown.
#[derive(Deserialize)]
struct Deployed {
    version: Version,
    is_new_flow: bool,
    is_unchanged: bool,
}

#[derive(Deserialize)]
struct Version {
    version: u32,
    digest: String,
    size: u64,
}

impl Deploy {
    /// Deploys.
    pub(crate) fn run(self, connection: &Connection) -> Result<(), Failure> {
        let Self { file, name } = self;
        let component = std::fs::read(&file).map_err(|error| {
            Failure::new(Exit::Local, format!("{} cannot be read: {error}", file.display()))
                .next("give the path of a component; docs/flows.md says how to build one")
        })?;
        let client = connection.operator()?;
        let output = connection.output();
        let headers = [("content-type", "application/wasm")];
        let answer = client.send_to("POST", &address(&["flow"], &[("name", &name)]), &headers, component)?;
        if output.json {
            return output.answer(&answer.body);
        }
        let Deployed { version: Version { version, digest, size }, is_new_flow, is_unchanged } = answer.read()?;
        let what = match (is_unchanged, is_new_flow) {
            (true, _) => "was active already",
            (false, true) => "is active, a new flow",
            (false, false) => "is active",
        };
        output.data(&format!("{name} version {version} {what}\n{digest}, {size} bytes"))
    }
}
