//! `flowhost:flow/request`: the webhook request that a flow serves.
//!
//! The request is kept with the execution as long as it may run again, so that reading it is no journal point.

use std::sync::Arc;

use flowhost_engine::{Slots, State, WholeState};
use wasmtime::component::{Linker, Resource};

use crate::capability::{Capability, ExecutionContext};
use crate::webhook::IncomingRequest;

use super::bindings::flowhost::flow::request;

/// The capability `request`.
pub(crate) struct RequestCapability;

/// What a flow's handle stands for. The generated code re-exports it.
#[allow(unreachable_pub)]
pub struct Held(Arc<IncomingRequest>);

struct Slot(Option<Arc<IncomingRequest>>);

impl Capability for RequestCapability {
    fn interfaces(&self) -> &[&str] {
        &["flowhost:flow/request"]
    }

    fn link(&self, linker: &mut Linker<State>) -> wasmtime::Result<()> {
        request::add_to_linker::<_, WholeState>(linker, |state| state)
    }

    fn prepare(&self, execution: &ExecutionContext, slots: &mut Slots) {
        slots.insert(Slot(execution.live().start.request.clone()));
    }
}

fn held(state: &mut State, handle: &Resource<Held>) -> wasmtime::Result<Arc<IncomingRequest>> {
    Ok(state.table.get(handle)?.0.clone())
}

impl request::Host for State {
    fn current(&mut self) -> wasmtime::Result<Option<Resource<Held>>> {
        match self.slot::<Slot>()?.0.clone() {
            Some(request) => self.push_resource(Held(request)).map(Some),
            None => Ok(None),
        }
    }
}

impl request::HostIncomingRequest for State {
    fn method(&mut self, handle: Resource<Held>) -> wasmtime::Result<String> {
        Ok(held(self, &handle)?.method.to_string())
    }

    fn path(&mut self, handle: Resource<Held>) -> wasmtime::Result<String> {
        Ok(held(self, &handle)?.path.clone())
    }

    fn query(&mut self, handle: Resource<Held>) -> wasmtime::Result<Option<String>> {
        Ok(held(self, &handle)?.query.clone())
    }

    fn headers(&mut self, handle: Resource<Held>) -> wasmtime::Result<Vec<(String, Vec<u8>)>> {
        let request = held(self, &handle)?;
        Ok(request.headers.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect())
    }

    fn header(&mut self, handle: Resource<Held>, name: String) -> wasmtime::Result<Vec<Vec<u8>>> {
        let request = held(self, &handle)?;
        Ok(request.headers.get_all(name).iter().map(|value| value.as_bytes().to_vec()).collect())
    }

    fn body(&mut self, handle: Resource<Held>) -> wasmtime::Result<Vec<u8>> {
        Ok(held(self, &handle)?.body.to_vec())
    }

    fn body_is_exact(&mut self, handle: Resource<Held>) -> wasmtime::Result<bool> {
        Ok(held(self, &handle)?.body_is_exact)
    }

    fn drop(&mut self, handle: Resource<Held>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}
