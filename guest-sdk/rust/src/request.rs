//! The webhook request behind an execution.

use crate::backend::RequestBackend;

/// A webhook request exactly as it arrived, but for a key or a login that the host consumed.
///
/// [`Input`](crate::Input) has most of it in a handier form. This one is for flows that check a signature, or take a body that is
/// neither JSON nor a form. `this.request()` is none where the execution was not started by a webhook: a child or a clone.
///
/// ```
/// use flowhost_guest::{Execution, FlowError, Outputs, Request, flow};
///
/// #[flow]
/// fn receive(this: &Execution) -> Result<Outputs, FlowError> {
///     let request = this.request().ok_or_else(|| FlowError::new("this flow is for a webhook"))?;
///     let is_png = request.header("Content-Type").is_some_and(|kind| kind == b"image/png");
///     if !is_png || !request.body().starts_with(b"\x89PNG") {
///         return Err(FlowError::invalid_input("send a PNG"));
///     }
///     Ok(Outputs::new().set("bytes", request.body().len()).set("path", request.path()))
/// }
///
/// let request = Request::for_test("PUT").with_path("/logo").with_header("content-type", "image/png");
/// let this = Execution::for_test().with_request(request.with_body(b"\x89PNG\r\n"));
/// assert_eq!(receive(&this).unwrap().get("bytes").unwrap(), 6);
/// assert_eq!(receive(&Execution::for_test()).unwrap_err().message(), "this flow is for a webhook");
/// ```
///
/// Reading the request is never refused, and it is the same when the flow is run again after a crash.
///
/// Tests make theirs with `Request::for_test`.
#[derive(Debug)]
pub struct Request {
    pub(crate) backend: RequestBackend,
}

impl Request {
    /// `GET`, `HEAD`, `POST`, `PUT`, `PATCH` or `DELETE`.
    pub fn method(&self) -> String {
        self.backend.method()
    }

    /// What followed the webhook's address, with its leading slash; empty where nothing did.
    pub fn path(&self) -> String {
        self.backend.path()
    }

    /// The query as it was sent, without its question mark; none where there was no question mark.
    pub fn query(&self) -> Option<String> {
        self.backend.query()
    }

    /// Every header, in the order in which its name first arrived; the values of a repeated name stand together, in their
    /// own order. Names are in lower case, values are bytes.
    pub fn headers(&self) -> Vec<(String, Vec<u8>)> {
        self.backend.headers()
    }

    /// The first value of a header, if it was sent. The name's case does not matter.
    pub fn header(&self, name: &str) -> Option<Vec<u8>> {
        self.header_values(name).into_iter().next()
    }

    /// Every value of a header in the order of arrival. The name's case does not matter.
    pub fn header_values(&self, name: &str) -> Vec<Vec<u8>> {
        self.backend.header(name)
    }

    /// The body's bytes.
    pub fn body(&self) -> Vec<u8> {
        self.backend.body()
    }

    /// False where the host blanked a key in the body, so that a signature over it no longer fits.
    pub fn body_is_exact(&self) -> bool {
        self.backend.body_is_exact()
    }
}
