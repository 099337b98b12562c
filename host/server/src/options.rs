//! What a server lets its clients do.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use flowhost::IpNet;

use crate::AccessLogTarget;

/// Where a server listens, and its limits.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// The address. Port 0 picks a free one.
    pub listen: SocketAddr,
    /// Connections at once. Beyond them a client is told 503 and left; far beyond them none is accepted.
    pub max_connections: usize,
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
}

impl Default for ServerOptions {
    /// Loopback port 8080, 1,000 connections, 75 s for a head and of silence, 30 s for a body, 10 s to drain.
    ///
    /// 75 s is more than what common reverse proxies keep idle connections for, so that the proxy closes first and no request
    /// is lost between the two.
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            max_connections: 1_000,
            header_timeout: Duration::from_secs(75),
            body_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(75),
            drain_timeout: Duration::from_secs(10),
            access_log: None,
            trusted_proxies: Vec::new(),
        }
    }
}
