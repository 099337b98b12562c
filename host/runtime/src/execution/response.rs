//! The answer to a webhook call that a flow shapes.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, Entry};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::file_body::FileBody;
use super::response_headers;
use super::streamed::StreamedBody;

/// The most headers of an answer. A page with many cookies has some ten.
const HEADERS: usize = 100;

/// The most bytes that names and values of the headers of an answer have together: as many as the host takes itself.
const HEADER_BYTES: usize = 32 << 10;

/// What a flow answers.
#[derive(Debug)]
pub struct FlowAnswer {
    /// The status, from 200 to 599.
    pub status: StatusCode,
    /// The headers that the flow set; none of them is the host's.
    pub headers: HeaderMap,
    /// The body.
    pub body: FlowBody,
}

/// The body that a flow answers.
#[derive(Debug)]
pub enum FlowBody {
    /// It is complete.
    Whole(Bytes),
    /// It is a file of the host.
    File(FileBody),
    /// The flow writes it while it is sent.
    Streamed(StreamedBody),
}

/// Whether an answer of this status has a body.
pub(super) fn has_body(status: StatusCode) -> bool {
    !matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED)
}

/// Why something cannot be part of an answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ResponseError {
    #[error("the answer was sent already")]
    AlreadySent,
    #[error("{0} is no status of an answer: it is from 200 to 599")]
    InvalidStatus(u16),
    #[error("`{0}` is no name of a header")]
    InvalidName(String),
    #[error("a value of the header `{0}` holds bytes that no header may hold, such as a line break")]
    InvalidValue(HeaderName),
    #[error("a flow may not answer with the header `{0}` of this value; docs/flows.md lists those that it may")]
    Forbidden(HeaderName),
    #[error("an answer has at most {HEADERS} headers, of {HEADER_BYTES} bytes together")]
    TooManyHeaders,
}

impl ResponseError {
    /// What a flow is told.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::AlreadySent => "response.already-sent",
            Self::InvalidStatus(_) => "response.invalid-status",
            Self::InvalidName(_) | Self::InvalidValue(_) => "response.invalid-header",
            Self::Forbidden(_) => "response.forbidden-header",
            Self::TooManyHeaders => "response.headers-too-large",
        }
    }
}

/// What a flow has set of its answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Response {
    is_shaped: bool,
    is_sent: bool,
    status: StatusCode,
    headers: HeaderMap,
    /// Of names and values.
    header_bytes: usize,
    body: Bytes,
    /// The name of the file that is the body in place of `body`.
    file: Option<String>,
}

impl Response {
    pub(crate) fn set_status(&mut self, status: u16) -> Result<(), ResponseError> {
        self.refuse_if_sent()?;
        let known = StatusCode::from_u16(status).ok().filter(|_| (200..600).contains(&status));
        self.status = known.ok_or(ResponseError::InvalidStatus(status))?;
        self.is_shaped = true;
        Ok(())
    }

    /// Sets a header, in place of those of the same name unless it `is_added`.
    pub(crate) fn put_header(&mut self, name: &str, value: &[u8], is_added: bool) -> Result<(), ResponseError> {
        self.refuse_if_sent()?;
        if name.len() > HEADER_BYTES || value.len() > HEADER_BYTES {
            return Err(ResponseError::TooManyHeaders);
        }
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| ResponseError::InvalidName(shown(name)))?;
        if !response_headers::is_allowed(&name, value) {
            return Err(ResponseError::Forbidden(name));
        }
        let Ok(value) = HeaderValue::from_bytes(value) else { return Err(ResponseError::InvalidValue(name)) };
        let size = |value: &HeaderValue| name.as_str().len() + value.len();
        let replaced = self.headers.get_all(&name).iter().filter(|_| !is_added);
        let (count, freed) = replaced.fold((0, 0), |(count, freed), value| (count + 1, freed + size(value)));
        let bytes = self.header_bytes - freed + size(&value);
        if self.headers.len() - count >= HEADERS || bytes > HEADER_BYTES {
            return Err(ResponseError::TooManyHeaders);
        }
        self.header_bytes = bytes;
        if is_added {
            self.headers.append(name, value);
        } else {
            self.headers.insert(name, value);
        }
        self.is_shaped = true;
        Ok(())
    }

    /// Sets the body, whose size is the caller's care.
    pub(crate) fn set_body(&mut self, content_type: &str, body: Vec<u8>) -> Result<(), ResponseError> {
        self.put_header(CONTENT_TYPE.as_str(), content_type.as_bytes(), false)?;
        (self.body, self.file) = (body.into(), None);
        Ok(())
    }

    /// Makes a file the body, which is looked for when the answer is sent.
    pub(crate) fn set_file(&mut self, name: String) -> Result<(), ResponseError> {
        self.refuse_if_sent()?;
        if let Entry::Occupied(former) = self.headers.entry(CONTENT_TYPE) {
            let freed: usize = former.iter().map(|value| CONTENT_TYPE.as_str().len() + value.len()).sum();
            self.header_bytes -= freed;
            former.remove();
        }
        (self.body, self.file, self.is_shaped) = (Bytes::new(), Some(name), true);
        Ok(())
    }

    /// The file that is the body, where the answer has one.
    pub(crate) fn file(&self) -> Option<String> {
        self.file.clone().filter(|_| has_body(self.status))
    }

    /// Takes the answer to send it; nothing can be set any more.
    pub(crate) fn send(&mut self) -> Result<FlowAnswer, ResponseError> {
        self.refuse_if_sent()?;
        self.is_sent = true;
        let body = std::mem::take(&mut self.body);
        let body = FlowBody::Whole(if has_body(self.status) { body } else { Bytes::new() });
        Ok(FlowAnswer { status: self.status, headers: std::mem::take(&mut self.headers), body })
    }

    /// What is sent when the flow has ended well; none where it set nothing, or has sent it.
    pub(crate) fn at_end(&mut self) -> Option<FlowAnswer> {
        if self.is_shaped { self.send().ok() } else { None }
    }

    pub(crate) fn refuse_if_sent(&self) -> Result<(), ResponseError> {
        if self.is_sent { Err(ResponseError::AlreadySent) } else { Ok(()) }
    }
}

/// The beginning of a name, for people.
fn shown(name: &str) -> String {
    name.chars().take(100).flat_map(char::escape_default).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(outcome: Result<(), ResponseError>) -> &'static str {
        outcome.unwrap_err().code()
    }

    #[test]
    fn an_answer_is_what_was_set_last() {
        let mut response = Response::default();
        assert!(response.at_end().is_none());
        response.set_status(201).unwrap();
        response.put_header("X-One", b"1", false).unwrap();
        response.put_header("x-one", b"2", true).unwrap();
        response.put_header("x-ONE", b"3", false).unwrap();
        response.put_header("set-cookie", b"a=1", true).unwrap();
        response.put_header("set-cookie", b"b=2", true).unwrap();
        response.set_body("text/plain", b"one".to_vec()).unwrap();
        response.set_body("text/html", b"two".to_vec()).unwrap();
        let answer = response.at_end().unwrap();
        assert_eq!((answer.status, answer.headers.len()), (StatusCode::CREATED, 4));
        assert_eq!(answer.headers["x-one"], "3");
        assert_eq!(answer.headers["content-type"], "text/html");
        assert!(matches!(answer.body, FlowBody::Whole(body) if body == "two"));
        for refused in
            [response.set_status(200), response.put_header("x-a", b"", true), response.set_body("a/b", Vec::new())]
        {
            assert_eq!(code(refused), "response.already-sent");
        }
        assert!(response.send().is_err() && response.at_end().is_none());
    }

    #[test]
    fn what_is_refused_shapes_no_answer() {
        let mut response = Response::default();
        for status in [0, 100, 199, 600, 999, 1000, u16::MAX] {
            assert_eq!(code(response.set_status(status)), "response.invalid-status", "{status}");
        }
        for name in ["", " ", "a b", "a:", "a\r\nb", "é"] {
            assert_eq!(code(response.put_header(name, b"1", true)), "response.invalid-header", "{name}");
        }
        for value in [&b"a\r\nb: c"[..], b"a\nb", b"\0", b"\x7f"] {
            assert_eq!(code(response.put_header("x-a", value, true)), "response.invalid-header");
        }
        assert_eq!(code(response.set_body("a/b\r\nc: d", Vec::new())), "response.invalid-header");
        assert!(response.at_end().is_none());
        response.set_status(200).unwrap();
        response.set_status(599).unwrap();
        response.put_header("x-a", b"\xff \t", true).unwrap();
    }

    #[test]
    fn header_that_is_not_the_flows_is_refused() {
        let mut response = Response::default();
        for name in ["connection", "Content-Length", "X-Accel-Redirect", "a"] {
            assert_eq!(code(response.put_header(name, b"1", false)), "response.forbidden-header", "{name}");
        }
        assert_eq!(code(response.put_header("Set-Cookie", b"a=1; Domain=b", true)), "response.forbidden-header");
        assert!(response.at_end().is_none());
        response.put_header("WWW-Authenticate", b"Basic", true).unwrap();
    }

    #[test]
    fn headers_have_their_number_and_their_size() {
        let mut response = Response::default();
        for number in 0..HEADERS {
            response.put_header("x-many", number.to_string().as_bytes(), true).unwrap();
        }
        assert_eq!(code(response.put_header("x-other", b"1", false)), "response.headers-too-large");
        response.put_header("x-many", b"one in place of all", false).unwrap();
        let large = vec![b'x'; HEADER_BYTES - 100];
        for _ in 0..3 {
            response.put_header("x-large", &large, false).unwrap();
        }
        assert_eq!(code(response.put_header("x-large", &large, true)), "response.headers-too-large");
        let bytes: usize = response.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        assert_eq!(response.header_bytes, bytes);
    }
}
