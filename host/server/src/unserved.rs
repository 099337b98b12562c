//! Answers that no request gets: to too many connections, and to what is no request.

use flowhost::{Code, Problem};
use futures_util::FutureExt;
use http_body_util::BodyExt;

use crate::answer;

/// What the HTTP library says by itself, before it ends a connection whose client speaks no HTTP.
const LIBRARY_REFUSES: &[u8] = b"HTTP/1.1 4";

/// The longest answer of the library's own: a status and three short header fields.
const LIBRARY_BYTES: usize = 160;

/// Returns the answer to a client of whom no more is read, as it goes over an HTTP/1.1 connection.
pub(crate) fn answer(problem: &Problem) -> Vec<u8> {
    let (head, body) = answer::problem(problem).into_parts();
    let body = body.collect().now_or_never().and_then(Result::ok).map(|body| body.to_bytes()).unwrap_or_default();
    let status = head.status;
    let mut text =
        format!("HTTP/1.1 {} {}\r\n", status.as_str(), status.canonical_reason().unwrap_or_default()).into_bytes();
    let mut line = |name: &str, value: &[u8]| text.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
    for (name, value) in &head.headers {
        line(name.as_str(), value.as_bytes());
    }
    line("x-content-type-options", b"nosniff");
    line("connection", b"close");
    line("content-length", body.len().to_string().as_bytes());
    text.extend_from_slice(b"\r\n");
    text.extend_from_slice(&body);
    text
}

/// Returns what a client gets instead of the bare answer with which the HTTP library refuses its head; `None` if `written` is
/// something else.
pub(crate) fn instead_of(written: &[u8]) -> Option<Vec<u8>> {
    // Every answer of this server has one more header field, whatever its status.
    let is_own = |line: &[u8]| line.starts_with(b"x-content-type-options:");
    if !written.starts_with(LIBRARY_REFUSES)
        || written.len() > LIBRARY_BYTES
        || written.split(|byte| *byte == b'\n').any(is_own)
    {
        return None;
    }
    let is_too_large = written.starts_with(b"HTTP/1.1 431") || written.starts_with(b"HTTP/1.1 414");
    Some(answer(&if is_too_large {
        Problem::new(Code::HeadersTooLarge, "the first line and the header fields are larger than the host takes")
    } else {
        malformed()
    }))
}

/// The problem of a head that is none.
pub(crate) fn malformed() -> Problem {
    Problem::new(Code::Malformed, "the first line or a header field is not as HTTP/1.1 has it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answer_says_its_length() {
        let text = String::from_utf8(answer(&malformed())).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{head}");
        assert!(head.contains(&format!("\r\ncontent-length: {}", body.len())), "{head}");
        let document: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(document["code"], "request.malformed");
    }

    #[test]
    fn only_what_the_library_says_is_replaced() {
        let said = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        assert!(instead_of(said).is_some_and(|text| text.starts_with(b"HTTP/1.1 400 ")));
        let said = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\n\r\n";
        assert!(instead_of(said).is_some_and(|text| text.starts_with(b"HTTP/1.1 431 ")));
        assert_eq!(instead_of(b"HTTP/1.1 404 Not Found\r\nx-content-type-options: nosniff\r\n\r\n"), None);
        assert_eq!(instead_of(b"HTTP/1.1 200 OK\r\n\r\n"), None);
    }
}
