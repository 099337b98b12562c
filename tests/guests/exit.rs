//! Ends its process with the status of its payload, a number, in place of returning.

#![cfg(target_family = "wasm")]

use flowhost_guest::{FlowError, Input, Outputs, flow};

#[flow]
fn exit(input: Input<i32>) -> Result<Outputs, FlowError> {
    std::process::exit(input.json)
}
