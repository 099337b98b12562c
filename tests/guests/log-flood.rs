//! Logs for ever.

#![cfg(target_family = "wasm")]

use flowhost_guest::{Execution, FlowError, Outputs, flow};

#[flow]
fn log_flood(this: &Execution) -> Result<Outputs, FlowError> {
    loop {
        this.info(
            "the same line again, long enough that a budget of some kilobytes is soon used up by it and its like",
        );
    }
}
