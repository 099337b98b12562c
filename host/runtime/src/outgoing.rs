//! Requests of flows to the outside: what may be sent where, and the exchange itself.
//!
//! Nothing is allowed unless the host's list and the flow's both permit it, and no address is reached that is not public
//! unless the operator permits its network. Redirects are hops like the first.

mod address;
mod allow_list;
mod base64_bytes;
mod client;
mod exchange;
mod failure;
mod log;
mod request;
mod resolver;
mod share;

use std::path::PathBuf;
use std::sync::Arc;

use flowhost_model::RecordId;
use ipnet::IpNet;

pub use allow_list::{AllowList, InvalidLine};
pub(crate) use exchange::Response;
pub(crate) use failure::{Cause, Failure};
pub(crate) use log::log_ended;
pub(crate) use request::{Draft, HEADER_BYTES, HEADERS, OWN_HEADERS, Request, URL_LIMIT, beginning};
pub(crate) use share::{Share, Turn};

use self::address::Addresses;
use self::client::Connections;
use self::resolver::{Resolver, SystemLookup};
use crate::limits::HttpLimits;
use crate::pool::Pool;

/// Where the flows of a host may send requests. Nowhere unless set.
#[derive(Clone, Debug, Default)]
pub struct HttpPolicy {
    /// What the host permits; a flow's own list must permit it too.
    pub allow: AllowList,
    /// Networks that may be reached although they are not public, such as `10.0.0.0/8`.
    pub private: Vec<IpNet>,
    /// A file of certificates, as PEM, that are trusted beside the system's.
    pub ca_file: Option<PathBuf>,
}

/// What sends the requests of a host's flows.
pub(crate) struct Outgoing {
    policy: HttpPolicy,
    limits: HttpLimits,
    addresses: Arc<Addresses>,
    connections: Connections,
    /// The exchanges that the host may have at once.
    parallel: Pool<Taker, 2>,
}

/// Whose exchanges and look-ups share the host's.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Taker {
    /// The flow that asks.
    Flow(RecordId),
    /// The server that is asked, or the name that is looked up.
    Host(String),
}

impl Outgoing {
    /// What the host permits.
    pub(crate) fn allow(&self) -> &AllowList {
        &self.policy.allow
    }

    pub(crate) fn new(policy: HttpPolicy, limits: HttpLimits) -> Self {
        let addresses = Arc::new(Addresses { private: policy.private.clone() });
        let resolver = Resolver { lookup: Arc::new(SystemLookup::default()), addresses: addresses.clone() };
        Self {
            connections: Connections::new(resolver, limits.connect, policy.ca_file.clone()),
            parallel: Pool::new(limits.host_parallel as usize),
            addresses,
            limits,
            policy,
        }
    }

    /// The limits.
    pub(crate) fn limits(&self) -> &HttpLimits {
        &self.limits
    }
}
