//! Answers that a test looks at.

use std::cell::RefCell;
use std::rc::Rc;

use super::{Backend, response_headers};
use crate::{Execution, HostError};

/// What a flow under test answered. Native only.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers in the order of their setting, names in lower case.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body, as far as it was written.
    pub body: Vec<u8>,
    /// Whether the flow sent it before its end.
    pub is_sent: bool,
    /// Whether the body is whole: a stream that was not finished is not.
    pub is_whole: bool,
}

impl Answer {
    /// The first header of this name, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.and_then(|(_, value)| std::str::from_utf8(value).ok())
    }

    /// The body as text.
    ///
    /// # Panics
    ///
    /// When it is not UTF-8.
    pub fn text(&self) -> &str {
        match std::str::from_utf8(&self.body) {
            Ok(text) => text,
            Err(error) => panic!("the body of the answer is no text: {error}"),
        }
    }
}

/// The answer of an execution in memory, shared with the stream that writes its body.
pub(super) type Shared = Rc<RefCell<Option<Answer>>>;

/// A body that a flow under test writes.
#[derive(Debug)]
pub(crate) struct BodyBackend(Shared);

/// Tests: native only.
impl Execution {
    /// What the flow answered so far; none where it set nothing.
    pub fn answer(&self) -> Option<Answer> {
        self.backend.answer.borrow().clone()
    }
}

impl Backend {
    fn shape(&self, work: impl FnOnce(&mut Answer)) -> Result<(), HostError> {
        let mut answer = self.answer.borrow_mut();
        let blank = || Answer { status: 200, headers: Vec::new(), body: Vec::new(), is_sent: false, is_whole: true };
        let answer = answer.get_or_insert_with(blank);
        if answer.is_sent {
            return Err(HostError::new("response.already-sent", "the answer was sent already"));
        }
        work(answer);
        Ok(())
    }

    pub(crate) fn set_status(&self, status: u16) -> Result<(), HostError> {
        if !(200..600).contains(&status) {
            return Err(HostError::new("response.invalid-status", format_args!("{status} is no status of an answer")));
        }
        self.shape(|answer| answer.status = status)
    }

    pub(crate) fn set_header(&self, name: &str, value: &[u8]) -> Result<(), HostError> {
        let name = header_name(name, value)?;
        self.shape(|answer| {
            answer.headers.retain(|(known, _)| *known != name);
            answer.headers.push((name, value.to_owned()));
        })
    }

    pub(crate) fn append_header(&self, name: &str, value: &[u8]) -> Result<(), HostError> {
        let name = header_name(name, value)?;
        self.shape(|answer| answer.headers.push((name, value.to_owned())))
    }

    pub(crate) fn set_body(&self, content_type: &str, body: &[u8]) -> Result<(), HostError> {
        self.set_header("content-type", content_type.as_bytes())?;
        self.shape(|answer| answer.body = body.to_owned())
    }

    pub(crate) fn set_file(&self, name: &str) -> Result<(), HostError> {
        let Some(info) = self.file_info(name)? else {
            return Err(HostError::new("files.not-found", format_args!("the test has no file `{name}`")));
        };
        let body = self.file_bytes(name, 0, info.size)?;
        self.set_body(info.content_type.as_deref().unwrap_or("application/octet-stream"), &body)
    }

    pub(crate) fn send(&self) -> Result<(), HostError> {
        self.shape(|answer| answer.is_sent = true)
    }

    pub(crate) fn start_body(&self, content_type: &str) -> Result<BodyBackend, HostError> {
        self.set_body(content_type, &[])?;
        self.shape(|answer| {
            answer.is_sent = true;
            answer.is_whole = false;
        })?;
        Ok(BodyBackend(self.answer.clone()))
    }
}

impl BodyBackend {
    pub(crate) fn write(&self, bytes: &[u8]) -> Result<(), HostError> {
        if let Some(answer) = self.0.borrow_mut().as_mut() {
            answer.body.extend_from_slice(bytes);
        }
        Ok(())
    }

    pub(crate) fn finish(&self) -> Result<(), HostError> {
        if let Some(answer) = self.0.borrow_mut().as_mut() {
            answer.is_whole = true;
        }
        Ok(())
    }
}

/// The rules of the contract, but for their limits.
fn header_name(name: &str, value: &[u8]) -> Result<String, HostError> {
    let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let is_of_value = |byte: u8| byte == b'\t' || (byte >= b' ' && byte != 0x7f);
    if name.is_empty() || !name.bytes().all(is_of_name) || !value.iter().copied().all(is_of_value) {
        return Err(HostError::new(
            "response.invalid-header",
            format_args!("`{}` is no header", name.escape_default()),
        ));
    }
    let name = name.to_ascii_lowercase();
    if !response_headers::is_allowed(&name, value) {
        return Err(HostError::new(
            "response.forbidden-header",
            format_args!("a flow may not answer with the header `{name}` of this value"),
        ));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_answer_is_what_was_set_last() {
        let this = Execution::for_test();
        assert_eq!(this.answer(), None);
        let response = this.response();
        response.set_status(201).unwrap();
        response.json(&json!({ "a": 1 })).unwrap();
        response.html("<p>Hi</p>").unwrap();
        response.append_header("Set-Cookie", "a=1").unwrap();
        response.append_header("set-cookie", "b=2").unwrap();
        let answer = this.answer().unwrap();
        assert_eq!((answer.status, answer.text(), answer.headers.len()), (201, "<p>Hi</p>", 3));
        assert_eq!(answer.header("Content-Type"), Some("text/html; charset=utf-8"));
        assert!(!answer.is_sent && answer.is_whole);
        response.send().unwrap();
        for refused in [response.send(), response.text("late"), response.set_status(200)] {
            assert_eq!(refused.unwrap_err().code(), "response.already-sent");
        }
        assert_eq!(response.stream("a/b").unwrap_err().code(), "response.already-sent");
    }

    #[test]
    fn a_stream_is_whole_when_it_was_finished() {
        for is_finished in [true, false] {
            let this = Execution::for_test();
            let body = this.response().stream("text/plain").unwrap();
            body.write("a").unwrap();
            body.write(b"b").unwrap();
            assert!(!this.answer().unwrap().is_whole);
            if is_finished {
                body.finish().unwrap();
            }
            let answer = this.answer().unwrap();
            assert_eq!((answer.text(), answer.is_sent, answer.is_whole), ("ab", true, is_finished));
        }
    }

    #[test]
    fn what_the_host_would_refuse_is_refused() {
        let this = Execution::for_test();
        let response = this.response();
        for status in [0, 199, 600] {
            assert_eq!(response.set_status(status).unwrap_err().code(), "response.invalid-status");
        }
        assert_eq!(response.redirect(200, "/").unwrap_err().code(), "response.invalid-status");
        for (name, value) in [("", "1"), ("a b", "1"), ("a", "1\r\nb: 2")] {
            assert_eq!(response.set_header(name, value).unwrap_err().code(), "response.invalid-header");
        }
        for name in ["Content-Length", "flowhost-execution-id", "X-Accel-Redirect", "Proxy-Authenticate", "a"] {
            assert_eq!(response.append_header(name, "1").unwrap_err().code(), "response.forbidden-header");
        }
        assert_eq!(
            response.append_header("Set-Cookie", "a=1; Domain=b.example").unwrap_err().code(),
            "response.forbidden-header"
        );
        assert_eq!(this.answer(), None);
    }
}
