//! `cargo xtask openapi`: writes the description of the REST API that is checked in. A test compares it with the code's.

use std::fs;
use std::process::Command;

use crate::host;
use crate::run::{self, Outcome};
use crate::workspace::{self, Metadata};

pub(crate) fn run() -> Outcome<()> {
    let metadata = Metadata::load()?;
    host::build(&metadata, &["openapi"])?;
    let document = run::output_of(&mut Command::new(metadata.target_directory.join("release/examples/openapi")))?;
    let file = workspace::root().join("docs/openapi.json");
    fs::write(&file, format!("{}\n", document.trim_end()))?;
    eprintln!("written to {}", file.display());
    Ok(())
}
