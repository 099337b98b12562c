//! Executes `unreachable`, which traps without a panic.

#![cfg(target_family = "wasm")]

use flowhost_guest::{FlowError, Outputs, flow};

#[flow]
fn trap() -> Result<Outputs, FlowError> {
    core::arch::wasm32::unreachable()
}
