//! The sandbox: wasmtime, configured once, running one flow per instance within a budget.
//!
//! [`Engine`] compiles components ([`Engine::load`]) and makes them callable ([`Program`]); [`Program::invoke`] runs one
//! call in a fresh store and says how it ended ([`Outcome`]). What a flow may import beside WASI is added by whoever builds
//! the engine, through [`EngineBuilder::link`]: this crate knows no HTTP and no SQL.

mod artifact;
mod bindings;
mod budget;
mod clock;
mod compile;
mod config;
mod contract;
mod engine;
mod error;
mod guest_threads;
mod handler;
mod host_memory;
mod invoke;
mod journal;
mod log;
mod mask;
mod memory;
mod metadata;
mod meter;
mod names;
mod outcome;
mod state;
mod ticker;
mod trace;
mod wait;
mod wasi;

pub use artifact::ArtifactCache;
pub use budget::Budget;
pub use clock::{Clock, SystemClock};
pub use compile::{CompileLimits, Compiler, worker_main};
pub use config::Pooling;
pub use contract::Contract;
pub use engine::{Engine, EngineBuilder, Program};
pub use error::{CompileError, EngineError, InvalidComponent};
pub use invoke::Invocation;
pub use journal::{Call, Divergence, Journal, Kept, Step};
pub use log::{Log, LogFull};
pub use mask::{Mask, Unmasked};
pub use memory::{HeldMemory, HostMemory};
pub use outcome::{Ending, FlowError, LimitedOutput, Outcome, Report, Suspended};
pub use state::{Slots, State, WholeState};
pub use wait::{Event, Hold, Holder, Residence, StaysInMemory, WaitLimit, Waited};
pub use wasmtime;
