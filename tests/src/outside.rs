//! A server that stands for the outside world, to which flows send requests.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use crate::patience::until;

/// A server on loopback. What its paths do:
///
/// - `/echo` says what it was asked: `{"method", "target", "headers", "body"}`;
/// - `/status/N` answers with that status;
/// - `/bytes/N` answers with so many bytes;
/// - `/headers/N` answers with so many headers;
/// - `/redirect/STATUS?URL` redirects there;
/// - `/loop` redirects to itself;
/// - `/gate` answers when [`Outside::open`] was called;
/// - `/cut` closes the connection without an answer;
/// - anything else is 404.
#[derive(Clone, Debug)]
pub struct Outside {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    seen: Mutex<Seen>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Seen {
    /// Connections that were made.
    connections: usize,
    requests: Vec<Received>,
    /// Requests that wait at the gate, and the most that did at once.
    waiting: usize,
    most_waiting: usize,
    is_open: bool,
}

/// A request that arrived.
#[derive(Clone, Debug)]
pub struct Received {
    /// The method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// The headers, their names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: Vec<u8>,
}

impl Outside {
    /// A server on 127.0.0.1.
    pub fn start() -> Self {
        Self::start_at(Ipv4Addr::LOCALHOST.into())
    }

    /// A server on another address of this machine.
    pub fn start_at(address: IpAddr) -> Self {
        Self::start_with(address, None)
    }

    /// A server on 127.0.0.1 that speaks TLS as `localhost`, and its certificate as PEM.
    pub fn start_secure() -> (Self, String) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).unwrap();
        (Self::start_with(Ipv4Addr::LOCALHOST.into(), Some(Arc::new(config))), made.cert.pem())
    }

    fn start_with(address: IpAddr, secure: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind((address, 0)).unwrap();
        let outside = Self { address: listener.local_addr().unwrap(), shared: Arc::default() };
        let shared = outside.shared.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (shared, secure) = (shared.clone(), secure.clone());
                shared.seen().connections += 1;
                // A peer that goes away ends its thread.
                thread::spawn(move || match secure {
                    Some(config) => serve(&shared, StreamOwned::new(ServerConnection::new(config).unwrap(), stream)),
                    None => serve(&shared, stream),
                });
            }
        });
        outside
    }

    /// An address on loopback that takes no connection, and what keeps it so: its queue is full, so that whoever connects waits.
    pub fn unanswering() -> (SocketAddr, Vec<TcpStream>, TcpListener) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        rustix::net::listen(&listener, 0).unwrap();
        let address = listener.local_addr().unwrap();
        // As many as the system lets in although the queue is to have no place.
        let connect = || TcpStream::connect_timeout(&address, Duration::from_millis(100));
        let waiting = std::iter::from_fn(|| connect().ok()).collect();
        (address, waiting, listener)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The address of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The line of an allow-list that permits every request to it by its address.
    pub fn line(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The requests that arrived.
    pub fn requests(&self) -> Vec<Received> {
        self.shared.seen().requests.clone()
    }

    /// How many connections were made to it.
    pub fn connections(&self) -> usize {
        self.shared.seen().connections
    }

    /// Waits until so many requests have arrived.
    pub fn until_requests(&self, count: usize) {
        until(&format!("{count} requests have arrived"), || (self.requests().len() >= count).then_some(()));
    }

    /// Waits until so many requests wait at the gate.
    pub fn until_waiting(&self, count: usize) {
        until(&format!("{count} requests wait"), || (self.shared.seen().waiting >= count).then_some(()));
    }

    /// How many requests wait at the gate now.
    pub fn waiting(&self) -> usize {
        self.shared.seen().waiting
    }

    /// The most requests that waited at the gate at once.
    pub fn most_waiting(&self) -> usize {
        self.shared.seen().most_waiting
    }

    /// Opens the gate, for good.
    pub fn open(&self) {
        self.shared.seen().is_open = true;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers the requests of one connection; none when it ends.
fn serve(shared: &Shared, stream: impl Read + Write) -> Option<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let request = read(&mut reader)?;
        shared.seen().requests.push(request.clone());
        let answer = answer(shared, &request)?;
        reader.get_mut().write_all(&answer).ok()?;
        reader.get_mut().flush().ok()?;
    }
}

fn read(reader: &mut impl BufRead) -> Option<Received> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, target) = (words.next()?, words.next()?);
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Received { method, target, headers, body })
}

/// The bytes of an answer; none to close the connection.
fn answer(shared: &Shared, request: &Received) -> Option<Vec<u8>> {
    let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
    let number = |text: &str| text.parse::<usize>().unwrap();
    let mut parts = path.trim_start_matches('/').split('/');
    let (status, headers, body) = match (parts.next()?, parts.next()) {
        ("echo", _) => {
            let body = json!({
                "method": request.method, "target": request.target, "headers": request.headers,
                "body": String::from_utf8_lossy(&request.body),
            });
            (200, "content-type: application/json\r\n".to_owned(), body.to_string().into_bytes())
        }
        ("status", Some(status)) => (number(status), String::new(), Vec::new()),
        ("bytes", Some(count)) => (200, String::new(), vec![b'x'; number(count)]),
        ("headers", Some(count)) => (200, "x-many: y\r\n".repeat(number(count)), Vec::new()),
        ("redirect", Some(status)) => (number(status), format!("location: {query}\r\n"), b"elsewhere".to_vec()),
        ("loop", _) => (302, "location: /loop\r\n".to_owned(), Vec::new()),
        ("gate", _) => {
            let mut seen = shared.seen();
            seen.waiting += 1;
            seen.most_waiting = seen.most_waiting.max(seen.waiting);
            while !seen.is_open {
                seen = shared.changed.wait(seen).unwrap_or_else(PoisonError::into_inner);
            }
            seen.waiting -= 1;
            (200, String::new(), b"open".to_vec())
        }
        ("cut", _) => return None,
        _ => (404, String::new(), Vec::new()),
    };
    let body = if request.method == "HEAD" { Vec::new() } else { body };
    let mut bytes = format!("HTTP/1.1 {status} Said\r\n{headers}content-length: {}\r\n\r\n", body.len()).into_bytes();
    bytes.extend(body);
    Some(bytes)
}

/// What `/echo` said, out of the body of its answer.
pub fn echoed(body: &str) -> Value {
    serde_json::from_str(body).unwrap_or_else(|_| panic!("no echo: {body}"))
}
