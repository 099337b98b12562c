//! Answers with the request as it has it `before` and `after` it has asked by a message whether to go on.

#![cfg(target_family = "wasm")]

use std::time::Duration;

use flowhost_guest::{Execution, FlowError, Outputs, flow, json};
use serde_json::Value;
use test_guests::described;

#[flow]
fn request(this: &Execution) -> Result<Outputs, FlowError> {
    let seen = || json!(this.request().as_ref().map(described));
    let before = seen();
    let _yes: Value = this.messages().new_message("Go on?").send()?.wait(Some(Duration::from_secs(24 * 60 * 60)))?;
    Ok(Outputs::new().set("before", before).set("after", seen()))
}
