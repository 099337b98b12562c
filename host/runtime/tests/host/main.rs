//! A host in this process, with the flows of `tests/guests`: what they do to it, and what they learn of it.

#![allow(clippy::disallowed_methods, clippy::expect_used, clippy::unwrap_used)]

mod admission;
mod budgets;
mod cancellation;
mod clock;
mod embedding;
mod failures;
mod fixture;
mod isolation;
mod log;
mod neighbours;
mod outputs;
