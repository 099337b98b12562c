//! Returns a JSON array, which is no object.

#![cfg(target_family = "wasm")]

use flowhost_guest::FlowError;

flowhost_guest::exported::export_flow!(run);

fn run(_input: String) -> Result<String, FlowError> {
    Ok("[1, 2, 3]".into())
}
