//! Increments the settings `unstable.first` and `unstable.second`, sleeps for its payload's `for_ms`, and increments
//! `unstable.third`.
//!
//! `unstable-b` takes the same payload and does otherwise: a test that puts one's component in the other's place while the
//! execution sleeps has a flow that differs when it is run again, which no flow that keeps to its contract does.

#![cfg(target_family = "wasm")]

use std::time::Duration;

use flowhost_guest::{Execution, FlowError, Input, Outputs, flow};
use serde::Deserialize;

#[derive(Deserialize)]
struct Plan {
    for_ms: u64,
}

#[flow]
fn unstable(this: &Execution, plan: Input<Plan>) -> Result<Outputs, FlowError> {
    this.settings().increment("unstable.first", 1)?;
    this.settings().increment("unstable.second", 1)?;
    this.sleep().for_duration(Duration::from_millis(plan.for_ms))?;
    this.settings().increment("unstable.third", 1)?;
    Ok(Outputs::new().set("variant", "a"))
}
