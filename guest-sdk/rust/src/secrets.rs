//! Secrets: named values that the host keeps encrypted.
//!
//! A flow had better not hold them: a placeholder stands for one in an outgoing request, where the host puts the value in its
//! place if the request goes to a host that the secret allows. The host masks the values in logs, outputs and errors.
//!
//! ```
//! use flowhost_guest::{Execution, FlowError, Outputs, flow};
//!
//! #[flow]
//! fn authorise(this: &Execution) -> Result<Outputs, FlowError> {
//!     let authorization = format!("Bearer {}", this.secrets().placeholder("stripe")?);
//!     Ok(Outputs::new().set("scheme", authorization.starts_with("Bearer flowhost-secret-")))
//! }
//!
//! let this = Execution::for_test().with_secret("stripe", "sk_test_4eC39HqLyjWDarjtT1");
//! assert_eq!(authorise(&this).unwrap().get("scheme").unwrap(), true);
//! ```
//!
//! Both functions are refused with `secrets.not-found` where there is no such secret, or none that the execution may read,
//! and with `secrets.unavailable` where it has no value, or the host was started without the key for it.

use crate::HostError;
use crate::backend::Backend;

/// The secrets that an execution reaches, from [`Execution::secrets`](crate::Execution::secrets).
#[derive(Clone, Copy, Debug)]
pub struct Secrets<'a> {
    pub(crate) backend: &'a Backend,
}

impl Secrets<'_> {
    /// A text that stands for the secret in the headers, the URL's query and the body of outgoing requests of this
    /// execution, also within the credentials of `Authorization: Basic`. It is worth nothing elsewhere, not even in a child.
    ///
    /// A request that would carry the value to a host that the secret does not name is refused with
    /// `secrets.not-allowed`.
    pub fn placeholder(&self, name: &str) -> Result<String, HostError> {
        self.backend.secret_placeholder(name)
    }

    /// The value: to sign something with it, for example.
    ///
    /// Refused with `secrets.not-readable` unless the secret says that flows may read it.
    pub fn get(&self, name: &str) -> Result<String, HostError> {
        self.backend.secret(name)
    }
}
