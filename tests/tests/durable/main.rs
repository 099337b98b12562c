//! End to end: executions that outlive the process that began them, and what flows do with that.

#![allow(clippy::expect_used, clippy::unwrap_used)]

mod pause;
mod queue;
mod replay;
