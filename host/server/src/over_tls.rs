//! Whether a request came over TLS, which a proxy in front of the host ends.

use std::net::IpAddr;

use http::header::FORWARDED;
use http::{HeaderMap, HeaderName};

use crate::ServerOptions;

const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Extends a request that came over TLS.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OverTls;

impl OverTls {
    /// Returns `OverTls` if the operator says that everything does, or a trusted proxy says that this request did.
    pub(crate) fn of(options: &ServerOptions, peer: IpAddr, headers: &HeaderMap) -> Option<Self> {
        let is_over_tls = options.is_public_tls() || (options.is_trusted_proxy(peer) && proxy_says_so(headers));
        is_over_tls.then_some(Self)
    }
}

/// Whether the nearest proxy had the request over TLS: what stands to the left of what that one wrote, a caller may have written.
fn proxy_says_so(headers: &HeaderMap) -> bool {
    let last = |name: &HeaderName| headers.get_all(name).iter().next_back()?.to_str().ok()?.rsplit(',').next();
    let by_forwarded = || {
        last(&FORWARDED)?.split(';').find_map(|pair| {
            let (name, value) = pair.split_once('=')?;
            name.trim().eq_ignore_ascii_case("proto").then(|| value.trim().trim_matches('"'))
        })
    };
    last(&X_FORWARDED_PROTO)
        .map(str::trim)
        .or_else(by_forwarded)
        .is_some_and(|proto| proto.eq_ignore_ascii_case("https"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_over_tls(options: &ServerOptions, peer: &str, headers: &[(&'static str, &str)]) -> bool {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        OverTls::of(options, peer.parse().unwrap(), &headers).is_some()
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        let mut options =
            ServerOptions { trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()], ..ServerOptions::default() };
        for (name, value, expected) in [
            ("x-forwarded-proto", "https", true),
            ("x-forwarded-proto", "http, HTTPS", true),
            ("x-forwarded-proto", "https, http", false),
            ("x-forwarded-proto", "http", false),
            ("forwarded", "for=192.0.2.1;proto=https", true),
            ("forwarded", "for=192.0.2.1;proto=https, for=192.0.2.2", false),
            ("x-other", "https", false),
        ] {
            assert_eq!(is_over_tls(&options, "10.1.2.3", &[(name, value)]), expected, "{value}");
            assert!(!is_over_tls(&options, "192.0.2.1", &[(name, value)]), "{value}");
        }
        options.public_url = Some("https://flows.example".to_owned());
        assert!(is_over_tls(&options, "192.0.2.1", &[]));
    }
}
