//! Takes handles of its request for ever and gives none back.

#![cfg(target_family = "wasm")]

use flowhost_guest::{Execution, FlowError, Outputs, flow};

#[flow]
fn handle_flood(this: &Execution) -> Result<Outputs, FlowError> {
    let mut held = 0_u32;
    while let Some(request) = this.request() {
        std::mem::forget(request);
        held += 1;
    }
    Ok(Outputs::new().set("held", held))
}
