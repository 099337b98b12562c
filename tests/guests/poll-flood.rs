//! Holds thousands of timers, and polls a list that names them again and again: as long as its payload's `polled` says.

#![cfg(target_family = "wasm")]

use flowhost_guest::{FlowError, Input, Outputs, flow};
use serde::Deserialize;
use wasip2::clocks::monotonic_clock::subscribe_instant;
use wasip2::io::poll::poll;

/// Each takes two places among the handles.
const TIMERS: usize = 4_900;

#[derive(Deserialize)]
struct Plan {
    polled: usize,
}

#[flow]
fn poll_flood(plan: Input<Plan>) -> Result<Outputs, FlowError> {
    let timers: Vec<_> = (0..TIMERS).map(|_| subscribe_instant(0)).collect();
    // The last ones: where they are looked for in turn, they take the longest.
    let polled: Vec<_> = timers.iter().rev().take(10).cycle().take(plan.polled).collect();
    Ok(Outputs::new().set("ready", poll(&polled).len()))
}
