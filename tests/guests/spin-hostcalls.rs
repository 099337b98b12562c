//! Calls the host for ever, each call a cheap one.

#![cfg(target_family = "wasm")]

use flowhost_guest::{Execution, FlowError, Outputs, flow};

#[flow]
fn spin_hostcalls(this: &Execution) -> Result<Outputs, FlowError> {
    loop {
        std::hint::black_box(this.mode());
    }
}
