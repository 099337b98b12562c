//! Which headers a flow may answer with.
//!
//! A list of what is allowed, since proxies and caches in front of the host obey headers that no list of what is forbidden
//! would be complete about.

use http::HeaderName;

use crate::identity::SESSION_COOKIE;

/// The standard headers that are about one answer and nothing else, in alphabetical order.
const ALLOWED: [&str; 56] = [
    "accept-patch",
    "accept-post",
    "accept-ranges",
    "access-control-allow-credentials",
    "access-control-allow-headers",
    "access-control-allow-methods",
    "access-control-allow-origin",
    "access-control-expose-headers",
    "access-control-max-age",
    "age",
    "allow",
    "authentication-info",
    "cache-control",
    "content-digest",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-location",
    "content-md5",
    "content-range",
    "content-type",
    "cross-origin-embedder-policy",
    "cross-origin-opener-policy",
    "cross-origin-resource-policy",
    "deprecation",
    "digest",
    "etag",
    "expires",
    "idempotency-key",
    "last-modified",
    "link",
    "location",
    "permissions-policy",
    "pragma",
    "preference-applied",
    "ratelimit",
    "ratelimit-limit",
    "ratelimit-policy",
    "ratelimit-remaining",
    "ratelimit-reset",
    "referrer-policy",
    "repr-digest",
    "request-id",
    "retry-after",
    "server-timing",
    "set-cookie",
    "signature",
    "signature-input",
    "sourcemap",
    "sunset",
    "timing-allow-origin",
    "traceresponse",
    "vary",
    "webhook-allowed-origin",
    "webhook-allowed-rate",
    "www-authenticate",
];

/// What the names of other allowed headers begin with: names of one's own, CloudEvents, and htmx.
const ALLOWED_PREFIXES: [&str; 3] = ["x-", "ce-", "hx-"];

/// What the names of headers begin with, or are, that a server in front of the host, or a browser about all of the host's
/// address, would obey.
const OBEYED: [&str; 22] = [
    // nginx, Apache and lighttpd, OpenLiteSpeed, Perlbal: answer with another file or address, change limits and caching.
    "x-accel-",
    "x-sendfile",
    "x-lighttpd-",
    "x-litespeed-",
    "x-lsadc-",
    "x-reproxy-",
    "x-proxy-",
    // Envoy takes a server out of use, Varnish and Traffic Server configurations commonly read these.
    "x-envoy-",
    "x-varnish",
    "x-ban",
    "x-purge",
    "x-esi",
    "x-do-esi",
    "x-ats-",
    "x-squid-",
    // Content delivery networks and clouds.
    "x-akamai-",
    "x-amz-",
    "x-appengine-",
    "x-fastly-",
    "x-google-",
    // The host's.
    "x-content-type-options",
    "x-flowhost-",
];

/// Whether a flow may set this header.
pub(super) fn is_allowed(name: &HeaderName, value: &[u8]) -> bool {
    let text = name.as_str();
    let is_obeyed = || OBEYED.iter().any(|prefix| text.starts_with(prefix));
    let has_prefix = || ALLOWED_PREFIXES.iter().any(|prefix| text.len() > prefix.len() && text.starts_with(prefix));
    if ALLOWED.binary_search(&text).is_err() && (is_obeyed() || !has_prefix()) {
        return false;
    }
    name != http::header::SET_COOKIE || !(is_of_host(value) || has_domain(value))
}

/// Whether a `Set-Cookie` sets the cookie that is a login at this host. Browsers send a cookie without a name as its value alone,
/// which then looks like one with a name.
fn is_of_host(cookie: &[u8]) -> bool {
    let pair = cookie.split(|byte| *byte == b';').next().unwrap_or_default();
    let start = pair.iter().position(|byte| !byte.is_ascii_whitespace() && *byte != b'=').unwrap_or(pair.len());
    let name = pair[start..].split(|byte| *byte == b'=').next().unwrap_or_default();
    name.trim_ascii_end().eq_ignore_ascii_case(SESSION_COOKIE.as_bytes())
}

/// Whether a `Set-Cookie` is for other hosts of the domain as well.
fn has_domain(cookie: &[u8]) -> bool {
    cookie.split(|byte| *byte == b';').skip(1).any(|attribute| {
        let name = attribute.split(|byte| *byte == b'=').next().unwrap_or_default();
        name.trim_ascii().eq_ignore_ascii_case(b"domain")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(name: &str) -> bool {
        is_allowed(&HeaderName::from_bytes(name.as_bytes()).unwrap(), b"1")
    }

    #[test]
    fn allowed_headers_are_in_order() {
        assert!(ALLOWED.is_sorted());
        assert!(ALLOWED.iter().all(|name| allows(name)));
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

    #[test]
    fn the_sdks_double_has_the_same_lists() {
        let double = include_str!("../../../../guest-sdk/rust/src/testing/response_headers.rs");
        for name in ALLOWED.iter().chain(&ALLOWED_PREFIXES).chain(&OBEYED) {
            assert!(double.contains(&format!("\"{name}\"")), "{name}");
        }
        assert_eq!(double.matches(",\n").count(), ALLOWED.len() + OBEYED.len(), "one a line");
    }
}
