//! Listening, accepting, stopping.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use flowhost::{CallerNetwork, Code, Host, Problem};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::access_log::AccessLog;
use crate::activity::Activity;
use crate::connection::Connections;
use crate::places::{Place, Places};
use crate::service::Service;
use crate::share::Pool;
use crate::{ServerOptions, lingering, unserved, webhook};

/// Clients beyond the limit that are told so at once. The connection of one more is closed without a word.
const TURNED_AWAY_AT_ONCE: u64 = 100;

/// The longest time that telling a client of the limit may take.
const TURN_AWAY_TIME: Duration = Duration::from_secs(2);

/// How long a client beyond the limit waits for a connection that rests to make room.
const MAKE_ROOM_TIME: Duration = Duration::from_secs(1);

/// The pause after an error of `accept`, which is about this machine's resources and does not pass by itself at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long the last of those who came while the server was about to stop have to read their answer.
const LATE_TIME: Duration = Duration::from_millis(200);

/// Why a server cannot begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {error}; choose another address with --listen, port 0 picks a free one")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        error: io::Error,
    },
    /// The file of the access log cannot be opened.
    #[error("cannot write the access log: {error}; `access_log` names its file")]
    AccessLog {
        /// What the system says.
        error: io::Error,
    },
}

/// A server that has its address and does not serve yet.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    host: Host,
    options: ServerOptions,
    access_log: Option<AccessLog>,
}

/// Takes the address.
pub async fn bind(host: Host, options: ServerOptions) -> Result<Server, ServerError> {
    let listen = options.listen;
    let failed = |error| ServerError::Listen { address: listen, error };
    let listener = TcpListener::bind(listen).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let open = |target| AccessLog::open(target, host.clock().clone());
    let access_log = options.access_log.as_ref().map(open).transpose();
    let access_log = access_log.map_err(|error| ServerError::AccessLog { error })?;
    Ok(Server { listener, address, host, options, access_log })
}

impl Server {
    /// The address, with the port that was picked.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` is ready. Then refuses new executions, lets requests under way end, answers those that come
    /// meanwhile that it is about to stop, and returns.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let Self { listener, host, options, access_log, .. } = self;
        let access_log = access_log.map(Arc::new);
        let service = Service::new(host.clone(), options.clone(), access_log.clone());
        let connections = Connections::new(service, options.clone());
        let stop = CancellationToken::new();
        let places = Places::new(options.max_connections, stop.clone());
        let away = Pool::new(TURNED_AWAY_AT_ONCE);
        // A proxy that the operator trusts stands for many callers. It is the proxy's to give each of them its share.
        let counted = |peer| Some(peer).filter(|_| !options.is_trusted_proxy(peer)).map(CallerNetwork::from);
        let tasks = TaskTracker::new();
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            let accepted = tokio::select! {
                biased;
                () = shutdown.as_mut() => break,
                accepted = accept(&listener) => accepted,
            };
            let (stream, peer) = accepted;
            let (network, connections) = (counted(peer), connections.clone());
            if let Some(place) = places.take(network) {
                tasks.spawn(serve(connections, stream, peer, place));
                continue;
            }
            // As many wait for a place at the most as there are connections that leave for them.
            if places.ask_to_leave(network) {
                let (places, host) = (places.clone(), host.clone());
                tasks.spawn(async move {
                    if let Some(place) = places.take_what_was_left(network, MAKE_ROOM_TIME).await {
                        return serve(connections, stream, peer, place).await;
                    }
                    let problem = too_many(&host, peer);
                    let _told = tokio::time::timeout(TURN_AWAY_TIME, turn_away(stream, &problem)).await;
                });
                continue;
            }
            let problem = too_many(&host, peer);
            if let Some(leaving) = away.take(network, 1) {
                tasks.spawn(async move {
                    let _told = tokio::time::timeout(TURN_AWAY_TIME, turn_away(stream, &problem)).await;
                    drop(leaving);
                });
            }
        }
        host.drain();
        stop.cancel();
        tasks.close();
        let (over, late) = (CancellationToken::new(), TaskTracker::new());
        let mut ended = std::pin::pin!(tokio::time::timeout(options.drain_timeout, tasks.wait()));
        loop {
            tokio::select! {
                biased;
                ended = ended.as_mut() => {
                    if ended.is_err() {
                        tracing::warn!("some requests did not end in time and were cut off");
                    }
                    break;
                }
                // A caller who comes now is told to come back, and one who asks whether calls are taken, that they are not.
                (stream, peer) = accept(&listener) => {
                    let Some(place) = away.take(counted(peer), 1) else { continue };
                    let served = connections.clone().serve(stream, peer, Activity::new(), over.clone().cancelled_owned());
                    late.spawn(async move {
                        served.await;
                        drop(place);
                    });
                }
            }
        }
        drop(listener);
        over.cancel();
        late.close();
        let _left = tokio::time::timeout(LATE_TIME, late.wait()).await;
        if let Some(access_log) = access_log {
            let _closed = tokio::task::spawn_blocking(move || access_log.close()).await;
        }
    }
}

/// Serves a connection until it ends, or has to leave.
async fn serve(connections: Connections, stream: TcpStream, peer: IpAddr, place: Place) {
    connections.serve(stream, peer, place.activity().clone(), place.told_to_leave()).await;
}

/// Tells the audit log of a connection that has no place.
fn too_many(host: &Host, peer: IpAddr) -> Problem {
    let detail = "the host has as many connections as it may, or as many of your address; try again";
    webhook::refused(host, peer, None, Problem::new(Code::HostBusy, detail))
}

/// The next connection, with the address of its peer.
async fn accept(listener: &TcpListener) -> (TcpStream, IpAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => return (stream, peer.ip()),
            Err(error) if is_of_the_client(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Whether an error of `accept` is about one client that has left already.
fn is_of_the_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Tells a client that there are too many, whatever it asked for.
async fn turn_away(mut stream: TcpStream, problem: &Problem) {
    if stream.write_all(&unserved::answer(problem)).await.is_ok() {
        lingering::close(stream).await;
    }
}
