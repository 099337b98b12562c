//! An HTTP/1.1 client that sends what it is told to, byte for byte, and takes nothing that is not well-formed.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};

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

    /// Sends it on a connection of its own, which is given back before there is an answer.
    pub fn start(&self) -> Connection {
        let mut connection = self.host.connect();
        connection.write(&self.bytes());
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
        let stream = TcpStream::connect(self.address()).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Connection { stream, arrived: Vec::new() }
    }

    /// Sends bytes on a connection of their own, and gives the answer, whatever the bytes are.
    pub fn send_raw(&self, bytes: impl AsRef<[u8]>) -> Answer {
        let mut connection = self.connect();
        connection.write(bytes);
        connection.answer("GET")
    }
}

impl Connection {
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

    /// Waits for the answer; none where the host closes the connection instead.
    pub fn try_answer(&mut self, method: &str) -> Option<Answer> {
        loop {
            let end = until_end_of_head(&self.arrived, || ())?;
            let _ = end;
            unreachable!()
        }
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
