//! What a server lets its clients do.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use flowhost::{IpNet, Limits};

use crate::AccessLogTarget;

/// The most that the fields of a request's head may have together, in bytes. Browsers and senders stay far below.
pub(crate) const HEADER_BYTES: usize = 32 << 10;

/// Where a server listens, and its limits.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// The address. Port 0 picks a free one.
    pub listen: SocketAddr,
    /// Connections at once. One address has at most half of those that the others leave free. Beyond that a client is told 503
    /// and left.
    pub max_connections: usize,
    /// The bytes of requests whose bodies are being read, or that wait to be run, at once. One address has at most half of what
    /// the others leave free. A quarter is for callers whose key can only be in the body.
    pub request_bytes: u64,
    /// The bytes of answers that their callers have not taken. A caller whose address has left more than its share of them
    /// waits before its next request begins: half of what the others leave free.
    pub answer_bytes: u64,
    /// The longest time in which a request's head must arrive, and that a kept connection may be silent before it.
    pub header_timeout: Duration,
    /// The longest time in which a request's body must arrive.
    pub body_timeout: Duration,
    /// The longest time without a request after which a connection is closed.
    pub idle_timeout: Duration,
    /// How long running requests may take to end after the server was told to stop.
    pub drain_timeout: Duration,
    /// Where a line for each request goes; nowhere unless set. Refusals are in the host's audit log all the same.
    pub access_log: Option<AccessLogTarget>,
    /// The networks of reverse proxies whose `X-Forwarded-For` or `Forwarded` names the caller. Without any, the caller is the
    /// peer of the connection.
    pub trusted_proxies: Vec<IpNet>,
    /// The address by which callers reach the host, such as `https://flows.example.com`. With `https`, a proxy in front of the
    /// host ends TLS, and the cookie of a login is sent over TLS only.
    pub public_url: Option<String>,
}

impl Default for ServerOptions {
    /// Loopback port 8080, 1,000 connections, 64 MiB of requests under way, 64 MiB of answers, 75 s for a head and of silence, 30 s for a body, 10 s to drain.
    ///
    /// 75 s is more than what common reverse proxies keep idle connections for, so that the proxy closes first and no request
    /// is lost between the two.
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            max_connections: 1_000,
            request_bytes: 64 << 20,
            answer_bytes: 64 << 20,
            header_timeout: Duration::from_secs(75),
            body_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(75),
            drain_timeout: Duration::from_secs(10),
            access_log: None,
            trusted_proxies: Vec::new(),
            public_url: None,
        }
    }
}

impl ServerOptions {
    /// Whether callers reach the host over TLS.
    pub fn is_public_tls(&self) -> bool {
        let scheme = self.public_url.as_deref().and_then(|url| url.split_once("://")).map(|(scheme, _)| scheme);
        scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"))
    }

    /// The bytes of files and components that users send at once: two of the largest, one of which a caller can have.
    pub fn upload_bytes(&self, limits: &Limits) -> u64 {
        2 * (limits.file_bytes.max(limits.compile.component_bytes) + HEADER_BYTES as u64)
    }

    /// Whether this peer is a proxy that the operator trusts.
    pub(crate) fn is_trusted_proxy(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.trusted_proxies.iter().any(|network| network.contains(&peer))
    }
}
