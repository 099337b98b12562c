//! What an execution that ended well has added to counters.

use serde_json::Value;

/// The counter of the guest `replayed`.
const TURN: &str = "replayed.turn";

/// What an execution of this flow with this payload adds, in all: the names of counters, and by how much.
pub(crate) fn adds(flow: &str, payload: &Value) -> Vec<(String, i64)> {
    let number = |value: &Value| value.as_i64().unwrap_or(1);
    let name = |value: &Value| value["name"].as_str().unwrap_or_default().to_owned();
    match flow {
        "counter" => vec![(name(payload), number(&payload["by"]) * number(&payload["times"]))],
        "replayed" => vec![(TURN.to_owned(), 1)],
        "settings" => {
            let ops = payload["ops"].as_array().into_iter().flatten();
            ops.filter(|op| op["op"] == "increment").map(|op| (name(op), number(&op["by"]))).collect()
        }
        _ => Vec::new(),
    }
}
