//! Webhook calls: from a request to an execution.

mod call;
mod charset;
mod guesses;
mod head;
mod incoming;
mod key;
pub mod login;
mod payload;
mod query;
mod route;

pub use call::{Called, Reservation, Room, WebhookRequest};
pub(crate) use guesses::Guesses;
pub use head::{CallHead, Standing};
pub use incoming::IncomingRequest;
pub(crate) use key::digest as key_digest;
pub(crate) use query::fields as query_fields;
pub use route::{Address, METHODS, Route};
pub(crate) use route::{FlowTarget, Owner, SharedRoute};
