//! What calls cost without a server around them: of a flow, and of a flow into its host.

use std::process::Command;

use serde_json::{Value, json};

use super::Place;
use crate::run::{self, Outcome};

/// The measurements that the host's crates bring, each with the component that it runs.
const EXAMPLES: [(&str, &str); 3] =
    [("call_cost", "hello.wasm"), ("capability_cost", "cost.wasm"), ("outgoing_cost", "http.wasm")];

/// The names of the measurements, to be built.
pub(super) fn examples() -> impl Iterator<Item = &'static str> {
    EXAMPLES.iter().map(|(example, _)| *example)
}

/// Runs them and gives their JSON, by their names.
pub(super) fn measure(place: &Place) -> Outcome<Value> {
    let mut measured = json!({});
    for (example, component) in EXAMPLES {
        eprintln!("measuring in-process: {example}…");
        let mut command = Command::new(place.examples.join(example));
        measured[example] = serde_json::from_str(&run::output_of(command.arg(place.guests.join(component)))?)?;
    }
    Ok(measured)
}
