//! What a request's head must be before anything else of it is looked at.

use flowhost::{Code, Problem};
use http::header::{HOST, TRANSFER_ENCODING};
use http::{HeaderMap, Request, Version};

use crate::options::HEADER_BYTES;

/// Judges a head by RFC 9110 and RFC 9112: what two servers in a row could read differently is refused.
///
/// # Errors
/// `request.too-large` (431), `request.malformed` (400 without one `Host`, 501 for a transfer coding but `chunked`).
pub(crate) fn judge<B>(request: &Request<B>) -> Result<(), Problem> {
    let headers = request.headers();
    if bytes(headers) > HEADER_BYTES {
        let detail = format!("the header fields have more than {HEADER_BYTES} bytes");
        return Err(Problem::new(Code::HeadersTooLarge, detail));
    }
    let mut hosts = headers.get_all(HOST).iter();
    let has_host = hosts.next().is_some();
    if hosts.next().is_some() {
        return Err(Problem::new(Code::Malformed, "the request has more than one Host"));
    }
    if request.version() == Version::HTTP_11 && !has_host {
        return Err(Problem::new(Code::Malformed, "the request has no Host, which HTTP/1.1 demands"));
    }
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    if !codings.all(|coding| coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked")) {
        return Err(Problem::new(Code::UnknownCoding, "of transfer codings this host takes chunked alone"));
    }
    Ok(())
}

/// Returns the bytes of a request's header fields.
pub(crate) fn bytes(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(version: Version, headers: &[(&str, &str)]) -> Option<u16> {
        let mut request = Request::builder().version(version);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        judge(&request.body(()).unwrap()).err().map(|problem| problem.code.info().status)
    }

    #[test]
    fn request_has_one_host() {
        assert_eq!(status(Version::HTTP_11, &[("host", "a")]), None);
        assert_eq!(status(Version::HTTP_11, &[]), Some(400));
        assert_eq!(status(Version::HTTP_11, &[("host", "a"), ("host", "a")]), Some(400));
        assert_eq!(status(Version::HTTP_10, &[]), None);
        assert_eq!(status(Version::HTTP_10, &[("host", "a"), ("host", "b")]), Some(400));
        assert_eq!(status(Version::HTTP_2, &[]), None);
    }

    #[test]
    fn transfer_coding_is_chunked() {
        let coded = |coding| status(Version::HTTP_11, &[("host", "a"), ("transfer-encoding", coding)]);
        assert_eq!(coded("chunked"), None);
        assert_eq!(coded(" Chunked "), None);
        assert_eq!(coded("gzip, chunked"), Some(501));
        assert_eq!(coded("chunked, chunked"), Some(501));
        let twice = [("host", "a"), ("transfer-encoding", "gzip"), ("transfer-encoding", "chunked")];
        assert_eq!(status(Version::HTTP_11, &twice), Some(501));
    }
}
