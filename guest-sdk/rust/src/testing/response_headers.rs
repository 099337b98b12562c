//! Which headers the host lets a flow answer with.

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

const ALLOWED_PREFIXES: [&str; 3] = ["x-", "ce-", "hx-"];

const REFUSED_PREFIXES: [&str; 22] = [
    "x-accel-",
    "x-sendfile",
    "x-lighttpd-",
    "x-litespeed-",
    "x-lsadc-",
    "x-reproxy-",
    "x-proxy-",
    "x-envoy-",
    "x-varnish",
    "x-ban",
    "x-purge",
    "x-esi",
    "x-do-esi",
    "x-ats-",
    "x-squid-",
    "x-akamai-",
    "x-amz-",
    "x-appengine-",
    "x-fastly-",
    "x-google-",
    "x-content-type-options",
    "x-flowhost-",
];

/// Whether the host takes this header. `name` is in lower case.
pub(super) fn is_allowed(name: &str, value: &[u8]) -> bool {
    let is_refused = || REFUSED_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    let has_prefix = || ALLOWED_PREFIXES.iter().any(|prefix| name.len() > prefix.len() && name.starts_with(prefix));
    if !ALLOWED.contains(&name) && (is_refused() || !has_prefix()) {
        return false;
    }
    name != "set-cookie" || !has_domain(value)
}

/// Whether a cookie is for other hosts of the domain as well.
fn has_domain(cookie: &[u8]) -> bool {
    cookie.split(|byte| *byte == b';').skip(1).any(|attribute| {
        let attribute = attribute.split(|byte| *byte == b'=').next().unwrap_or_default();
        attribute.trim_ascii().eq_ignore_ascii_case(b"domain")
    })
}
