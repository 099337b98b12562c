//! Hands text that is not JSON to every call that takes JSON, and says which error each gave.

#![cfg(target_family = "wasm")]

use flowhost_guest::bindings::exports::flowhost::flow::handler::{FlowError, Guest};
use flowhost_guest::bindings::flowhost::flow::execution;

struct Flow;

impl Guest for Flow {
    fn run(input: String) -> Result<String, FlowError> {
        let refused = execution::set_output("odd", "not json");
        if let Err(error) = &refused {
            execution::log(execution::Level::Info, &error.message, None);
        }
        if input.contains("fail") {
            let details = Some("not json".into());
            return Err(FlowError { message: "with odd details".into(), code: None, details, retryable: false });
        }
        Ok(flowhost_guest::json!({ "code": refused.err().map(|error| error.code) }).to_string())
    }
}

flowhost_guest::bindings::export!(Flow with_types_in flowhost_guest::bindings);
