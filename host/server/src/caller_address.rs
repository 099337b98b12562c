//! The caller's address: the connection's peer, or what a trusted proxy in front of the host says.
//!
//! A proxy appends the address of its own client to `X-Forwarded-For` or `Forwarded`. Anything to the left of what the
//! trusted proxies appended was written by the caller and proves nothing, so the right-most address that is not a trusted
//! proxy counts.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};

use flowhost::IpNet;
use http::header::FORWARDED;
use http::{HeaderMap, HeaderName};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The address of the caller of a REST request, as an extension of the request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallerAddress(pub(crate) IpAddr);

/// The networks whose proxies are trusted to name the caller.
#[derive(Debug)]
pub(crate) struct TrustedProxies {
    networks: Vec<IpNet>,
    /// Whether the operator was told of a proxy that is not trusted.
    has_warned: AtomicBool,
}

impl TrustedProxies {
    pub(crate) fn new(networks: Vec<IpNet>) -> Self {
        Self { networks, has_warned: AtomicBool::new(false) }
    }

    /// Returns the caller's address of a request that `peer` sent.
    pub(crate) fn caller(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let peer = peer.to_canonical();
        if !self.trusts(peer) {
            self.warn_of_untrusted_proxy(peer, headers);
            return peer;
        }
        let by_x_forwarded_for = self.last_untrusted(peer, values(headers, &X_FORWARDED_FOR).map(forwarded_address));
        let by_forwarded = self.last_untrusted(peer, values(headers, &FORWARDED).map(forwarded_for));
        match (headers.contains_key(X_FORWARDED_FOR), headers.contains_key(FORWARDED)) {
            (true, false) => by_x_forwarded_for,
            (false, true) => by_forwarded,
            (true, true) if by_x_forwarded_for == by_forwarded => by_forwarded,
            // A proxy maintains one of the two headers and passes the other one on as the caller wrote it. Which one that is
            // cannot be seen here, so neither is believed.
            _ => peer,
        }
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(&address))
    }

    /// Walks the hops from the nearest to the farthest and returns the first that is not trusted, or the farthest one that can
    /// be read.
    fn last_untrusted(&self, peer: IpAddr, hops: impl DoubleEndedIterator<Item = Option<IpAddr>>) -> IpAddr {
        let mut caller = peer;
        for hop in hops.rev() {
            let Some(hop) = hop else { break };
            caller = hop;
            if !self.trusts(hop) {
                break;
            }
        }
        caller
    }

    /// Without this, every caller behind a proxy counts as one, and one of them can use up what all have.
    fn warn_of_untrusted_proxy(&self, peer: IpAddr, headers: &HeaderMap) {
        let is_forwarded = headers.contains_key(X_FORWARDED_FOR) || headers.contains_key(FORWARDED);
        let is_near = self.networks.is_empty()
            && match peer {
                IpAddr::V4(address) => address.is_loopback() || address.is_private(),
                IpAddr::V6(address) => address.is_loopback() || address.is_unique_local(),
            };
        if is_forwarded && is_near && !self.has_warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                %peer,
                "a request came through a proxy that is not trusted to name callers, so that all of its callers count as \
                 one address; if it is yours, add it to `trusted_proxies`"
            );
        }
    }
}

/// Returns the items of a header that is a list, over all of its lines.
fn values<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl DoubleEndedIterator<Item = &'a str> {
    let lines = headers.get_all(name).iter().map(|line| line.to_str().unwrap_or_default());
    lines.flat_map(|line| line.split(',')).map(str::trim)
}

/// Reads the address of an item of `X-Forwarded-For`: an address, with or without brackets and a port.
fn forwarded_address(item: &str) -> Option<IpAddr> {
    let unbracketed = item.strip_prefix('[').and_then(|item| item.strip_suffix(']')).unwrap_or(item);
    let with_port = || item.parse().ok().map(|address: SocketAddr| address.ip());
    unbracketed.parse().ok().or_else(with_port).map(|address: IpAddr| address.to_canonical())
}

/// Reads the address of an item of `Forwarded`: `for=192.0.2.1;proto=https`, `for="[2001:db8::1]:8080"`. RFC 7239 also
/// permits `unknown` and hidden names, which are no addresses.
fn forwarded_for(item: &str) -> Option<IpAddr> {
    item.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then(|| forwarded_address(value.trim().trim_matches('"')))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The caller's address of a request from `peer` with these headers, where 10.0.0.0/8 is trusted.
    fn caller(peer: &str, headers: &[(&'static str, &str)]) -> String {
        let proxies = TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap(), "2001:db8:a::/48".parse().unwrap()]);
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        proxies.caller(peer.parse().unwrap(), &map).to_string()
    }

    #[test]
    fn header_of_an_untrusted_peer_is_ignored() {
        assert_eq!(caller("192.0.2.7", &[("x-forwarded-for", "198.51.100.1")]), "192.0.2.7");
        assert_eq!(caller("::ffff:192.0.2.7", &[("forwarded", "for=198.51.100.1")]), "192.0.2.7");
    }

    #[test]
    fn rightmost_untrusted_address_is_the_caller() {
        for (header, value, expected) in [
            ("x-forwarded-for", "198.51.100.1", "198.51.100.1"),
            ("x-forwarded-for", "203.0.113.9, 198.51.100.1", "198.51.100.1"),
            ("x-forwarded-for", "203.0.113.9,198.51.100.1 , 10.1.2.3", "198.51.100.1"),
            ("x-forwarded-for", "198.51.100.1:4711", "198.51.100.1"),
            ("x-forwarded-for", "[2001:db8::1]:4711", "2001:db8::1"),
            ("x-forwarded-for", "::ffff:198.51.100.1", "198.51.100.1"),
            ("x-forwarded-for", "2001:db8:f::1, 2001:db8:a::1", "2001:db8:f::1"),
            ("forwarded", "for=203.0.113.9, For=\"[2001:db8::1]:80\";proto=https", "2001:db8::1"),
            ("forwarded", "by=10.0.0.9;for=198.51.100.1", "198.51.100.1"),
        ] {
            assert_eq!(caller("10.0.0.1", &[(header, value)]), expected, "{value}");
        }
        let lines = [("x-forwarded-for", "198.51.100.1"), ("x-forwarded-for", "10.0.0.2")];
        assert_eq!(caller("10.0.0.1", &lines), "198.51.100.1");
    }

    #[test]
    fn unreadable_hop_leaves_the_last_trusted_one() {
        for value in ["", "unknown", "198.51.100.1, _hidden", "198.51.100.1, not an address"] {
            assert_eq!(caller("10.0.0.1", &[("x-forwarded-for", value)]), "10.0.0.1", "{value}");
        }
        assert_eq!(caller("10.0.0.1", &[("x-forwarded-for", "unknown, 10.0.0.2")]), "10.0.0.2");
        assert_eq!(caller("10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn header_that_the_proxy_passes_on_moves_no_caller() {
        let both =
            |forwarded: &str| caller("10.0.0.1", &[("x-forwarded-for", "198.51.100.1"), ("forwarded", forwarded)]);
        assert_eq!(both("for=203.0.113.9"), "10.0.0.1", "one of them was written by the caller");
        assert_eq!(both("for=198.51.100.1"), "198.51.100.1");
    }
}
