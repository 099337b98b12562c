//! Reads the setting of its payload's `name`, or one that there is hardly, `count` times, and returns how often it did: `done`.
//!
//! The output `done` is also set after every thousand, for what ends it before.

#![cfg(target_family = "wasm")]

use flowhost_guest::{Execution, FlowError, Input, Outputs, flow};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Plan {
    count: u32,
    #[serde(default = "hardly")]
    name: String,
}

fn hardly() -> String {
    "hostcalls".into()
}

#[flow]
fn hostcalls(this: &Execution, plan: Input<Plan>) -> Result<Outputs, FlowError> {
    for done in 1..=plan.count {
        this.settings().get::<Value>(&plan.name)?;
        if done % 1000 == 0 {
            this.set_output("done", &done)?;
        }
    }
    Ok(Outputs::new().set("done", plan.count))
}
