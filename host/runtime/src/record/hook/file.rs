//! Files.

use data_encoding::BASE64;
use serde_json::Value;

use super::{Draft, refuse};
use crate::problem::Problem;

/// The largest content, in bytes as it is sent. Larger files have the flow API's own way.
const CONTENT_LIMIT: usize = 1 << 20;

/// Checks that a binary file's content is base64.
pub(super) fn prepare(draft: &mut Draft) -> Result<(), Problem> {
    let content = draft.body.get("content").and_then(Value::as_str).unwrap_or_default();
    if content.len() > CONTENT_LIMIT {
        return Err(refuse("content", format!("has {} bytes, at most {CONTENT_LIMIT} are allowed", content.len())));
    }
    if draft.body.get("is_binary") == Some(&Value::Bool(true)) {
        BASE64.decode(content.as_bytes()).map_err(|error| refuse("content", format!("is not base64: {error}")))?;
    }
    Ok(())
}
