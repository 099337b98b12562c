//! Answers everything that it can learn about its start: the whole input, and the request as the request interface has it.

#![cfg(target_family = "wasm")]

use data_encoding::BASE64;
use flowhost_guest::{Execution, FlowError, Mode, Outputs, Request, flow, json};
use serde_json::Value;
use test_guests::WholeInput;

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

/// Bodies and header values are bytes: `text` where they are UTF-8, `base64` always.
fn described(request: &Request) -> Value {
    let headers: Vec<Value> = request.headers().iter().map(|(name, value)| json!([name, bytes(value)])).collect();
    let body = request.body();
    json!({
        "method": request.method(),
        "path": request.path(),
        "query": request.query(),
        "headers": headers,
        "user_agent": request.header("User-Agent").map(|value| bytes(&value)),
        "body_length": body.len(),
        "body": bytes(&body),
        "body_is_exact": request.body_is_exact(),
    })
}

fn bytes(bytes: &[u8]) -> Value {
    json!({ "text": std::str::from_utf8(bytes).ok(), "base64": BASE64.encode(bytes) })
}
