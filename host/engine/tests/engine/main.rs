//! The engine with components that are written down here as text. What flows built with the SDK do is tested where their
//! capabilities are, in `host/runtime/tests`.

mod artifacts;
mod budgets;
mod compilation;
mod component;
mod dependencies;
mod results;
mod sandbox;
mod uploads;
