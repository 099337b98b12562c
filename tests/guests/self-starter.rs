//! Runs the flow of its own name as its child, which does the same, until one is refused, and returns that one's `code` and
//! `depth`: 0 for the execution that nobody's flow started.

#![cfg(target_family = "wasm")]

use flowhost_guest::{Execution, FlowError, Input, Outputs, flow, json};
use serde::Deserialize;
use serde_json::Value;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Plan {
    depth: u32,
}

#[flow]
fn self_starter(this: &Execution, input: Input<Option<Plan>>) -> Result<Outputs, FlowError> {
    let depth = input.json.unwrap_or_default().depth;
    match this.children().start(this.name(), &json!({ "depth": depth + 1 })) {
        Ok(child) => {
            child.wait()?;
            Ok(Outputs::from(child.outputs::<Value>()?))
        }
        Err(refused) => Ok(Outputs::new().set("code", refused.code()).set("depth", depth)),
    }
}
