//! Answers everything that it can learn about its start: the whole input, and the request as the request interface has it.

#![cfg(target_family = "wasm")]

use flowhost_guest::{Execution, FlowError, Mode, Outputs, flow};
use test_guests::{WholeInput, described};

#[flow]
fn echo(this: &Execution, input: WholeInput) -> Result<Outputs, FlowError> {
    let deadline = this.deadline().duration_since(std::time::UNIX_EPOCH)?;
    Ok(Outputs::new()
        .set("input", input.0)
        .set("request", this.request().as_ref().map(described))
        .set("id", this.id())
        .set("name", this.name())
        .set("productive", this.mode() == Mode::Productive)
        .set("deadline_seconds", deadline.as_secs()))
}
