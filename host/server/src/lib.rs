//! The host on the network: HTTP/1.1 and HTTP/2 without TLS.
//!
//! [`bind`] takes an address, [`Server::run`] serves until it is told to stop. Webhook calls go straight to the host; the
//! REST API is a router beside them. All of it is built on what the library `flowhost` makes public.

mod access_log;
mod activity;
mod answer;
mod bodies;
mod body;
mod caller_address;
mod connection;
mod flow_answer;
mod head;
mod lingering;
mod options;
mod over_tls;
mod pieces;
mod places;
mod problem_page;
mod request_line;
mod rest;
mod server;
mod service;
mod share;
mod unread;
mod unsent;
mod unserved;
mod watched;
mod webhook;

pub use access_log::AccessLogTarget;
pub use options::ServerOptions;
pub use rest::openapi_document;
pub use server::{Server, ServerError, bind};
