//! Returns text that is not JSON.

#![cfg(target_family = "wasm")]

use flowhost_guest::FlowError;

flowhost_guest::exported::export_flow!(run);

fn run(_input: String) -> Result<String, FlowError> {
    Ok("not json".into())
}
