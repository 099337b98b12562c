//! Which headers a flow may answer with.

use http::HeaderName;

use crate::identity::SESSION_COOKIE;

#[path = "../../../../guest-sdk/rust/src/testing/response_headers.rs"]
mod contract;

/// Whether a flow may set this header: the contract allows it, and it does not set this host's login cookie.
pub(super) fn is_allowed(name: &HeaderName, value: &[u8]) -> bool {
    contract::is_allowed(name.as_str(), value) && (name != http::header::SET_COOKIE || !is_of_host(value))
}

/// Whether a `Set-Cookie` sets the cookie that is a login at this host. Browsers send a cookie without a name as its value alone,
/// which then looks like one with a name.
fn is_of_host(cookie: &[u8]) -> bool {
    let pair = cookie.split(|byte| *byte == b';').next().unwrap_or_default();
    let start = pair.iter().position(|byte| !byte.is_ascii_whitespace() && *byte != b'=').unwrap_or(pair.len());
    let name = pair[start..].split(|byte| *byte == b'=').next().unwrap_or_default();
    name.trim_ascii_end().eq_ignore_ascii_case(SESSION_COOKIE.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(name: &str) -> bool {
        is_allowed(&HeaderName::from_bytes(name.as_bytes()).unwrap(), b"1")
    }

    #[test]
    fn headers_of_ones_own_are_allowed() {
        for name in ["X-Request-Id", "x-a", "X-Frame-Options", "X-Robots-Tag", "ce-id", "HX-Redirect", "X-Accelerated"]
        {
            assert!(allows(name), "{name}");
        }
    }

    #[test]
    fn headers_that_others_obey_are_refused() {
        let refused = "connection keep-alive te trailer transfer-encoding upgrade proxy-authenticate content-length date server \
            via flowhost-execution-id content-security-policy content-security-policy-report-only x-content-type-options \
            clear-site-data strict-transport-security alt-svc nel report-to reporting-endpoints expect-ct public-key-pins \
            service-worker-allowed accept-ch critical-ch refresh speculation-rules origin-agent-cluster surrogate-control \
            surrogate-key edge-control cdn-cache-control cloudflare-cdn-cache-control x-accel-redirect x-accel-buffering \
            x-accel-expires x-sendfile x-sendfile2 x-sendfile-temporary x-lighttpd-send-file x-litespeed-location x-reproxy-url \
            x-reproxy-file x-envoy-immediate-health-check-fail x-appengine-blobkey x- ce- a";
        for name in refused.split_whitespace() {
            assert!(!allows(name), "{name}");
        }
    }

    #[test]
    fn cookie_of_a_domain_or_of_the_host_is_refused() {
        let allows = |cookie: &str| is_allowed(&http::header::SET_COOKIE, cookie.as_bytes());
        for cookie in ["a=1", "domain=1; Path=/", "a=1; Path=/domain; HttpOnly", "a=domain"] {
            assert!(allows(cookie), "{cookie}");
        }
        for cookie in ["a=1; Domain=example.com", "a=1;DOMAIN = .example.com; Path=/", "a=1; domain", "a=1;\tdomain=b"]
        {
            assert!(!allows(cookie), "{cookie}");
        }
        for (before, after) in [("", "=1"), (" ", " =1; Path=/"), ("=", "=1"), ("= ", "=1"), ("", "")] {
            assert!(!allows(&format!("{before}{SESSION_COOKIE}{after}")));
        }
        assert!(allows(&format!("a{SESSION_COOKIE}={SESSION_COOKIE}=1")));
    }
}
