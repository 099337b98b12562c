//! `wasi:http/outgoing-handler`: requests to the outside as the HTTP clients of many languages make them.
//!
//! Under the rules of `flowhost:flow/http`, and through the same two journal points. Bodies are buffered: a request leaves when
//! its body is finished, a response is there when it is complete. So nothing that a flow sees depends on the speed of a network,
//! but for the points themselves.

// The generated code re-exports what stands for its resources.
#![allow(unreachable_pub)]

mod bindings;
mod body;
mod error_code;
mod fields;
mod future_response;
mod options;
mod request;
mod response;
mod serving;

use flowhost_engine::{State, WholeState};
use wasmtime::component::Linker;

use self::bindings::wasi::http::{outgoing_handler, types};
use crate::capability::Capability;

/// The capability `wasi:http`.
pub(super) struct WasiHttpCapability;

impl Capability for WasiHttpCapability {
    fn interfaces(&self) -> &[&str] {
        &["wasi:http/types", "wasi:http/outgoing-handler"]
    }

    fn link(&self, linker: &mut Linker<State>) -> wasmtime::Result<()> {
        types::add_to_linker::<_, WholeState>(linker, |state| state)?;
        outgoing_handler::add_to_linker::<_, WholeState>(linker, |state| state)
    }
}

impl types::Host for State {
    fn http_error_code(
        &mut self,
        _error: wasmtime::component::Resource<wasmtime_wasi_io::streams::Error>,
    ) -> wasmtime::Result<Option<types::ErrorCode>> {
        // Streams are in memory: what goes wrong on the way is told by the future.
        Ok(None)
    }
}
