//! Writes to standard output for ever: lines, or with the payload `"no-newline"` one line that never ends.

#![cfg(target_family = "wasm")]

use std::io::Write;

use flowhost_guest::{FlowError, Input, Outputs, flow};

#[flow]
fn stdout_flood(input: Input<Option<String>>) -> Result<Outputs, FlowError> {
    let text: &[u8] = if input.as_deref() == Some("no-newline") { b"and on and on " } else { b"another line\n" };
    let mut output = std::io::stdout().lock();
    loop {
        output.write_all(text)?;
        output.flush()?;
    }
}
