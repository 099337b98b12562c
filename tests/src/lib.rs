//! The end-to-end tests, and what they are made of: hosts in processes of their own, a client that sends exactly what it is
//! told to, the REST API in a few words, and the kill loop.
//!
//! A test that must change nothing but its own records shares [`Host::shared`]; any other starts a host, on a data folder
//! and a port of its own. Whatever goes wrong here panics: it is a test that fails.

#![allow(clippy::expect_used, clippy::unwrap_used)]

mod api;
pub mod chaos;
mod cli;
mod client;
mod cut_off;
pub mod faults;
mod guests;
mod host;
pub mod outside;
mod patience;
pub mod scene;

pub use api::{Ended, Webhook};
pub use cli::Ran;
pub use client::{Answer, Connection, Request};
pub use cut_off::after_every_commit;
pub use guests::{component, workspace_file};
pub use host::{Host, NotStarted, Setup};
pub use patience::{PATIENCE, until};
