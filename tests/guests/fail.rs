//! Fails with the error that its payload describes.

#![cfg(target_family = "wasm")]

use flowhost_guest::{FlowError, Input, Outputs, flow};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Wanted {
    message: String,
    code: Option<String>,
    details: Option<Value>,
    #[serde(default)]
    retryable: bool,
}

#[flow]
fn fail(input: Input<Wanted>) -> Result<Outputs, FlowError> {
    let wanted = input.json;
    let mut error = FlowError::new(wanted.message);
    if let Some(code) = wanted.code {
        error = error.with_code(code);
    }
    if let Some(details) = wanted.details {
        error = error.with_details(details);
    }
    Err(if wanted.retryable { error.retryable() } else { error })
}
