//! Telling the host of a panic before it aborts the instance.

use std::panic;

use crate::bindings::flowhost::flow::execution;

/// Makes every later panic end the execution with its message and place.
pub(crate) fn report_to_host() {
    panic::set_hook(Box::new(|panic| {
        let message = panic.payload_as_str().unwrap_or("a panic without a message");
        let place = panic.location().map(ToString::to_string);
        execution::report_panic(message, place.as_deref());
    }));
}
