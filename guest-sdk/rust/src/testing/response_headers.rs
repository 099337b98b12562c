//! Which headers a flow may answer with: the rules of the contract, which the host and the tests of flows share.
//!
//! The file belongs to the SDK, whose package has only files of its own; the host compiles the same file.
//!
//! A list of what is allowed, since proxies and caches in front of the host obey headers that no list of what is forbidden
//! would be complete about.

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

/// Whether a flow may set this header, whatever the host. `name` is in lower case.
pub(super) fn is_allowed(name: &str, value: &[u8]) -> bool {
    let is_obeyed = || OBEYED.iter().any(|prefix| name.starts_with(prefix));
    let has_prefix = || ALLOWED_PREFIXES.iter().any(|prefix| name.len() > prefix.len() && name.starts_with(prefix));
    if ALLOWED.binary_search(&name).is_err() && (is_obeyed() || !has_prefix()) {
        return false;
    }
    name != "set-cookie" || !has_domain(value)
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

    #[test]
    fn allowed_headers_are_in_order() {
        assert!(ALLOWED.is_sorted());
        assert!(ALLOWED.iter().all(|name| is_allowed(name, b"1")));
    }
}
