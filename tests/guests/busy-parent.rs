//! Starts a child of the flow that its payload's `flow` names, with `input`, sets the output `child` to its id, and computes for
//! ever.

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
fn busy_parent(this: &Execution, plan: Input<Plan>) -> Result<Outputs, FlowError> {
    let child = this.children().new_child(plan.flow.as_str(), &plan.input)?;
    let child = if plan.detached { child.detached() } else { child };
    this.set_output("child", &child.start()?.id())?;
    loop {
        std::hint::black_box(());
    }
}
