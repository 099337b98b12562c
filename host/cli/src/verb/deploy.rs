//! `flowhost deploy`: brings a component to the server, which checks, compiles and activates it, or refuses it whole.

use std::path::PathBuf;

use clap::Args;
use serde::Deserialize;

use crate::client::{Connection, address};
use crate::failure::{Exit, Failure};
use crate::output::{printable, shell_word};

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
    missing: Missing,
}

#[derive(Deserialize)]
struct Version {
    version: u32,
    digest: String,
    size: u64,
    metadata: Option<Metadata>,
}

#[derive(Deserialize)]
struct Metadata {
    title: Option<String>,
}

#[derive(Deserialize)]
struct Missing {
    hosts_of_flow: Vec<String>,
    hosts_of_host: Vec<String>,
    secrets: Vec<String>,
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
        let Deployed { version, is_new_flow, is_unchanged, missing } = answer.read()?;
        let Version { version, digest, size, metadata } = version;
        let what = match (is_unchanged, is_new_flow) {
            (true, _) => "was active already",
            (false, true) => "is active, a new flow",
            (false, false) => "is active",
        };
        let title = metadata.and_then(|metadata| metadata.title).map_or_else(String::new, |title| format!(": {title}"));
        // What a component says of itself, nobody has vouched for.
        let title = printable(&title);
        output.data(&format!("{name} version {version} {what}{title}\n{digest}, {size} bytes"))?;
        let quoted = |lines: &[String]| lines.iter().map(|line| format!(" {}", shell_word(line))).collect::<String>();
        if !missing.hosts_of_flow.is_empty() {
            let (flow, lines) = (shell_word(&name), quoted(&missing.hosts_of_flow));
            output.note(&format!("it wants to call hosts: `flowhost flow allow {flow}{lines}`"));
        }
        if !missing.hosts_of_host.is_empty() {
            let lines = quoted(&missing.hosts_of_host);
            output.note(&format!(
                "the server does not let flows call them: `http_allow` in its configuration lacks{lines}"
            ));
        }
        for secret in &missing.secrets {
            output.note(&format!("it wants a secret: `flowhost secret set {}`", shell_word(secret)));
        }
        Ok(())
    }
}
