//! What one call costs without a server around it.

use std::process::Command;

use serde_json::Value;

use super::Place;
use crate::run::{self, Outcome};
use crate::workspace;

/// Runs the engine's own measurement and gives its JSON.
pub(super) fn measure(place: &Place) -> Outcome<Value> {
    eprintln!("measuring calls in-process…");
    let mut cargo = Command::new("cargo");
    cargo.args(["run", "--release", "--quiet", "--package", "flowhost-engine", "--example", "call_cost", "--"]);
    Ok(serde_json::from_str(&run::output_of(cargo.arg(&place.hello).current_dir(workspace::root()))?)?)
}
