//! Requests to the outside.
//!
//! Where a flow may send them is said by the host's list and by `options.http_allow` of the flow; nothing is allowed unless
//! both permit it. A flow that is run again is told the same responses and asks nobody.
//!
//! ```
//! use flowhost_guest::http::Response;
//! use flowhost_guest::{Execution, FlowError, Input, Outputs, flow, json};
//! use serde::Deserialize;
//!
//! #[derive(Deserialize)]
//! struct Order {
//!     euros: f64,
//! }
//!
//! #[derive(Deserialize)]
//! struct Rate {
//!     dollars: f64,
//! }
//!
//! #[flow]
//! fn price(this: &Execution, order: Input<Order>) -> Result<Outputs, FlowError> {
//!     let rate: Rate = this.http().get("https://rates.example/eur").send()?.success()?.json()?;
//!     let note = json!({ "dollars": order.euros * rate.dollars });
//!     this.http().post("https://books.example/notes").json(&note).send()?.success()?;
//!     Ok(Outputs::new().set("dollars", order.euros * rate.dollars))
//! }
//!
//! let this = Execution::for_test()
//!     .with_response("GET", "https://rates.example/eur", Response::for_test(200).with_json(&json!({ "dollars": 1.5 })))
//!     .with_response("POST", "https://books.example/notes", Response::for_test(201));
//! let outputs = price(&this, Input::new(Order { euros: 2.0 })).unwrap();
//! assert_eq!(outputs.get("dollars").unwrap(), 3.0);
//! assert_eq!(this.requests_sent()[1].body, br#"{"dollars":3.0}"#);
//! ```
//!
//! The HTTP clients of the language that use `wasi:http` send theirs under the same rules.

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::HostError;
use crate::backend::{Backend, ResponseBackend};
use crate::crossing::{from_json, to_json};

/// Requests to the outside, from [`Execution::http`](crate::Execution::http).
#[derive(Clone, Copy, Debug)]
pub struct Http<'a> {
    pub(crate) backend: &'a Backend,
}

/// A request that has not been sent yet.
#[derive(Clone, Debug)]
pub struct NewRequest<'a> {
    backend: &'a Backend,
    pub(crate) draft: Draft,
    /// Why it cannot be sent.
    refused: Option<HostError>,
}

/// What a request says.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) method: String,
    pub(crate) url: String,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) redirects: Option<u32>,
    pub(crate) repeat_when_unknown: bool,
}

/// A response, complete with its body. Tests make theirs with `Response::for_test`.
#[derive(Debug)]
pub struct Response {
    pub(crate) backend: ResponseBackend,
}

impl<'a> Http<'a> {
    /// A request with the method GET.
    pub fn get(&self, url: impl fmt::Display) -> NewRequest<'a> {
        self.request("GET", url)
    }

    /// A request with the method POST. It is not repeated where nobody knows whether it was received, unless it has the header
    /// `Idempotency-Key` or [says so](NewRequest::repeat_when_unknown).
    pub fn post(&self, url: impl fmt::Display) -> NewRequest<'a> {
        self.request("POST", url)
    }

    /// A request with the method PUT.
    pub fn put(&self, url: impl fmt::Display) -> NewRequest<'a> {
        self.request("PUT", url)
    }

    /// A request with the method DELETE.
    pub fn delete(&self, url: impl fmt::Display) -> NewRequest<'a> {
        self.request("DELETE", url)
    }

    /// A request with any method and an absolute address of the scheme `https` or `http`.
    pub fn request(&self, method: &str, url: impl fmt::Display) -> NewRequest<'a> {
        NewRequest {
            backend: self.backend,
            draft: Draft {
                method: method.into(),
                url: url.to_string(),
                headers: Vec::new(),
                body: Vec::new(),
                timeout: None,
                redirects: None,
                repeat_when_unknown: false,
            },
            refused: None,
        }
    }

    /// Sends several requests at the same time and waits for all of them. The results have the order of the requests; each is
    /// what [`NewRequest::send`] gives.
    pub fn send_all<'r>(&self, requests: impl IntoIterator<Item = NewRequest<'r>>) -> Vec<Result<Response, HostError>> {
        let mut results = Vec::new();
        let mut drafts = Vec::new();
        for request in requests {
            results.push(request.refused.map_or(Ok(()), Err));
            if let Some(Ok(())) = results.last() {
                drafts.push(request.draft);
            }
        }
        let mut sent = self.backend.send_requests(drafts).into_iter();
        let results = results.into_iter().map(|checked| {
            checked?;
            match sent.next() {
                Some(sent) => sent.map(|backend| Response { backend }),
                None => Err(HostError::new("host.error", "a request without a result")),
            }
        });
        results.collect()
    }
}

impl NewRequest<'_> {
    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.draft.headers.push((name.into(), value.as_ref().to_vec()));
        self
    }

    /// Sets the body to a value as JSON, and the header `content-type` to match.
    #[must_use]
    pub fn json(mut self, value: &(impl Serialize + ?Sized)) -> Self {
        match to_json(format_args!("the body of a request to {}", self.draft.url), value) {
            Ok(json) => self.header("content-type", "application/json").body(json),
            Err(refused) => {
                self.refused = Some(refused);
                self
            }
        }
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.draft.body = body.into();
        self
    }

    /// Sets how long the whole exchange may take, the wait for its turn included. Unless set, 30 seconds from its turn on; the
    /// host's limit at most.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.draft.timeout = Some(timeout);
        self
    }

    /// Sets how many redirects are followed: 5 unless set, 20 at most; 0 gives the redirect itself.
    #[must_use]
    pub fn redirects(mut self, limit: u32) -> Self {
        self.draft.redirects = Some(limit);
        self
    }

    /// Lets the request be sent again where nobody knows whether it was received.
    #[must_use]
    pub fn repeat_when_unknown(mut self) -> Self {
        self.draft.repeat_when_unknown = true;
        self
    }

    /// Sends it, and waits for the response and its whole body. A response of any status is one.
    ///
    /// Refused with `http.invalid-request`, `http.not-allowed` (it gives the line to add to the allow-list),
    /// `http.address-not-allowed` where the name leads to an address that is not public, `http.name-not-found`,
    /// `http.connection-failed`, `http.tls-failed`, `http.timeout`, `http.too-large`, `http.too-many-redirects`,
    /// `http.too-many` beyond the host's limit of requests of one execution, `http.outcome-unknown` where the host was cut off
    /// in the middle and the request is not safe to repeat, and `secrets.not-allowed`.
    pub fn send(self) -> Result<Response, HostError> {
        let http = Http { backend: self.backend };
        let nothing = || Err(HostError::new("host.error", "a request without a result"));
        http.send_all([self]).pop().unwrap_or_else(nothing)
    }
}

impl Response {
    /// The status.
    pub fn status(&self) -> u16 {
        self.backend.status()
    }

    /// Whether the status is from 200 to 299.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status())
    }

    /// The response itself where its [status is success](Self::is_success).
    ///
    /// Refused with `http.status` otherwise; the message has the status, the address and the beginning of the body.
    pub fn success(self) -> Result<Self, HostError> {
        if self.is_success() {
            return Ok(self);
        }
        let body = self.body();
        let beginning: String = String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned();
        let (status, url) = (self.status(), self.url());
        let url = url.split('?').next().unwrap_or_default();
        Err(HostError::new("http.status", format_args!("{url} answered {status}: {beginning}")))
    }

    /// Where it came from, after redirects.
    pub fn url(&self) -> String {
        self.backend.url()
    }

    /// Every header. Names are in lower case, values are bytes; the values of a repeated name stand in the order of arrival.
    pub fn headers(&self) -> Vec<(String, Vec<u8>)> {
        self.backend.headers()
    }

    /// The first value of a header, if it was sent. The name's case does not matter.
    pub fn header(&self, name: &str) -> Option<Vec<u8>> {
        self.backend.header(name).into_iter().next()
    }

    /// The body's bytes.
    pub fn body(&self) -> Vec<u8> {
        self.backend.body()
    }

    /// The body as text. Bytes that are no UTF-8 become replacement characters.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body()).into_owned()
    }

    /// The body as JSON, whatever the status and the content type.
    ///
    /// Refused with `json.invalid` where it cannot be read as a `T`.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, HostError> {
        let url = self.url();
        let url = url.split('?').next().unwrap_or_default();
        from_json(format_args!("the answer of {url}"), &self.text())
    }
}
