//! Says what the clocks and the sources of randomness give, to be compared between runs.

#![cfg(target_family = "wasm")]

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::time::{Instant, SystemTime};

use data_encoding::HEXLOWER;
use flowhost_guest::{FlowError, Outputs, flow};

#[flow]
fn clock_random() -> Result<Outputs, FlowError> {
    let start = Instant::now();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let mut random = [0; 16];
    getrandom::fill(&mut random)?;
    let order: HashSet<u32> = (0..16).collect();
    Ok(Outputs::new()
        .set("now_us", u64::try_from(now.as_micros())?)
        .set("elapsed_ns", u64::try_from(start.elapsed().as_nanos())?)
        .set("random", HEXLOWER.encode(&random))
        .set("hash", RandomState::new().hash_one("flow").to_string())
        .set("hash_order", order.into_iter().collect::<Vec<_>>()))
}
