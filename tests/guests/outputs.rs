//! Sets the outputs of its payload's `set`, then fails with the message of `fail`, or returns those of `return`.

#![cfg(target_family = "wasm")]

use flowhost_guest::{Execution, FlowError, Input, Outputs, flow};
use serde::Deserialize;
use serde_json::{Map, Value};

#[derive(Deserialize)]
struct Plan {
    #[serde(default)]
    set: Map<String, Value>,
    #[serde(default, rename = "return")]
    returned: Map<String, Value>,
    fail: Option<String>,
}

#[flow]
fn outputs(this: &Execution, input: Input<Plan>) -> Result<Outputs, FlowError> {
    let plan = input.json;
    for (name, value) in &plan.set {
        this.set_output(name, value)?;
    }
    match plan.fail {
        Some(message) => Err(FlowError::new(message)),
        None => Ok(Outputs::from(plan.returned)),
    }
}
