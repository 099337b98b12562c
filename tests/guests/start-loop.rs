//! Computes for ever before its handler is called: in a constructor, which runs with the first call of the instance.

#![cfg(target_family = "wasm")]
// A constructor is placed by its section, which is more than safe Rust can vouch for.
#![allow(unsafe_code)]

use flowhost_guest::{FlowError, Outputs, flow};

#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: extern "C" fn() = spin;

extern "C" fn spin() {
    loop {
        std::hint::black_box(());
    }
}

#[flow]
fn start_loop() -> Result<Outputs, FlowError> {
    Ok(Outputs::new())
}
