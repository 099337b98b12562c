//! The answer to the webhook call that the execution serves.
//!
//! A flow that uses it shapes its answer; otherwise the caller gets the execution or its outputs, as the webhook says. What is
//! set is sent when the flow has ended well, or at once with [`Response::send`]. Where the flow fails before, the caller gets
//! the problem. Where nobody waits, the answer goes nowhere.
//!
//! ```
//! use flowhost_guest::{Execution, FlowError, Input, Outputs, flow};
//! use serde::Deserialize;
//!
//! #[derive(Deserialize)]
//! struct Visitor {
//!     name: String,
//! }
//!
//! #[flow]
//! fn welcome(this: &Execution, visitor: Input<Visitor>) -> Result<Outputs, FlowError> {
//!     if visitor.name.is_empty() {
//!         this.response().redirect(303, "/who-are-you")?;
//!         return Ok(Outputs::new());
//!     }
//!     this.response().set_header("x-greeted", "yes")?;
//!     this.response().text(format_args!("Hello, {}!", visitor.name))?;
//!     Ok(Outputs::new())
//! }
//!
//! // In a test, the answer is there to look at.
//! let this = Execution::for_test();
//! welcome(&this, Input::new(Visitor { name: "Ada".into() })).unwrap();
//! let answer = this.answer().unwrap();
//! assert_eq!((answer.status, answer.text()), (200, "Hello, Ada!"));
//! assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
//! ```

use std::fmt;

use serde::Serialize;

use crate::HostError;
use crate::backend::{Backend, BodyBackend};
use crate::crossing::to_json;

/// The answer of an execution, from [`Execution::response`](crate::Execution::response).
///
/// Every function is refused with `response.already-sent` once the answer was sent.
#[derive(Clone, Copy, Debug)]
pub struct Response<'a> {
    pub(crate) backend: &'a Backend,
}

impl Response<'_> {
    /// Sets the status, from 200 to 599; 200 unless set.
    ///
    /// Refused with `response.invalid-status`.
    pub fn set_status(&self, status: u16) -> Result<(), HostError> {
        self.backend.set_status(status)
    }

    /// Sets a header, in place of those of the same name.
    ///
    /// Rejected with `response.invalid-header` if it is not a valid header; with `response.forbidden-header` if it is not one of the
    /// headers that a flow may set, or a cookie with `Domain`; with `response.headers-too-large` beyond 100 headers or 32 KiB.
    pub fn set_header(&self, name: &str, value: impl AsRef<[u8]>) -> Result<(), HostError> {
        self.backend.set_header(name, value.as_ref())
    }

    /// Adds a header beside those of the same name.
    ///
    /// Refused as [`set_header`](Self::set_header) is.
    pub fn append_header(&self, name: &str, value: impl AsRef<[u8]>) -> Result<(), HostError> {
        self.backend.append_header(name, value.as_ref())
    }

    /// Answers with JSON.
    ///
    /// Refused with `json.invalid` where the value cannot be written as JSON.
    pub fn json(&self, value: &(impl Serialize + ?Sized)) -> Result<(), HostError> {
        self.bytes("application/json", to_json("the answer", value)?)
    }

    /// Answers with plain text.
    pub fn text(&self, text: impl fmt::Display) -> Result<(), HostError> {
        self.bytes("text/plain; charset=utf-8", text.to_string())
    }

    /// Answers with an HTML page. What others wrote is to be escaped before.
    ///
    /// The page may hold forms and scripts; it has an origin of its own, so that it does not see the host's cookies.
    pub fn html(&self, page: impl fmt::Display) -> Result<(), HostError> {
        self.bytes("text/html; charset=utf-8", page.to_string())
    }

    /// Answers with bytes of some media type.
    ///
    /// An execution whose answer outgrows its budget of outputs is ended; what is larger is a file or a stream.
    pub fn bytes(&self, content_type: &str, body: impl AsRef<[u8]>) -> Result<(), HostError> {
        self.backend.set_body(content_type, body.as_ref())
    }

    /// Answers with a file of the host, with its content type, as it is when the answer is sent.
    ///
    /// Refused with `files.not-found`, `access.forbidden`.
    pub fn file(&self, name: &str) -> Result<(), HostError> {
        self.backend.set_file(name)
    }

    /// Sends the caller elsewhere: 303 to a page that it gets, 307 or 308 to make the same request there.
    ///
    /// Refused with `response.invalid-status` for a status that is not of 300 to 399.
    pub fn redirect(&self, status: u16, location: &str) -> Result<(), HostError> {
        if !(300..400).contains(&status) {
            return Err(HostError::new("response.invalid-status", format_args!("{status} redirects nobody")));
        }
        self.set_status(status)?;
        self.set_header("location", location)
    }

    /// Sends the answer now; the flow goes on. The execution is durable from here on.
    pub fn send(&self) -> Result<(), HostError> {
        self.backend.send()
    }

    /// Sends status and headers now, and gives the body to be written.
    ///
    /// Until the body is finished the execution stays in memory, and is not run again where it is cut off. Refused with
    /// `response.too-many-bodies` where half of the executions that the host runs write their bodies already.
    ///
    /// ```
    /// # use flowhost_guest::{Execution, HostError};
    /// # let this = Execution::for_test();
    /// let body = this.response().stream("text/csv")?;
    /// body.write("day,loaves\n")?;
    /// for day in 1..=3 {
    ///     body.write(format!("{day},{}\n", day * 10))?;
    /// }
    /// body.finish()?;
    /// assert!(this.answer().unwrap().text().ends_with("3,30\n"));
    /// # Ok::<(), HostError>(())
    /// ```
    pub fn stream(&self, content_type: &str) -> Result<BodyStream, HostError> {
        Ok(BodyStream { backend: self.backend.start_body(content_type)? })
    }
}

/// A body that is sent while it is written. Where it is dropped before it is finished, it is cut off, so that the caller knows
/// that it is not whole.
#[derive(Debug)]
#[must_use = "a body that is not finished is cut off"]
pub struct BodyStream {
    backend: BodyBackend,
}

impl BodyStream {
    /// Sends bytes. Waits where the caller is slow.
    ///
    /// Refused with `response.caller-gone`, also where the caller took nothing for 30 seconds.
    pub fn write(&self, bytes: impl AsRef<[u8]>) -> Result<(), HostError> {
        self.backend.write(bytes.as_ref())
    }

    /// Ends the body: it is whole.
    ///
    /// Refused as [`write`](Self::write) is.
    pub fn finish(self) -> Result<(), HostError> {
        self.backend.finish()
    }
}
