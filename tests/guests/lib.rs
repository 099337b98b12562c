//! Flows that test the host: some help to look at what it does, the others try to harm it.
//!
//! Each is a file and an example of this crate; `cargo xtask guests` builds them into `target/guests/<name>.wasm`. Here is
//! what they share. Built natively they are empty, since they speak to a host.

use data_encoding::BASE64;
use flowhost_guest::{FlowError, FromInput, HostError, Outputs, Request, json};
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

/// A request as the request interface has it. Bodies and header values are bytes: `text` where they are UTF-8, `base64`
/// always.
pub fn described(request: &Request) -> Value {
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
