//! What `#[flow]` expands to. Not part of the stable API.

use serde::de::IgnoredAny;

use crate::{Execution, FlowError, FromInput, Input, Outputs};

/// The input of a flow that looks at none.
pub type AnyInput = Input<IgnoredAny>;

/// Reads a flow's input, runs it on `this` and writes its outputs.
fn run_on<I: FromInput>(
    this: &Execution,
    input: &str,
    flow: impl FnOnce(&Execution, I) -> Result<Outputs, FlowError>,
) -> Result<String, FlowError> {
    Ok(flow(this, I::from_input(input)?)?.to_string())
}

/// Runs a flow as the host does.
#[cfg(target_family = "wasm")]
pub fn run<I: FromInput>(
    input: &str,
    flow: impl FnOnce(&Execution, I) -> Result<Outputs, FlowError>,
) -> Result<String, FlowError> {
    crate::panic::report_to_host();
    run_on(&Execution { backend: crate::backend::Backend }, input, flow)
}

/// Runs a flow natively; its types are checked there as they are for the host.
#[cfg(not(target_family = "wasm"))]
pub fn run<I: FromInput>(
    input: &str,
    flow: impl FnOnce(&Execution, I) -> Result<Outputs, FlowError>,
) -> Result<String, FlowError> {
    run_on(&Execution::for_test(), input, flow)
}

/// A flow's failure as the contract has it.
#[cfg(target_family = "wasm")]
impl From<FlowError> for crate::bindings::exports::flowhost::flow::handler::FlowError {
    fn from(error: FlowError) -> Self {
        Self {
            message: error.message().into(),
            code: error.code().map(Into::into),
            details: error.details().map(ToString::to_string),
            retryable: error.is_retryable(),
        }
    }
}

/// Exports a function from JSON to JSON as the flow of this component.
#[cfg(target_family = "wasm")]
#[doc(hidden)]
#[macro_export]
macro_rules! export_flow {
    ($run:path) => {
        struct Flow;

        impl $crate::bindings::exports::flowhost::flow::handler::Guest for Flow {
            fn run(
                input: ::std::string::String,
            ) -> ::core::result::Result<
                ::std::string::String,
                $crate::bindings::exports::flowhost::flow::handler::FlowError,
            > {
                $run(&input).map_err(::core::convert::Into::into)
            }
        }

        #[allow(unsafe_code)]
        const _: () = {
    $crate::bindings::export!(Flow with_types_in $crate::bindings);
        };
    };
}
#[cfg(target_family = "wasm")]
pub use crate::export_flow;
