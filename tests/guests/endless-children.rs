//! Starts children of the flow that its payload's `flow` names, each with `input`, until it is refused, and returns the `code` and
//! how many it `started`. With `detached` they outlive it.

#![cfg(target_family = "wasm")]

use flowhost_guest::{Execution, FlowError, Input, Outputs, flow};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Plan {
    flow: String,
    #[serde(default)]
    input: Value,
    #[serde(default)]
    detached: bool,
}

#[flow]
fn endless_children(this: &Execution, plan: Input<Plan>) -> Result<Outputs, FlowError> {
    let mut started = 0_u32;
    loop {
        let child = this.children().new_child(plan.flow.as_str(), &plan.input)?;
        let child = if plan.detached { child.detached() } else { child };
        match child.start() {
            Ok(_) => started += 1,
            Err(refused) => {
                return Ok(Outputs::new()
                    .set("code", refused.code())
                    .set("message", refused.message())
                    .set("started", started));
            }
        }
    }
}
