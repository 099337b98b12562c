//! Sleeps for its payload's `for_ms`, until `until` (microseconds since 1970), or by WASI for `wasi_ms`; `times` times, once
//! unless given.
//!
//! Logs `nap N begins` before and `nap N ends` after each, N counted from 1, and returns its clock in microseconds around each
//! as `naps`: `[{"before", "after"}]`. A refused sleep fails it with the sleep's code.

#![cfg(target_family = "wasm")]

use std::time::{Duration, SystemTime};

use flowhost_guest::{Execution, FlowError, Input, Outputs, flow, json};
use serde::Deserialize;

#[derive(Deserialize)]
struct Plan {
    for_ms: Option<u64>,
    until: Option<u64>,
    wasi_ms: Option<u64>,
    times: Option<u32>,
}

#[flow]
fn nap(this: &Execution, plan: Input<Plan>) -> Result<Outputs, FlowError> {
    let mut naps = Vec::new();
    for number in 1..=plan.times.unwrap_or(1) {
        let before = clock()?;
        this.info(format_args!("nap {number} begins"));
        if let Some(milliseconds) = plan.for_ms {
            this.sleep().for_duration(Duration::from_millis(milliseconds))?;
        }
        if let Some(time) = plan.until {
            this.sleep().until(SystemTime::UNIX_EPOCH + Duration::from_micros(time))?;
        }
        if let Some(milliseconds) = plan.wasi_ms {
            std::thread::sleep(Duration::from_millis(milliseconds));
        }
        this.info(format_args!("nap {number} ends"));
        naps.push(json!({ "before": before, "after": clock()? }));
    }
    Ok(Outputs::new().set("naps", naps))
}

fn clock() -> Result<u64, FlowError> {
    Ok(u64::try_from(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_micros())?)
}
