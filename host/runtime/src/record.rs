//! Records as they are managed: one service for all types, with a hook for what is special to a type.
//!
//! Every request passes the same steps: the request's members are read against the type's definition ([`draft`]), names
//! become ids and references are checked ([`references`]), the type has its say ([`hook`]), the identity's permissions are
//! asked ([`Host::permit`]), the change is written with its history, and the snapshot follows.

mod change;
mod draft;
mod file;
mod hook;
mod list;
mod parents;
mod references;
mod secrets;
mod service;
mod state;
mod view;
mod webhooks;

pub(crate) use list::one_of;
pub use list::{List, ListRequest};
pub use secrets::Resealed;
pub use service::{Deletion, RecordView};

pub(crate) use change::{RecordChange, Remembered};
pub(crate) use file::body as file_body;
pub(crate) use hook::check_options;
pub(crate) use parents::Parents;
pub(crate) use secrets::all_secrets;
pub(crate) use service::{may_read, refuse_trashed};
pub(crate) use state::own_name;
