//! End to end: records, identities, permissions and the REST API of the real program, on a real socket.

#![allow(clippy::expect_used, clippy::unwrap_used)]

mod actions;
mod brief;
mod development_mode;
mod identities;
mod list_limits;
mod lists;
mod permissions;
mod person;
mod require_login;
mod shared_properties;
mod versions;
mod webhook_record;
