//! Takes memory and writes to all of it: as many MiB as its payload's `mib` says, else until there is no more.

#![cfg(target_family = "wasm")]

use flowhost_guest::{Execution, FlowError, Input, Outputs, flow};
use serde::Deserialize;

const MIB: usize = 1024 * 1024;

#[derive(Default, Deserialize)]
struct Appetite {
    mib: Option<usize>,
}

#[flow]
fn memory_bomb(this: &Execution, input: Input<Option<Appetite>>) -> Result<Outputs, FlowError> {
    let wanted = input.json.unwrap_or_default().mib.unwrap_or(usize::MAX);
    let mut taken = Vec::new();
    while taken.len() < wanted {
        taken.push(std::hint::black_box(vec![0xa5_u8; MIB]));
        if taken.len() % 16 == 0 {
            this.progress(format_args!("{} MiB", taken.len()));
        }
    }
    Ok(Outputs::new().set("mib", taken.len()))
}
