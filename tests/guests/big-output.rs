//! Returns one string of as many bytes as its payload's `bytes` says, or sets it as an output where `set` is true.

#![cfg(target_family = "wasm")]

use flowhost_guest::{Execution, FlowError, Input, Outputs, flow};
use serde::Deserialize;

#[derive(Deserialize)]
struct Wanted {
    bytes: usize,
    #[serde(default)]
    set: bool,
}

#[flow]
fn big_output(this: &Execution, input: Input<Wanted>) -> Result<Outputs, FlowError> {
    let big = "x".repeat(input.bytes);
    if input.set {
        this.set_output("big", &big)?;
        return Ok(Outputs::new());
    }
    Ok(Outputs::new().set("big", big))
}
