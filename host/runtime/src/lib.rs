//! flowhost as a library: a host that runs flows, sandboxed and recorded, inside of your own program.
//!
//! `docs/embedding.md` begins with an example and says what to know.
//!
//! There is no global state: two hosts in one process know nothing of each other. `flowhost-server` is built on what is
//! public here and on nothing else.

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests have no clock but the machine's"))]

mod access;
mod activity;
mod actor;
pub mod audit;
mod bootstrap;
mod budgets;
mod caller;
pub mod capability;
mod data_folder;
mod execution;
mod failure_counts;
mod flow;
mod host;
mod identity;
mod input;
mod json_schema;
mod limits;
mod lock;
mod message;
mod operator_token;
mod outgoing;
mod pool;
mod problem;
mod record;
mod secret;
mod setting;
mod snapshot;
mod ticket;
pub mod webhook;

pub use access::{Access, Reach};
pub use budgets::MemoryBudgets;
pub use caller::CallerNetwork;
pub use capability::{Capability, ExecutionContext};
pub use execution::{CutOff, ExecutionView, FileBody, FlowAnswer, FlowBody, StreamedBody};
pub use flow::{Deployed, Missing};
pub use flowhost_engine::{
    Call, Clock, Compiler, Event, Pooling, Slots, State, SystemClock, WaitLimit, Waited, WholeState, wasmtime,
    worker_main,
};
pub use flowhost_model as model;
pub use flowhost_store as store;
pub use host::{Host, HostBuilder, HostInfo, LookingTurn, Reader};
pub use identity::{Identity, IssuedToken, LoggedIn, Login, NewToken, SESSION_COOKIE};
pub use ipnet::IpNet;
pub use json_schema::Violation;
pub use limits::{BODY_BYTES_CAP, Budget, CompileLimits, HttpLimits, Limits};
pub use lock::{LockProject, LockView};
pub use outgoing::{AllowList, HttpPolicy, InvalidLine};
pub use problem::{Code, CodeInfo, Fault, Problem};
pub use record::{Deletion, List, ListRequest, RecordView, Resealed};
pub use secret::{SecretKeyError, SecretKeys, new_secret_key};
pub use setting::parse_setting_value;
pub use webhook::login::token as token_of_headers;

/// Keeps the guide's example compiling.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/embedding.md")]
struct EmbeddingGuide;
