//! Flows that test the host: some help to look at what it does, the others try to harm it.
//!
//! Each is a file and an example of this crate; `cargo xtask guests` builds them into `target/guests/<name>.wasm`. Here is
//! what they share. Built natively they are empty, since they speak to a host.

use flowhost_guest::{FlowError, FromInput, HostError, Outputs, json};
use serde::Deserialize;
use serde_json::Value;

/// A flow's input as the host wrote it, the webhook call around the payload included.
pub struct WholeInput(pub Value);

impl FromInput for WholeInput {
    fn from_input(json: &str) -> Result<Self, FlowError> {
        Ok(Self(serde_json::from_str(json)?))
    }
}

/// The payload of a flow that performs operations.
#[derive(Deserialize)]
pub struct Plan<O> {
    /// What is performed, one after the other.
    pub ops: Vec<O>,
}

/// Performs operations, one after the other; the output `results` has what each gave, as [`told`] has it.
pub fn results<O>(ops: impl IntoIterator<Item = O>, perform: impl FnMut(O) -> Result<Value, HostError>) -> Outputs {
    let results: Vec<Value> = ops.into_iter().map(perform).map(told).collect();
    Outputs::new().set("results", results)
}

/// What an operation gave: `{"ok": what it gave}` or `{"code", "message"}`.
pub fn told(done: Result<Value, HostError>) -> Value {
    match done {
        Ok(given) => json!({ "ok": given }),
        Err(refused) => json!({ "code": refused.code(), "message": refused.message() }),
    }
}
