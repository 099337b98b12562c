//! Calls itself until the stack is used up.

#![cfg(target_family = "wasm")]

use std::hint::black_box;

use flowhost_guest::{FlowError, Outputs, flow};

#[flow]
fn deep_recursion() -> Result<Outputs, FlowError> {
    Ok(Outputs::new().set("depth", dive(black_box(1))))
}

fn dive(depth: u64) -> u64 {
    let here = black_box([depth; 4]);
    if black_box(depth) == u64::MAX { depth } else { dive(here[0].wrapping_add(1)).wrapping_add(black_box(here)[3]) }
}
