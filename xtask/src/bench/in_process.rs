//! What one call costs without a server around it.

use std::process::Command;

use serde_json::Value;

use super::Place;
use crate::run::{self, Outcome};

/// Runs the engine's own measurement and gives its JSON.
pub(super) fn measure(place: &Place) -> Outcome<Value> {
    eprintln!("measuring calls in-process…");
    let mut call_cost = Command::new(place.examples.join("call_cost"));
    Ok(serde_json::from_str(&run::output_of(call_cost.arg(&place.hello))?)?)
}
