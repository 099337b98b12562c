//! Attackers: connections that send more than they wait for.

use std::collections::{BTreeMap, VecDeque};
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::Scope;
use std::time::Duration;

use flowhost_tests::Host;

use super::http_2;

/// The pause between two looks at the connections of a crew.
const PAUSE: Duration = Duration::from_millis(2);

const STATUS_LINE: &[u8] = b"HTTP/1.1 ";

/// One connection of an attacker.
pub(crate) struct Line {
    stream: TcpStream,
    /// What is sent, one after the other, each as soon as fewer than `at_once` wait for their answer.
    requests: VecDeque<Arc<[u8]>>,
    at_once: usize,
    takes_answers: bool,
    is_http_2: bool,
    /// How much of the first request was sent.
    sent: usize,
    requested: usize,
    answered: usize,
    /// The end of what arrived, which may be the begin of a status line.
    arrived: Vec<u8>,
    is_closed: bool,
}

/// What a crew has done.
#[derive(Default)]
struct Count {
    requests: usize,
    statuses: BTreeMap<String, usize>,
    is_sent: bool,
    is_answered: bool,
}

/// Attackers who do the same, on a thread of their own.
pub(crate) struct Crew {
    pub(crate) name: &'static str,
    lines: Arc<Mutex<Vec<Line>>>,
    count: Arc<Mutex<Count>>,
    is_stopped: Arc<AtomicBool>,
}

impl Line {
    /// A connection from 127.0.`network`.`number`.
    pub(crate) fn new(host: &Host, network: u8, number: u8) -> Self {
        let stream = host.connect_from(Ipv4Addr::new(127, 0, network, number).into()).into_stream();
        stream.set_nonblocking(true).unwrap();
        Self {
            stream,
            requests: VecDeque::new(),
            at_once: 1,
            takes_answers: true,
            is_http_2: false,
            sent: 0,
            requested: 0,
            answered: 0,
            arrived: Vec::new(),
            is_closed: false,
        }
    }

    /// Sends a request so many times.
    pub(crate) fn times(mut self, count: usize, request: &Arc<[u8]>) -> Self {
        self.requests.extend((0..count).map(|_| request.clone()));
        self
    }

    /// Sends so many requests before it waits for an answer.
    pub(crate) fn at_once(mut self, count: usize) -> Self {
        self.at_once = count;
        self
    }

    /// Speaks HTTP/2: sends `begin`, and a request on each of so many streams at once.
    pub(crate) fn http_2(mut self, streams: u32, begin: Vec<u8>, request: impl Fn(u32) -> Vec<u8>) -> Self {
        self.is_http_2 = true;
        self.requests.extend((0..streams).map(|number| Arc::from(request(2 * number + 1))));
        if let Some(first) = self.requests.front_mut() {
            *first = [&begin[..], &first[..]].concat().into();
        }
        self.at_once(streams as usize)
    }

    /// Never reads an answer.
    pub(crate) fn deaf(mut self) -> Self {
        self.takes_answers = false;
        self
    }

    fn look(&mut self, statuses: &mut BTreeMap<String, usize>) {
        while !self.is_closed && self.requested.saturating_sub(self.answered) < self.at_once {
            let Some(request) = self.requests.front() else { break };
            match self.stream.write(&request[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => self.is_closed = true,
            }
            if self.sent == request.len() {
                self.requests.pop_front();
                (self.sent, self.requested) = (0, self.requested + 1);
            }
        }
        let mut bytes = [0; 16 << 10];
        while self.takes_answers && !self.is_closed {
            match self.stream.read(&mut bytes) {
                Ok(0) => self.is_closed = true,
                Ok(count) => self.take(&bytes[..count], statuses),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => self.is_closed = true,
            }
        }
    }

    fn take(&mut self, bytes: &[u8], statuses: &mut BTreeMap<String, usize>) {
        self.arrived.extend_from_slice(bytes);
        if self.is_http_2 {
            for status in http_2::take_statuses(&mut self.arrived) {
                self.answered += 1;
                *statuses.entry(status).or_default() += 1;
            }
            return;
        }
        let mut from = 0;
        let length = STATUS_LINE.len() + 3;
        while let Some(at) = self.arrived[from..].windows(length).position(|window| window.starts_with(STATUS_LINE)) {
            from += at + length;
            let status = String::from_utf8_lossy(&self.arrived[from - 3..from]).into_owned();
            if !status.starts_with('1') {
                self.answered += 1;
                *statuses.entry(status).or_default() += 1;
            }
        }
        let kept = from.max(self.arrived.len().saturating_sub(length - 1));
        self.arrived.drain(..kept);
    }

    fn is_sent(&self) -> bool {
        self.is_closed || self.requests.is_empty() || self.sent > 0 || self.requested > self.answered
    }

    fn is_answered(&self) -> bool {
        self.is_closed || (self.requests.is_empty() && self.answered >= self.requested)
    }
}

impl Crew {
    pub(crate) fn new(name: &'static str, lines: Vec<Line>) -> Self {
        let is_stopped = Arc::default();
        Self { name, lines: Arc::new(Mutex::new(lines)), count: Arc::default(), is_stopped }
    }

    /// Attacks until it is stopped.
    pub(crate) fn begin<'scope>(&self, scope: &'scope Scope<'scope, '_>) {
        let (lines, count, is_stopped) = (self.lines.clone(), self.count.clone(), self.is_stopped.clone());
        scope.spawn(move || {
            let mut lines = lines.lock().unwrap();
            while !is_stopped.load(Ordering::Relaxed) {
                let mut statuses = BTreeMap::new();
                lines.iter_mut().for_each(|line| line.look(&mut statuses));
                {
                    let mut count = count.lock().unwrap();
                    for (status, more) in statuses {
                        *count.statuses.entry(status).or_default() += more;
                    }
                    count.requests = lines.iter().map(|line| line.requested + usize::from(line.sent > 0)).sum();
                    count.is_sent = lines.iter().all(Line::is_sent);
                    count.is_answered = lines.iter().all(Line::is_answered);
                }
                std::thread::sleep(PAUSE);
            }
            let closed = lines.iter().filter(|line| line.is_closed).count();
            if closed > 0 {
                count.lock().unwrap().statuses.insert("closed".to_owned(), closed);
            }
            lines.clear();
        });
    }

    /// Ends the attack and closes its connections.
    pub(crate) fn stop(&self) {
        self.is_stopped.store(true, Ordering::Relaxed);
    }

    /// Whether each connection has sent something that waits for its answer, or all that it has.
    pub(crate) fn is_sent(&self) -> bool {
        self.count.lock().unwrap().is_sent
    }

    /// Whether all requests are answered.
    pub(crate) fn is_answered(&self) -> bool {
        self.count.lock().unwrap().is_answered
    }

    /// How many requests there were, and the answers by status.
    pub(crate) fn tally(&self) -> String {
        let count = self.count.lock().unwrap();
        let statuses = count.statuses.iter().map(|(status, count)| format!("{status}: {count}"));
        format!("{:>5}  {}", count.requests, statuses.collect::<Vec<_>>().join(", "))
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.stop();
    }
}
