//! Panics with the message of its payload, a string, after it has logged a line and set an output.

#![cfg(target_family = "wasm")]

use flowhost_guest::{Execution, FlowError, Input, Outputs, flow};

#[flow]
fn panics(this: &Execution, input: Input<Option<String>>) -> Result<Outputs, FlowError> {
    this.info("about to panic");
    this.set_output("reached", &true)?;
    panic!("{}", input.as_deref().unwrap_or("the test wants a panic"));
}
