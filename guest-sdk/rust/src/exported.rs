//! What `#[flow]` expands to. Not part of the stable API.

use serde::de::IgnoredAny;

use crate::{Execution, FlowError, FromInput, Input, Outputs};

/// The input of a flow that looks at none.
pub type AnyInput = Input<IgnoredAny>;

/// Runs a flow from JSON to JSON: on the host's execution in a component, natively on one in memory, so that native builds
/// check the same types.
pub fn run<I: FromInput>(
    input: String,
    flow: impl FnOnce(&Execution, I) -> Result<Outputs, FlowError>,
) -> Result<String, FlowError> {
    #[cfg(target_family = "wasm")]
    let this = crate::backend::started();
    #[cfg(not(target_family = "wasm"))]
    let this = Execution::for_test();
    let read = I::from_input(&input)?;
    // The flow may be one that needs the memory.
    drop(input);
    flow(&this, read)?.into_json()
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
                $run(input).map_err(::core::convert::Into::into)
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
