//! Leaves its payload in a global and says what an earlier call left there.
//!
//! In a fresh instance that is nothing: `calls` is 1 and `found` is null.

#![cfg(target_family = "wasm")]

use std::cell::Cell;

use flowhost_guest::{FlowError, Input, Outputs, flow};
use serde_json::Value;

thread_local! {
    static CALLS: Cell<u32> = const { Cell::new(0) };
    static LEFT: Cell<Option<Value>> = const { Cell::new(None) };
}

#[flow]
fn canary(input: Input<Value>) -> Result<Outputs, FlowError> {
    let calls = CALLS.get() + 1;
    CALLS.set(calls);
    let found = LEFT.replace(Some(input.json.clone()));
    Ok(Outputs::new().set("calls", calls).set("found", found))
}
