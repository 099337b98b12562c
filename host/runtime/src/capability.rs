//! What a flow may do beside computing: one interface, one module.
//!
//! A capability is added to a host by [`HostBuilder::capability`](crate::HostBuilder::capability), the host's own and an
//! embedder's alike.

mod acting;
mod bindings;
mod children;
mod drafts;
mod exchanges;
mod execution;
mod files;
mod http;
mod locks;
mod messages;
mod records;
mod refusal;
mod request;
mod response;
mod secrets;
mod settings;
mod sleep;
mod wasi_http;

use std::sync::Arc;

use flowhost_engine::{Call, Log, Slots, State};
use flowhost_model::{RecordId, RequestRecord, Timestamp};
use serde::Serialize;
use wasmtime::component::Linker;

use self::refusal::Told;

use crate::execution::Live;
use crate::host::Host;

/// The host's own capabilities.
pub(crate) fn own() -> Vec<Box<dyn Capability>> {
    vec![
        Box::new(execution::ExecutionCapability),
        Box::new(request::RequestCapability),
        Box::new(response::ResponseCapability),
        Box::new(settings::SettingsCapability),
        Box::new(sleep::SleepCapability),
        Box::new(children::ChildrenCapability),
        Box::new(files::FilesCapability),
        Box::new(http::HttpCapability),
        Box::new(locks::LocksCapability),
        Box::new(messages::MessagesCapability),
        Box::new(secrets::SecretsCapability),
        Box::new(wasi_http::WasiHttpCapability),
        Box::new(records::RecordsCapability),
    ]
}

/// The host, and the execution whose flow calls it.
fn asking(state: &mut State) -> wasmtime::Result<(Host, Arc<Live>)> {
    let context = state.slot::<ExecutionContext>()?;
    Ok((context.host().clone(), context.live().clone()))
}

/// Passes the journal point with what a flow is told. A durable execution is not told that the storage fails: it leaves memory,
/// and makes the call again later.
///
/// Error: to be returned to wasmtime at once.
fn tell<T: Serialize>(state: &mut State, call: Call, told: &Told<T>) -> wasmtime::Result<()> {
    postpone_if_failed(state, told)?;
    state.record(call, told)
}

/// Error: a durable execution was refused something because the storage fails.
fn postpone_if_failed<T>(state: &mut State, told: &Told<T>) -> wasmtime::Result<()> {
    if let Err(refused) = told
        && refusal::is_of_storage(refused)
    {
        let (host, live) = asking(state)?;
        if live.may_be_postponed() {
            return Err(host.postpone(state, &refused.message));
        }
    }
    Ok(())
}

/// An interface that flows may import, and what implements it.
pub trait Capability: Send + Sync + 'static {
    /// The interfaces, by name without version: `acme:billing/invoices`. An upload may import these.
    fn interfaces(&self) -> &[&str];

    /// Links the functions of the interfaces. Called once, when the host is built.
    fn link(&self, linker: &mut Linker<State>) -> wasmtime::Result<()>;

    /// Puts what the functions need for this execution into a slot of the capability's own type. Called before each call
    /// of a flow; [`State::slot`] finds it again. The [`ExecutionContext`] itself is always in a slot of its own.
    fn prepare(&self, _execution: &ExecutionContext, _slots: &mut Slots) {}
}

/// The execution that a capability is prepared for.
#[derive(Clone)]
pub struct ExecutionContext {
    host: Host,
    live: Arc<Live>,
}

impl ExecutionContext {
    pub(crate) fn new(host: Host, live: Arc<Live>) -> Self {
        Self { host, live }
    }

    pub(crate) fn host(&self) -> &Host {
        &self.host
    }

    pub(crate) fn live(&self) -> &Arc<Live> {
        &self.live
    }

    /// The execution's id.
    pub fn id(&self) -> RecordId {
        self.live.id
    }

    /// The name of the flow that runs.
    pub fn flow_name(&self) -> &str {
        &self.live.start.flow.name
    }

    /// Whether it runs in productive mode.
    pub fn is_productive(&self) -> bool {
        self.live.start.is_productive
    }

    /// When the host ends it, if it is still running then and waited for nothing.
    pub fn deadline(&self) -> Timestamp {
        self.live.deadline()
    }

    /// The execution's log.
    pub fn log(&self) -> &Arc<Log> {
        &self.live.log
    }

    /// A copy of the request that it serves; none where something else started it.
    pub fn request(&self) -> Option<RequestRecord> {
        self.live.start.request.as_ref().map(|request| request.to_record())
    }
}
