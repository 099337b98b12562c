//! Computes for ever without calling the host.

#![cfg(target_family = "wasm")]

use flowhost_guest::{FlowError, Outputs, flow};

#[flow]
fn spin() -> Result<Outputs, FlowError> {
    let mut count = 0_u64;
    loop {
        count = std::hint::black_box(count.wrapping_add(1));
    }
}
