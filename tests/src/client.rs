//! An HTTP/1.1 client that sends what it is told to, byte for byte, and takes nothing that is not well-formed.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};

use rustix::net::{AddressFamily, SocketType};
use serde_json::Value;

use crate::host::Host;
use crate::patience::PATIENCE;

/// A request to a host. Of itself it has the headers `Host`, `Content-Length` where there is a body, and
/// `Connection: close`.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    host: &'a Host,
    method: String,
    target: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Option<Vec<u8>>,
}

impl Host {
    /// A request with any method.
    pub fn request(&self, method: &str, target: &str) -> Request<'_> {
        let (method, target) = (method.to_owned(), target.to_owned());
        Request { host: self, method, target, headers: Vec::new(), body: None }
    }

    /// A GET request.
    pub fn get(&self, target: &str) -> Request<'_> {
        self.request("GET", target)
    }

    /// A POST request.
    pub fn post(&self, target: &str, body: impl AsRef<[u8]>) -> Request<'_> {
        self.request("POST", target).body(body)
    }

    /// A POST request with JSON.
    pub fn post_json(&self, target: &str, json: &Value) -> Request<'_> {
        self.post(target, json.to_string()).header("Content-Type", "application/json")
    }
}

impl Request<'_> {
    /// With another header.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.to_owned(), value.as_ref().to_owned()));
        self
    }

    /// With a body.
    pub fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = Some(body.as_ref().to_owned());
        self
    }

    /// With the operator's token.
    pub fn as_operator(self) -> Self {
        let token = format!("Bearer {}", self.host.token());
        self.header("Authorization", token)
    }

    /// The request's bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = format!("{} {} HTTP/1.1\r\n", self.method, self.target).into_bytes();
        let mut write = |name: &str, value: &[u8]| {
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value);
            bytes.extend_from_slice(b"\r\n");
        };
        write("Host", self.host.address().to_string().as_bytes());
        for (name, value) in &self.headers {
            write(name, value);
        }
        if let Some(body) = &self.body {
            write("Content-Length", body.len().to_string().as_bytes());
        }
        write("Connection", b"close");
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(self.body.as_deref().unwrap_or_default());
        bytes
    }

    /// Sends it on a connection of its own and waits for the answer.
    pub fn send(&self) -> Answer {
        self.start().answer(&self.method)
    }

    /// [`Request::send`]; none where the host is gone before there is a whole answer.
    pub fn try_send(&self) -> Option<Answer> {
        let mut connection = Connection::of(TcpStream::connect(self.host.address()).ok()?);
        connection.write(self.bytes());
        connection.try_answer(&self.method)
    }

    /// Sends it on a connection of its own, which is given back before there is an answer.
    pub fn start(&self) -> Connection {
        let mut connection = self.host.connect();
        connection.write(self.bytes());
        connection
    }
}

/// A connection to a host.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    /// What has arrived and was not taken yet.
    arrived: Vec<u8>,
}

impl Host {
    /// Opens a connection and sends nothing.
    pub fn connect(&self) -> Connection {
        Connection::of(TcpStream::connect(self.address()).unwrap())
    }

    /// Opens a connection from one of this machine's addresses, such as 127.0.0.2, and sends nothing.
    pub fn connect_from(&self, address: IpAddr) -> Connection {
        let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        rustix::net::bind(&socket, &SocketAddr::new(address, 0)).unwrap();
        rustix::net::connect(&socket, &self.address()).unwrap();
        let stream = TcpStream::from(socket);
        Connection::of(stream)
    }

    /// Sends bytes on a connection of their own, and gives the answer, whatever the bytes are.
    pub fn send_raw(&self, bytes: impl AsRef<[u8]>) -> Answer {
        let mut connection = self.connect();
        connection.write(bytes);
        connection.answer("GET")
    }
}

impl Connection {
    fn of(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self { stream, arrived: Vec::new() }
    }

    /// The connection's socket.
    pub fn into_stream(self) -> TcpStream {
        self.stream
    }

    /// Sends bytes. A host that has answered and left already is no error.
    pub fn write(&mut self, bytes: impl AsRef<[u8]>) {
        match self.stream.write_all(bytes.as_ref()) {
            Err(error) if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {}
            sent => sent.unwrap(),
        }
    }

    /// Says that no more will be sent.
    pub fn finish(&mut self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Waits for the answer to a request with this method.
    pub fn answer(&mut self, method: &str) -> Answer {
        let answer = self.try_answer(method);
        answer.unwrap_or_else(|| panic!("the host left without a whole answer: {}", lossy(&self.arrived)))
    }

    /// Waits until this has arrived, which is left to be taken.
    ///
    /// # Panics
    ///
    /// When the host closes the connection before.
    pub fn until_arrived(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        while !self.arrived.windows(bytes.len()).any(|window| window == bytes) {
            assert!(self.more(), "the host left; so far: {}", lossy(&self.arrived));
        }
    }

    /// Waits for the interim answer `100 Continue`.
    pub fn interim(&mut self) {
        const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
        let said = self.take(CONTINUE.len());
        assert_eq!(said.as_deref().map(lossy), Some(lossy(CONTINUE)));
    }

    /// Waits for the answer; none where the host closes the connection before one is complete.
    pub fn try_answer(&mut self, method: &str) -> Option<Answer> {
        loop {
            let end = loop {
                match self.arrived.windows(4).position(|window| window == b"\r\n\r\n") {
                    Some(end) => break end,
                    None if self.more() => {}
                    None => return None,
                }
            };
            let head: Vec<u8> = self.arrived.drain(..end + 4).collect();
            let (status, headers) = parse_head(&head[..end]);
            let mut answer = Answer { status, headers, body: Vec::new() };
            // An interim answer: the real one follows.
            if (100..200).contains(&status) {
                continue;
            }
            if method != "HEAD" && !matches!(status, 204 | 304) {
                answer.body = self.body(&answer)?;
            }
            return Some(answer);
        }
    }

    fn body(&mut self, answer: &Answer) -> Option<Vec<u8>> {
        if answer.header("transfer-encoding") == Some("chunked") {
            return self.chunks();
        }
        match answer.header("content-length") {
            Some(length) => self.take(length.parse().unwrap()),
            None => {
                while self.more() {}
                Some(std::mem::take(&mut self.arrived))
            }
        }
    }

    fn chunks(&mut self) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = loop {
                match self.arrived.windows(2).position(|window| window == b"\r\n") {
                    Some(end) => break self.take(end + 2)?,
                    None if self.more() => {}
                    None => return None,
                }
            };
            let length = usize::from_str_radix(std::str::from_utf8(&line).unwrap().trim_end(), 16).unwrap();
            let mut chunk = self.take(length + 2)?;
            assert!(chunk.ends_with(b"\r\n"), "a chunk without its end");
            chunk.truncate(length);
            body.append(&mut chunk);
            if length == 0 {
                return Some(body);
            }
        }
    }

    fn take(&mut self, length: usize) -> Option<Vec<u8>> {
        while self.arrived.len() < length {
            if !self.more() {
                return None;
            }
        }
        Some(self.arrived.drain(..length).collect())
    }

    /// Waits until the host closes the connection; gives what it sent before.
    pub fn closed(mut self) -> Vec<u8> {
        while self.more() {}
        self.arrived
    }

    /// Waits for more bytes; false where the host has closed the connection.
    fn more(&mut self) -> bool {
        let mut bytes = [0; 16 << 10];
        match self.stream.read(&mut bytes) {
            Ok(0) => false,
            Ok(count) => {
                self.arrived.extend_from_slice(&bytes[..count]);
                true
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => false,
            Err(error) if error.kind() == ErrorKind::Interrupted => true,
            Err(error) => panic!("no answer: {error}; so far: {}", lossy(&self.arrived)),
        }
    }
}

fn parse_head(head: &[u8]) -> (u16, Vec<(String, String)>) {
    let head = std::str::from_utf8(head).unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")?.split(' ').next()?.parse().ok());
    let headers = lines.map(|line| {
        let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("`{line}` is no header"));
        (name.to_lowercase(), value.trim().to_owned())
    });
    (status.unwrap_or_else(|| panic!("no status line: {head}")), headers.collect())
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(4_000)]).into_owned()
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers in their order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The value of a header; none where it is absent.
    ///
    /// # Panics
    ///
    /// When the header is there twice.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str());
        let value = values.next();
        assert!(values.next().is_none(), "two headers `{name}`: {self:?}");
        value
    }

    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The body as JSON.
    ///
    /// # Panics
    ///
    /// When it is not.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {} {}", self.status, lossy(&self.body)))
    }

    /// The body as JSON of an answer that says that all is well.
    ///
    /// # Panics
    ///
    /// When the status is another than 200.
    pub fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", lossy(&self.body));
        assert_eq!(self.header("content-type"), Some("application/json"));
        self.json()
    }

    /// The problem document, which has this status and this code.
    ///
    /// # Panics
    ///
    /// When the answer is anything else, or the document lacks a member that every problem has.
    pub fn problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{}", lossy(&self.body));
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        let problem = self.json();
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(problem["status"], status, "{problem}");
        assert_eq!(problem["type"], format!("urn:flowhost:error:{code}"), "{problem}");
        for (member, is_right) in [
            ("title", problem["title"].is_string()),
            ("detail", problem["detail"].is_string()),
            ("fault", matches!(problem["fault"].as_str(), Some("caller" | "flow" | "host"))),
            ("retryable", problem["retryable"].is_boolean()),
        ] {
            assert!(is_right, "`{member}` of {problem}");
        }
        problem
    }
}
