//! End to end: what a flow may do, one capability a file.

#![allow(clippy::expect_used, clippy::unwrap_used)]

mod children;
mod contract;
mod execution;
mod files;
mod http;
mod locks;
mod messages;
mod records;
mod request;
mod requests;
mod response;
mod secrets;
mod settings;
mod sleep;
mod wasi_http;
