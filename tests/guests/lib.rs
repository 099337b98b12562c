//! Flows that test the host: some help to look at what it does, the others try to harm it.
//!
//! Each is a file and an example of this crate; `cargo xtask guests` builds them into `target/guests/<name>.wasm`. Here is
//! what they share. Built natively they are empty, since they speak to a host.

use flowhost_guest::{FlowError, FromInput};
use serde_json::Value;

/// A flow's input as the host wrote it, the webhook call around the payload included.
pub struct WholeInput(pub Value);

impl FromInput for WholeInput {
    fn from_input(json: &str) -> Result<Self, FlowError> {
        Ok(Self(serde_json::from_str(json)?))
    }
}
