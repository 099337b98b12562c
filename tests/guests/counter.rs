//! Increments the setting of its payload's `name` by `by` (1 unless given), `times` times (once unless given), and returns the
//! `sums`.

#![cfg(target_family = "wasm")]

use flowhost_guest::{Execution, FlowError, Input, Outputs, flow};
use serde::Deserialize;

#[derive(Deserialize)]
struct Plan {
    name: String,
    #[serde(default = "one")]
    by: i64,
    #[serde(default = "one")]
    times: i64,
}

fn one() -> i64 {
    1
}

#[flow]
fn counter(this: &Execution, plan: Input<Plan>) -> Result<Outputs, FlowError> {
    let mut sums = Vec::new();
    for _ in 0..plan.times {
        sums.push(this.settings().increment(&plan.name, plan.by)?);
    }
    Ok(Outputs::new().set("sums", sums))
}
