//! Executions: admitted, run as tasks of their own, recorded at their end.

mod admission;
mod end;
mod live;
mod outputs;
mod run;
mod service;
mod view;

pub(crate) use admission::{Admission, Counted, Counter, Slot};
pub(crate) use live::{Live, Registered, Registry, Start};
pub(crate) use outputs::{OutputError, Outputs};
pub(crate) use run::{Launch, launch, launch_queued, problem_of};
pub use view::ExecutionView;
