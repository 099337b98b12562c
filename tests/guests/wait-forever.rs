//! Sleeps for a day. Logs `asleep` before.

#![cfg(target_family = "wasm")]

use std::time::Duration;

use flowhost_guest::{Execution, FlowError, Outputs, flow};

#[flow]
fn wait_forever(this: &Execution) -> Result<Outputs, FlowError> {
    this.info("asleep");
    this.sleep().for_duration(Duration::from_secs(24 * 60 * 60))?;
    Ok(Outputs::new())
}
