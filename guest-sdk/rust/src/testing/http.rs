//! Requests in memory, and the responses that a test made up.

use serde::Serialize;

use super::Backend;
use crate::http::{Draft, Response};
use crate::{Execution, HostError};

/// What the outside is, for a flow under test.
#[derive(Debug, Default)]
pub(super) struct Outside {
    answers: Vec<Answer>,
    sent: Vec<SentRequest>,
}

#[derive(Debug)]
struct Answer {
    method: String,
    url: String,
    result: Result<ResponseBackend, HostError>,
}

/// A request that a flow under test sent. Native only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentRequest {
    /// The method.
    pub method: String,
    /// The address.
    pub url: String,
    /// The headers as the flow gave them.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body.
    pub body: Vec<u8>,
}

/// A response that a test made up.
#[derive(Clone, Debug)]
pub(crate) struct ResponseBackend {
    status: u16,
    url: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

/// Tests: native only.
impl Execution {
    /// The same execution, in which a request of this method to this address has this response. Of several for the same, each
    /// is given once, and the last from then on. A request without any is refused as `http.not-allowed`.
    #[must_use]
    pub fn with_response(self, method: &str, url: &str, response: Response) -> Self {
        self.with_result(method, url, Ok(response.backend))
    }

    /// The same execution, in which such a request is refused with this code, as [`with_response`](Self::with_response)
    /// has it.
    #[must_use]
    pub fn with_response_refused(self, method: &str, url: &str, code: &str) -> Self {
        self.with_result(method, url, Err(HostError::new(code, format_args!("{method} {url}: refused by the test"))))
    }

    fn with_result(self, method: &str, url: &str, result: Result<ResponseBackend, HostError>) -> Self {
        let answer = Answer { method: method.into(), url: url.into(), result };
        self.backend.outside.borrow_mut().answers.push(answer);
        self
    }

    /// The requests that the flow sent so far, those that were refused included.
    pub fn requests_sent(&self) -> Vec<SentRequest> {
        self.backend.outside.borrow().sent.clone()
    }
}

/// Tests: native only.
impl Response {
    /// A response without headers and body.
    pub fn for_test(status: u16) -> Self {
        Self { backend: ResponseBackend { status, url: String::new(), headers: Vec::new(), body: Vec::new() } }
    }

    /// The same response with one more header.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.backend.headers.push((name.to_ascii_lowercase(), value.into()));
        self
    }

    /// The same response with another body.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.backend.body = body.into();
        self
    }

    /// The same response with a value as its body, as JSON.
    ///
    /// # Panics
    ///
    /// Where the value is none that JSON can hold.
    #[must_use]
    pub fn with_json(self, value: &impl Serialize) -> Self {
        match serde_json::to_vec(value) {
            Ok(json) => self.with_header("content-type", "application/json").with_body(json),
            Err(error) => panic!("the response of a test is no JSON: {error}"),
        }
    }
}

impl Backend {
    pub(crate) fn send_requests(&self, drafts: Vec<Draft>) -> Vec<Result<ResponseBackend, HostError>> {
        let mut outside = self.outside.borrow_mut();
        drafts.into_iter().map(|draft| outside.send(draft)).collect()
    }
}

impl Outside {
    fn send(&mut self, draft: Draft) -> Result<ResponseBackend, HostError> {
        let Draft { method, url, headers, body, .. } = draft;
        let fits = |answer: &Answer| answer.method.eq_ignore_ascii_case(&method) && answer.url == url;
        let mut fitting = (0..self.answers.len()).filter(|index| fits(&self.answers[*index]));
        let result = match (fitting.next(), fitting.next()) {
            (Some(first), Some(_)) => self.answers.remove(first).result,
            (Some(only), None) => self.answers[only].result.clone(),
            (None, _) => {
                let message = format_args!("the test has no response for `{method} {url}`; see `with_response`");
                Err(HostError::new("http.not-allowed", message))
            }
        };
        self.sent.push(SentRequest { method, url: url.clone(), headers, body });
        result.map(|response| ResponseBackend { url, ..response })
    }
}

impl ResponseBackend {
    pub(crate) fn status(&self) -> u16 {
        self.status
    }

    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }

    pub(crate) fn headers(&self) -> Vec<(String, Vec<u8>)> {
        self.headers.clone()
    }

    pub(crate) fn header(&self, name: &str) -> Vec<Vec<u8>> {
        let same = self.headers.iter().filter(|(present, _)| present.eq_ignore_ascii_case(name));
        same.map(|(_, value)| value.clone()).collect()
    }

    pub(crate) fn body(&self) -> Vec<u8> {
        self.body.clone()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const URL: &str = "https://api.example/things";

    #[test]
    fn a_request_has_the_response_of_the_test() {
        let response = Response::for_test(201).with_header("X-Page", "2").with_json(&json!([1]));
        let this = Execution::for_test().with_response("POST", URL, response);
        let got = this.http().post(URL).header("a", "b").json(&json!({ "c": 1 })).send().unwrap().success().unwrap();
        assert_eq!((got.status(), got.url().as_str(), got.text().as_str()), (201, URL, "[1]"));
        assert_eq!(got.header("x-page").unwrap(), b"2");
        assert_eq!(got.json::<Value>().unwrap(), json!([1]));
        assert_eq!(got.json::<u8>().unwrap_err().code(), "json.invalid");
        let sent = &this.requests_sent()[0];
        assert_eq!((sent.method.as_str(), sent.body.as_slice()), ("POST", br#"{"c":1}"#.as_slice()));
        assert_eq!(sent.headers[0], ("a".into(), b"b".to_vec()));
        assert_eq!(sent.headers[1].0, "content-type");
    }

    #[test]
    fn responses_come_in_their_order_and_the_last_stays() {
        let this = Execution::for_test().with_response_refused("GET", URL, "http.timeout").with_response(
            "GET",
            URL,
            Response::for_test(200),
        );
        assert_eq!(this.http().get(URL).send().unwrap_err().code(), "http.timeout");
        for _ in 0..2 {
            assert_eq!(this.http().get(URL).send().unwrap().status(), 200);
        }
        assert_eq!(this.requests_sent().len(), 3);
    }

    #[test]
    fn what_the_test_has_no_response_for_is_not_allowed() {
        let this = Execution::for_test().with_response("GET", URL, Response::for_test(404).with_body("none"));
        assert_eq!(this.http().delete(URL).send().unwrap_err().code(), "http.not-allowed");
        let refused = this.http().get(URL).send().unwrap().success().unwrap_err();
        assert_eq!(refused.code(), "http.status");
        assert_eq!(refused.message(), format!("{URL} answered 404: none"));
    }

    #[test]
    fn of_several_each_has_its_own_result() {
        let this = Execution::for_test().with_response("GET", URL, Response::for_test(200));
        let odd = std::collections::BTreeMap::from([(vec![1], 2)]);
        let http = this.http();
        let results = http.send_all([http.get(URL), http.post(URL).json(&odd), http.get("https://b"), http.get(URL)]);
        let codes: Vec<_> =
            results.iter().map(|result| result.as_ref().map(Response::status).map_err(HostError::code)).collect();
        assert_eq!(codes, [Ok(200), Err("json.invalid"), Err("http.not-allowed"), Ok(200)]);
    }
}
