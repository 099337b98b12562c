//! Executions: admitted, queued, run as tasks of their own, out of memory while they wait, recorded.

mod admission;
mod cancel;
mod counter;
mod dispatch;
mod end;
mod ends;
mod events;
mod file_body;
mod live;
mod outputs;
mod queue;
mod read;
mod registry;
mod resident;
mod residents;
mod response;
mod run;
mod start;
mod steer;
mod step;
mod stop;
mod streamed;
mod view;
mod waker;

pub(crate) use admission::{Admission, Slot};
pub(crate) use counter::{Counted, Counter, Counters};
pub(crate) use ends::{Answered, Ends};
pub(crate) use events::{Event, Events};
pub use file_body::FileBody;
pub(crate) use live::Live;
pub(crate) use outputs::{OutputError, Outputs};
pub(crate) use queue::{Loaded, Queue, Queued};
pub(crate) use registry::{Registered, Registry};
pub(crate) use residents::Residents;
pub use response::{FlowAnswer, FlowBody};
pub(crate) use response::{Response, ResponseError};
pub(crate) use run::problem_of;
pub(crate) use start::{Lineage, Start, priority_of};
pub(crate) use stop::{Stop, StopReason};
pub(crate) use streamed::{BodyWriter, CallerGone, streamed};
pub use streamed::{CutOff, StreamedBody};
pub use view::ExecutionView;
pub(crate) use waker::{LEASE, Waker};

/// Why an execution is paused that somebody paused.
pub(crate) const PAUSED: &str = "paused by hand; resume it";

/// Why an execution in development mode is paused.
pub(crate) const INACTIVE: &str = "paused: its user was not active lately; resume it, or make it productive";
