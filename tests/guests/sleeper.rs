//! Sleeps for the milliseconds of its payload's `ms` and says how long that took by its own clock.

#![cfg(target_family = "wasm")]

use std::time::{Duration, Instant};

use flowhost_guest::{Execution, FlowError, Input, Outputs, flow};
use serde::Deserialize;

#[derive(Deserialize)]
struct Nap {
    ms: u64,
}

#[flow]
fn sleeper(this: &Execution, input: Input<Nap>) -> Result<Outputs, FlowError> {
    this.progress("asleep");
    let start = Instant::now();
    std::thread::sleep(Duration::from_millis(input.ms));
    this.progress("awake");
    Ok(Outputs::new().set("slept_ms", u64::try_from(start.elapsed().as_millis())?))
}
