//! Flows for flowhost, written in Rust.
//!
//! A flow is one function. It takes what it was started with, does its work and returns its outputs:
//!
//! ```
//! use flowhost_guest::{Execution, FlowError, Input, Outputs, flow};
//! use serde::Deserialize;
//!
//! #[derive(Deserialize)]
//! struct Signup {
//!     email: String,
//! }
//!
//! #[flow]
//! fn signup(this: &Execution, input: Input<Signup>) -> Result<Outputs, FlowError> {
//!     let (user, domain) = input.email.split_once('@').ok_or_else(|| FlowError::new("that is no e-mail address"))?;
//!     this.info(format_args!("{user} signs up"));
//!     Ok(Outputs::new().set("domain", domain))
//! }
//!
//! // A flow stays a function: its tests call it, natively and without a host.
//! let this = Execution::for_test();
//! let outputs = signup(&this, Input::new(Signup { email: "ada@example.org".into() })).unwrap();
//! assert_eq!(outputs.get("domain").unwrap(), "example.org");
//! assert_eq!(this.logged()[0].message, "ada signs up");
//! ```
//!
//! Built for `wasm32-wasip2` as a `cdylib`, the crate is a component that flowhost runs; the README shows the two files
//! that this takes.
//!
//! Native code sees the same API over an execution in memory, so that a flow's tests need nothing but `cargo test`.

#[cfg(target_family = "wasm")]
#[doc(hidden)]
pub mod bindings;
pub mod children;
mod crossing;
mod error;
mod execution;
#[doc(hidden)]
pub mod exported;
pub mod files;
pub mod form;
#[cfg(target_family = "wasm")]
mod host;
pub mod http;
mod input;
mod json;
pub mod locks;
pub mod messages;
mod outputs;
#[cfg(target_family = "wasm")]
mod panic;
pub mod records;
mod request;
pub mod response;
pub mod secrets;
pub mod settings;
pub mod sleep;
#[cfg(not(target_family = "wasm"))]
mod testing;

#[cfg(target_family = "wasm")]
use host as backend;
#[cfg(not(target_family = "wasm"))]
use testing as backend;

#[cfg(not(target_family = "wasm"))]
pub use backend::{Answer, Ending, LogLine, SentMessage, SentRequest, StartedChild};
pub use error::{FlowError, HostError};
pub use execution::{Execution, Identity, Level, Mode};
pub use input::{FromInput, Input};
pub use outputs::Outputs;
pub use request::Request;
pub use serde_json::json;

/// Makes a function the flow of its crate.
///
/// The function has the signature `fn name(this: &Execution, input: Input<T>) -> Result<Outputs, FlowError>`, where `T` is
/// any type that serde can read; each of the two parameters may be left out. A crate has one flow.
///
/// An input that does not fit `T` ends the flow with the code `flow.invalid-input` and a message that names the field.
/// A panic ends it with the panic's message and place.
///
/// ```
/// # use flowhost_guest::{FlowError, Outputs, flow};
/// #[flow]
/// fn ping() -> Result<Outputs, FlowError> {
///     Ok(Outputs::new().set("pong", true))
/// }
/// ```
///
/// What the flow says about itself goes into the component, and people see it where the flow is deployed. All of it may be
/// left out:
///
/// ```
/// # use flowhost_guest::{FlowError, Outputs, flow};
/// #[flow(
///     title = "Pay an order",
///     description = "Charges the customer's card.",
///     hosts = ["POST https://api.stripe.com"],
///     secrets = ["stripe"]
/// )]
/// fn pay() -> Result<Outputs, FlowError> {
///     Ok(Outputs::new().set("paid", true))
/// }
/// ```
///
/// `hosts` are lines of the allow-list for requests to the outside, and `secrets` names: a deployment tells which of them are
/// still missing, it grants none. `input_schema` and `output_schema` name files with a JSON Schema of the payload and of the
/// outputs, from the folder of `Cargo.toml`: `input_schema = "schemas/input.json"`.
///
/// Another signature does not compile:
///
/// ```compile_fail
/// # use flowhost_guest::{FlowError, Outputs, flow};
/// #[flow]
/// fn ping(count: u32) -> Result<Outputs, FlowError> {
///     Ok(Outputs::new())
/// }
/// ```
pub use flowhost_guest_macros::flow;

/// Keeps the README's flow compiling.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
