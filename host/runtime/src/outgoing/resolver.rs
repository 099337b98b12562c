//! From names to addresses that may be reached.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::vec;

use flowhost_model::RecordId;
use futures_util::future::BoxFuture;
use hyper_util::client::legacy::connect::dns::Name;
use tower_service::Service;

use super::Taker;
use super::address::Addresses;
use crate::pool::Pool;

tokio::task_local! {
    /// The flow whose request a connection is made for: connections know nothing of flows.
    pub(super) static ASKING: RecordId;
}

/// Finds the addresses of a name.
pub(super) trait Lookup: Send + Sync + 'static {
    /// The addresses, none where there is no such name.
    fn lookup(&self, name: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;
}

/// How many names are looked up at once. A lookup holds a thread until the system gives up, also when nobody waits for it any
/// more, and there are 512 such threads that the store reads with as well: far fewer, and enough for a thousand names a second
/// where an answer takes 30 ms.
const LOOKUPS: usize = 32;

/// Asks the system.
pub(super) struct SystemLookup {
    /// By flow, or by name where the flow is not known.
    turns: Pool<Taker>,
    ask: fn(&str) -> io::Result<Vec<IpAddr>>,
}

impl Default for SystemLookup {
    fn default() -> Self {
        let ask = |name: &str| Ok((name, 0).to_socket_addrs()?.map(|address| address.ip()).collect());
        Self { turns: Pool::new(LOOKUPS), ask }
    }
}

impl Lookup for SystemLookup {
    fn lookup(&self, name: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let (turns, ask) = (self.turns.clone(), self.ask);
        let taker = ASKING.try_with(|flow| Taker::Flow(*flow)).unwrap_or_else(|_| Taker::Host(name.clone()));
        Box::pin(async move {
            let turn = turns.take([taker]).await.ok_or_else(|| io::Error::other("the host is about to end"))?;
            let asked = tokio::task::spawn_blocking(move || {
                let _turn = turn;
                ask(&name)
            });
            asked.await.map_err(io::Error::other)?
        })
    }
}

/// Resolves names for the connector, and keeps from it what may not be reached: it connects to what was checked, so that a
/// name that changes its address in between gains nothing.
#[derive(Clone)]
pub(super) struct Resolver {
    pub(super) lookup: Arc<dyn Lookup>,
    pub(super) addresses: Arc<Addresses>,
}

/// Why a name leads nowhere.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unresolved {
    /// There is no such name.
    #[error("there is no address for `{0}`")]
    NotFound(String),
    /// It leads to addresses that may not be reached. Which, is nobody's to learn who asks: names of a network are its own.
    #[error("`{0}` leads to no address that is public")]
    NotPermitted(String),
}

impl Service<Name> for Resolver {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = Unresolved;
    type Future = BoxFuture<'static, Result<Self::Response, Unresolved>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Unresolved>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let name = name.as_str().to_owned();
        let (lookup, addresses) = (self.lookup.lookup(name.clone()), self.addresses.clone());
        Box::pin(async move {
            let found = lookup.await.unwrap_or_else(|error| {
                tracing::debug!(name, %error, "a name could not be resolved");
                Vec::new()
            });
            let permitted: Vec<_> = found.iter().filter(|address| addresses.permit(**address)).collect();
            match (permitted.as_slice(), found.as_slice()) {
                ([], []) => Err(Unresolved::NotFound(name)),
                ([], [address, ..]) => {
                    tracing::info!(name, %address, "a flow wanted to reach an address that is not permitted");
                    Err(Unresolved::NotPermitted(name))
                }
                // The connector fills the port in.
                (permitted, _) => {
                    let sockets = permitted.iter().map(|address| SocketAddr::new(**address, 0));
                    Ok(sockets.collect::<Vec<_>>().into_iter())
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures_util::FutureExt;

    use super::*;

    /// Answers differently each time, the last answer for ever.
    struct Fake(Mutex<Vec<Vec<&'static str>>>);

    impl Lookup for Fake {
        fn lookup(&self, _name: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
            let mut answers = self.0.lock().unwrap();
            let answer = if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() };
            Box::pin(async move { Ok(answer.iter().map(|address| address.parse().unwrap()).collect()) })
        }
    }

    async fn resolve(answers: &[&[&'static str]]) -> Vec<Result<Vec<String>, String>> {
        let lookup = Fake(Mutex::new(answers.iter().map(|answer| answer.to_vec()).collect()));
        let mut resolver = Resolver { lookup: Arc::new(lookup), addresses: Arc::default() };
        let mut results = Vec::new();
        for _ in answers {
            let found = resolver.call("name.example".parse().unwrap()).await;
            let found = found.map(|found| found.map(|socket| socket.ip().to_string()).collect());
            results.push(found.map_err(|error| error.to_string()));
        }
        results
    }

    #[tokio::test]
    async fn a_lookup_keeps_its_turn_until_it_has_ended_though_nobody_waits_for_it() {
        static GATE: Mutex<()> = Mutex::new(());
        let ask = |_: &str| {
            drop(GATE.lock().unwrap());
            Ok(vec![IpAddr::from([10, 0, 0, 1])])
        };
        let lookup = SystemLookup { turns: Pool::new(1), ask };
        let closed = GATE.lock().unwrap();
        let mut gone = lookup.lookup("a.example".to_owned());
        assert!((&mut gone).now_or_never().is_none());
        drop(gone);
        assert!(lookup.turns.is_full());
        let mut next = lookup.lookup("b.example".to_owned());
        assert!((&mut next).now_or_never().is_none());
        drop(closed);
        assert_eq!(next.await.unwrap(), [IpAddr::from([10, 0, 0, 1])]);
    }

    #[tokio::test]
    #[expect(clippy::await_holding_lock, reason = "it is what keeps the other look-ups from ending")]
    async fn flow_whose_names_never_resolve_leaves_lookups_to_others() {
        static GATE: Mutex<()> = Mutex::new(());
        let ask = |name: &str| {
            if name == "dead.example" {
                drop(GATE.lock());
            }
            Ok(vec![IpAddr::from([10, 0, 0, 1])])
        };
        let lookup = SystemLookup { turns: Pool::new(4), ask };
        let closed = GATE.lock().unwrap();
        let (dead, alive) = (RecordId::new(), RecordId::new());
        let mut stuck: Vec<_> =
            (0..9).map(|_| ASKING.sync_scope(dead, || lookup.lookup("dead.example".to_owned()))).collect();
        for lookup in &mut stuck {
            assert!(lookup.now_or_never().is_none());
        }
        ASKING.sync_scope(alive, || lookup.lookup("alive.example".to_owned())).await.unwrap();
        drop(closed);
        for lookup in stuck {
            lookup.await.unwrap();
        }
    }

    #[tokio::test]
    async fn only_public_addresses_are_given() {
        let found = resolve(&[&["10.0.0.1", "93.184.215.14", "::1", "2606:4700::1111"]]).await;
        assert_eq!(found, [Ok(vec!["93.184.215.14".to_owned(), "2606:4700::1111".to_owned()])]);
    }

    #[tokio::test]
    async fn a_name_that_leads_to_private_addresses_alone_is_refused() {
        for address in ["127.0.0.1", "169.254.169.254", "fd00:ec2::254", "::ffff:10.0.0.1"] {
            let found = resolve(&[&[address]]).await;
            assert_eq!(found, [Err("`name.example` leads to no address that is public".to_owned())]);
        }
        assert_eq!(resolve(&[&[]]).await, [Err("there is no address for `name.example`".to_owned())]);
    }

    #[tokio::test]
    async fn each_answer_of_a_name_that_changes_is_checked() {
        let found = resolve(&[&["93.184.215.14"], &["127.0.0.1"]]).await;
        assert_eq!(found[0], Ok(vec!["93.184.215.14".to_owned()]));
        assert!(found[1].is_err());
    }
}
