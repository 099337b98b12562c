//! What tests of requests to the outside do, whichever client the flow has.

use flowhost_tests::scene::items;
use flowhost_tests::{Host, Webhook};
use serde_json::{Value, json};

/// A GET, as the guests take it.
pub(crate) fn get(url: impl Into<String>) -> Value {
    json!({ "url": url.into() })
}

/// What requests sent one after the other gave.
pub(crate) fn send(host: &Host, webhook: &Webhook, requests: &[Value]) -> Vec<Value> {
    let steps: Vec<Value> = requests.iter().map(|request| json!({ "send": [request] })).collect();
    let answer = webhook.call(host, &json!({ "steps": steps })).send().ok();
    items(&answer["output_value"]["results"]).clone()
}
