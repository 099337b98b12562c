//! The engine with components that are written down here as text. What flows built with the SDK do is tested where their
//! capabilities are, in `host/runtime/tests`.

#![allow(clippy::expect_used, clippy::unwrap_used)]

mod artifacts;
mod budgets;
mod compilation;
mod component;
mod dependencies;
mod determinism;
mod results;
mod sandbox;
mod threads;
mod traces;
mod uploads;
