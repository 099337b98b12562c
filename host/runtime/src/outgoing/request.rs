//! A request of a flow: as the flow gave it, and as it can be sent.

use std::time::Duration;

use bytes::Bytes;
use data_encoding::HEXLOWER;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Method};
use sha2::{Digest, Sha256};
use url::Url;

use super::failure::{Cause, Failure};
use crate::execution::Live;

/// The longest address, in bytes. Servers take half of it, as a rule.
pub(crate) const URL_LIMIT: usize = 16 << 10;

/// The longest name of a host, with its last dot, and the longest method, in bytes. No name of DNS is longer; no registered
/// method is half as long.
const HOST_LIMIT: usize = 254;
const METHOD_LIMIT: usize = 40;

/// What the headers of a request may take together, in bytes, and how many there may be.
pub(crate) const HEADER_BYTES: usize = 64 << 10;
pub(crate) const HEADERS: usize = 200;

/// The most redirects that are followed.
const REDIRECTS_LIMIT: u32 = 20;

/// The redirects that are followed unless the flow says otherwise.
const REDIRECTS: u32 = 5;

/// Headers that belong to one connection, or that say what the host knows better.
pub(crate) const OWN_HEADERS: [&str; 11] = [
    "connection",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// A request as a flow made it, unchecked.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) method: String,
    pub(crate) url: String,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) body: Bytes,
    /// What was given that is too large to be kept.
    pub(crate) too_large: Option<Cause>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) redirects: u32,
    pub(crate) repeat_when_unknown: bool,
}

/// A request that can be sent.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) timeout: Option<Duration>,
    pub(super) redirects: u32,
    repeat_when_unknown: bool,
}

impl Draft {
    /// A request with a method and an address, neither of which is kept where it is longer than an address may be.
    pub(crate) fn new(mut method: String, mut url: String) -> Self {
        let too_large = (method.len() > URL_LIMIT || url.len() > URL_LIMIT).then_some(Cause::AddressTooLong);
        if too_large.is_some() {
            (method, url) = (String::new(), String::new());
        }
        Self {
            method,
            url,
            headers: Vec::new(),
            body: Bytes::new(),
            too_large,
            timeout: None,
            redirects: REDIRECTS,
            repeat_when_unknown: false,
        }
    }

    /// Adds a header, as long as there is room for it.
    pub(crate) fn append_header(&mut self, name: String, value: Vec<u8>) {
        if self.has_room(name.len() + value.len()) {
            self.headers.push((name, value));
        } else {
            self.too_large = Some(Cause::RequestTooLarge);
        }
    }

    /// Whether there is room for another header of so many bytes.
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        self.headers.len() < HEADERS && self.header_bytes() + bytes <= HEADER_BYTES
    }

    fn header_bytes(&self) -> usize {
        self.headers.iter().map(|(name, value)| name.len() + value.len()).sum()
    }

    /// Bytes of everything but the body.
    pub(crate) fn head_bytes(&self) -> usize {
        self.method.len() + self.url.len() + self.header_bytes()
    }

    /// What is left of a request that is larger than there is room for.
    pub(crate) fn too_large() -> Self {
        Self { too_large: Some(Cause::RequestTooLarge), ..Self::new(String::new(), String::new()) }
    }

    /// What tells this request from others: its method and address, and a digest of everything.
    pub(crate) fn summary(&self) -> (&str, &str, String) {
        let mut digest = Sha256::new();
        let mut part = |bytes: &[u8]| {
            digest.update((bytes.len() as u64).to_le_bytes());
            digest.update(bytes);
        };
        for (name, value) in &self.headers {
            part(name.as_bytes());
            part(value);
        }
        part(&self.body);
        let timeout = self.timeout.map_or(u128::MAX, |timeout| timeout.as_nanos());
        part(&timeout.to_le_bytes());
        part(&self.redirects.to_le_bytes());
        part(&[u8::from(self.too_large.is_some()), u8::from(self.repeat_when_unknown)]);
        (&self.method, &self.url, HEXLOWER.encode(&digest.finalize()))
    }

    /// The request, checked by itself: who may send it where is another question.
    pub(crate) fn check(self, body_limit: u64) -> Result<Request, Failure> {
        if let Some(cause) = self.too_large {
            let message = format!(
                "a request has at most {body_limit} bytes of body, {HEADERS} headers, {HEADER_BYTES} bytes of them and an \
                 address of {URL_LIMIT}; and all that an execution has not sent yet is limited"
            );
            return Err(Failure::new(Failure::TOO_LARGE, message).caused_by(cause));
        }
        let method = Method::from_bytes(self.method.to_ascii_uppercase().as_bytes());
        let method = method.ok().filter(|_| self.method.len() <= METHOD_LIMIT);
        let method = method.ok_or_else(|| Failure::invalid(format!("`{}` is no method", beginning(&self.method))))?;
        if method == Method::CONNECT {
            return Err(Failure::invalid("CONNECT makes no request but a tunnel"));
        }
        let url = address(&self.url)?;
        let mut headers = HeaderMap::with_capacity(self.headers.len());
        for (name, value) in self.headers {
            let parsed = HeaderName::from_bytes(name.as_bytes());
            let parsed =
                parsed.map_err(|_| Failure::invalid(format!("`{}` is no name of a header", beginning(&name))))?;
            if OWN_HEADERS.contains(&parsed.as_str()) {
                return Err(Failure::invalid(format!("the header `{parsed}` is the host's own; leave it out")));
            }
            if parsed == header::CONTENT_LENGTH {
                // The host writes it; many clients do so before.
                let length = std::str::from_utf8(&value).ok().and_then(|length| length.trim().parse().ok());
                if length != Some(self.body.len()) {
                    let message = format!("`content-length` is not the body's, which has {} bytes", self.body.len());
                    return Err(Failure::invalid(message));
                }
                continue;
            }
            let value = HeaderValue::from_bytes(&value);
            let wrong = |_| format!("the value of the header `{}` is none", beginning(parsed.as_str()));
            let value = value.map_err(|error| Failure::invalid(wrong(error)))?;
            headers.append(parsed, value);
        }
        Ok(Request {
            method,
            url,
            headers,
            body: self.body,
            timeout: self.timeout,
            redirects: self.redirects.min(REDIRECTS_LIMIT),
            repeat_when_unknown: self.repeat_when_unknown,
        })
    }
}

impl Request {
    /// Whether it may be sent once more though the first may have been received: RFC 9110, section 9.2.2, and whoever sent it
    /// said so.
    pub(crate) fn is_repeatable(&self) -> bool {
        let by_method = [Method::GET, Method::HEAD, Method::OPTIONS, Method::PUT, Method::DELETE];
        self.repeat_when_unknown || by_method.contains(&self.method) || self.headers.contains_key("idempotency-key")
    }

    /// Method and address for people: without query and user.
    pub(crate) fn shown(&self, live: &Live) -> String {
        super::log::shown(live, &self.method, &self.url)
    }
}

/// The address without what may be secret.
pub(super) fn without_query(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    url.into()
}

/// An absolute address of the web.
pub(super) fn address(text: &str) -> Result<Url, Failure> {
    if text.len() > URL_LIMIT {
        return Err(too_long());
    }
    let mut url =
        Url::parse(text).map_err(|error| Failure::invalid(format!("`{}` is no address: {error}", beginning(text))))?;
    check_address(&url)?;
    url.set_fragment(None);
    Ok(url)
}

/// Refuses an address that is no address of the web, or that holds a user.
pub(super) fn check_address(url: &Url) -> Result<(), Failure> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(Failure::invalid(format!("`{}` is neither `https` nor `http`", beginning(url.scheme()))));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Failure::invalid("an address holds no user; write the header `authorization`"));
    }
    if url.host_str().is_some_and(|host| host.len() > HOST_LIMIT) {
        return Err(Failure::invalid(format!("the name of a host has at most {HOST_LIMIT} bytes")));
    }
    if url.as_str().len() > URL_LIMIT {
        return Err(too_long());
    }
    Ok(())
}

fn too_long() -> Failure {
    let message = format!("an address has at most {URL_LIMIT} bytes");
    Failure::new(Failure::TOO_LARGE, message).caused_by(Cause::AddressTooLong)
}

/// The beginning of a text that may be long.
pub(crate) fn beginning(text: &str) -> &str {
    &text[..text.floor_char_boundary(200)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(method: &str, url: &str) -> Draft {
        Draft::new(method.into(), url.into())
    }

    fn code(draft: Draft) -> String {
        draft.check(1_000).unwrap_err().code
    }

    #[test]
    fn what_is_no_request_is_refused() {
        for (method, url) in [
            ("", "https://a"),
            ("G T", "https://a"),
            ("CONNECT", "https://a"),
            ("GET", "a"),
            ("GET", "/a"),
            ("GET", "https://"),
            ("GET", "ftp://a"),
            ("GET", "file:///etc/passwd"),
            ("GET", "https://user@a"),
            ("GET", "https://:word@a"),
            ("GET", "http://[::1"),
            ("GET", "http://256.0.0.1"),
        ] {
            assert_eq!(code(draft(method, url)), Failure::INVALID_REQUEST, "{method} {url}");
        }
        assert_eq!(code(draft("GET", &format!("https://a/{}", "x".repeat(URL_LIMIT)))), Failure::TOO_LARGE);
    }

    #[test]
    fn headers_of_the_connection_are_the_hosts() {
        for (name, value) in
            [("Host", "b"), ("TE", "x"), ("connection", "x"), ("", "x"), ("a b", "x"), ("a", "x\r\ny: z")]
        {
            let mut draft = draft("GET", "https://a");
            draft.append_header(name.into(), value.into());
            assert_eq!(code(draft), Failure::INVALID_REQUEST, "{name}");
        }
    }

    #[test]
    fn a_length_must_be_the_bodys_and_is_left_to_the_host() {
        let mut request = draft("POST", "https://a");
        request.body = Bytes::from_static(b"abc");
        request.append_header("Content-Length".into(), b"3".to_vec());
        assert!(request.clone().check(1_000).unwrap().headers.is_empty());
        request.body = Bytes::from_static(b"abcd");
        assert_eq!(code(request), Failure::INVALID_REQUEST);
    }

    #[test]
    fn too_many_headers_are_refused_and_not_kept() {
        let mut many = draft("GET", "https://a");
        for _ in 0..HEADERS + 1 {
            many.append_header("a".into(), b"b".to_vec());
        }
        assert_eq!(many.headers.len(), HEADERS);
        assert_eq!(code(many), Failure::TOO_LARGE);
        let mut large = draft("GET", "https://a");
        large.append_header("a".into(), vec![b'x'; HEADER_BYTES]);
        assert!(large.headers.is_empty());
        assert_eq!(code(large), Failure::TOO_LARGE);
    }

    #[test]
    fn a_request_is_repeatable_by_its_method_by_a_key_or_by_wish() {
        let is_repeatable = |draft: Draft| draft.check(1_000).unwrap().is_repeatable();
        for method in ["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "get"] {
            assert!(is_repeatable(draft(method, "https://a")), "{method}");
        }
        for method in ["POST", "PATCH", "TRACE", "MKCOL"] {
            assert!(!is_repeatable(draft(method, "https://a")), "{method}");
        }
        let mut keyed = draft("POST", "https://a");
        keyed.append_header("Idempotency-Key".into(), b"7".to_vec());
        assert!(is_repeatable(keyed));
        assert!(is_repeatable(Draft { repeat_when_unknown: true, ..draft("POST", "https://a") }));
    }

    #[test]
    fn requests_that_differ_in_anything_have_different_summaries() {
        let one = draft("POST", "https://a");
        let mut others = vec![one.clone(); 6];
        others[0].body = Bytes::from_static(b"x");
        others[1].append_header("a".into(), b"bc".to_vec());
        others[2].append_header("ab".into(), b"c".to_vec());
        others[3].timeout = Some(Duration::from_secs(1));
        others[4].redirects = 0;
        others[5].repeat_when_unknown = true;
        let digests: std::collections::HashSet<String> = others.iter().map(|other| other.summary().2).collect();
        assert_eq!(digests.len(), others.len());
        assert!(!digests.contains(&one.summary().2));
    }

    #[test]
    fn what_is_shown_has_no_query() {
        let request = draft("get", "https://A.example/x?key=secret#y").check(1_000).unwrap();
        assert_eq!(without_query(&request.url), "https://a.example/x");
    }

    #[test]
    fn what_a_refusal_repeats_is_short() {
        let long = "x".repeat(10_000);
        let mut header = draft("GET", "https://a");
        header.append_header(long.clone(), b"\r\n".to_vec());
        for refused in [
            draft(&long, "https://a"),
            draft("GET", &format!("https://{long}.example/")),
            draft("GET", &format!("{long}://a")),
            header,
        ] {
            let refused = refused.check(1_000).unwrap_err();
            assert_eq!(refused.code, Failure::INVALID_REQUEST);
            assert!(refused.message.len() < 300, "{}", refused.message);
        }
        let longest = format!("https://{}.example./", "x".repeat(HOST_LIMIT - 9));
        assert!(draft("GET", &longest).check(1_000).is_ok());
    }

    #[test]
    fn a_request_that_is_too_large_is_told_from_one_whose_address_is_too_long() {
        let cause = |draft: Draft| draft.check(1_000).unwrap_err().cause;
        assert_eq!(cause(Draft::too_large()), Some(Cause::RequestTooLarge));
        assert_eq!(cause(draft("GET", &format!("https://a/{}", "x".repeat(URL_LIMIT)))), Some(Cause::AddressTooLong));
    }
}
