//! The access log: one JSON line for each request, with what came of it.
//!
//! A thread of its own writes the lines. Requests never wait for it: when it cannot keep up, lines are dropped, and a line says
//! how many.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::net::IpAddr;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use flowhost::model::{Timestamp, visible};
use flowhost::webhook::Address;
use flowhost::{Clock, Code};
use http::{HeaderValue, Method, Request, Response};
use hyper::body::Body;
use serde::Serialize;

use crate::answer::EXECUTION_ID;
use crate::webhook;

/// Lines that wait to be written: a few megabytes at the most.
const WAITING_MAX: usize = 10_000;

/// The most bytes of a path or of a name that is shown. The address of a request is chosen by a stranger.
const TEXT_BYTES: usize = 512;

/// How often the writer looks whether its file was moved away, as programs do that rotate logs.
const LOOK_FOR_FILE: Duration = Duration::from_secs(1);

/// Where an access log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessLogTarget {
    /// Standard error, between the lines of the host's log.
    StandardError,
    /// The end of a file. It is opened anew when it was moved away.
    File(PathBuf),
}

/// A request and what came of it.
#[derive(Debug, Serialize)]
struct Entry {
    time: Timestamp,
    address: IpAddr,
    #[serde(serialize_with = "as_text")]
    method: Method,
    #[serde(flatten)]
    place: Place,
    /// `None` if the caller left before there was an answer.
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    ms: f64,
    /// `None` if the caller did not say how long the body is.
    request_bytes: Option<u64>,
    /// `None` if the flow writes the answer while it is sent.
    response_bytes: Option<u64>,
    #[serde(serialize_with = "header_as_text", skip_serializing_if = "Option::is_none")]
    execution: Option<HeaderValue>,
}

/// What was asked for.
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
enum Place {
    /// The name of a webhook, or `CLIENT/NAME` of one that a setting makes.
    Webhook(String),
    /// Any other path, without the query, which may hold a ticket.
    Path(String),
}

fn as_text<S: serde::Serializer>(method: &Method, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(method.as_str())
}

fn header_as_text<S: serde::Serializer>(value: &Option<HeaderValue>, serializer: S) -> Result<S::Ok, S::Error> {
    value.as_ref().and_then(|value| value.to_str().ok()).serialize(serializer)
}

/// Takes lines for the thread that writes them.
#[derive(Debug)]
pub(crate) struct AccessLog {
    /// The host's, so that lines and records agree about when something was.
    clock: Arc<dyn Clock>,
    lines: SyncSender<Message>,
    dropped: Arc<AtomicU64>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// What the writer is told.
#[derive(Debug)]
enum Message {
    Line(Box<Entry>),
    /// Nothing follows.
    End,
}

impl AccessLog {
    /// Opens the log and starts its writer.
    pub(crate) fn open(target: &AccessLogTarget, clock: Arc<dyn Clock>) -> io::Result<Self> {
        let sink = Sink::open(target)?;
        let (lines, waiting) = sync_channel(WAITING_MAX);
        let dropped = Arc::<AtomicU64>::default();
        let (counted, writers) = (dropped.clone(), clock.clone());
        let writer = std::thread::Builder::new().name("access-log".into()).spawn(move || {
            write_lines(&waiting, sink, &counted, &*writers);
        })?;
        Ok(Self { clock, lines, dropped, writer: Mutex::new(Some(writer)) })
    }

    /// Begins the line of a request. It is written when the line is ended or dropped.
    pub(crate) fn begin<B: Body>(&self, request: &Request<B>, caller: IpAddr) -> Line {
        let path = request.uri().path();
        let place = match webhook::address(path) {
            Some((Address::Record { name }, _)) => Place::Webhook(shortened(&name)),
            Some((Address::Setting { client, name }, _)) => Place::Webhook(shortened(&format!("{client}/{name}"))),
            None => Place::Path(shortened(path)),
        };
        let entry = Entry {
            time: self.clock.now(),
            address: caller,
            method: request.method().clone(),
            place,
            status: None,
            code: None,
            ms: 0.0,
            request_bytes: request.body().size_hint().exact(),
            response_bytes: None,
            execution: None,
        };
        Line {
            entry: Some(Box::new(entry)),
            began: Instant::now(),
            lines: self.lines.clone(),
            dropped: self.dropped.clone(),
        }
    }

    /// Writes what waits, and ends the writer.
    pub(crate) fn close(&self) {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer {
            // Fails only if the writer is gone.
            let _told = self.lines.send(Message::End);
            let _ended = writer.join();
        }
    }
}

/// The line of a request under way.
#[derive(Debug)]
pub(crate) struct Line {
    entry: Option<Box<Entry>>,
    began: Instant,
    lines: SyncSender<Message>,
    dropped: Arc<AtomicU64>,
}

impl Line {
    /// Completes the line with the answer.
    pub(crate) fn end<B: Body>(mut self, answer: &Response<B>) {
        if let Some(entry) = &mut self.entry {
            entry.status = Some(answer.status().as_u16());
            entry.code = answer.extensions().get::<Code>().map(|code| code.as_str());
            entry.response_bytes = answer.body().size_hint().exact();
            entry.execution = answer.headers().get(EXECUTION_ID).cloned();
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let Some(mut entry) = self.entry.take() else { return };
        // Thousandths are enough.
        entry.ms = (self.began.elapsed().as_secs_f64() * 1e6).round() / 1e3;
        if let Err(TrySendError::Full(_)) = self.lines.try_send(Message::Line(entry)) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The beginning of a text of the caller's, without what a terminal would obey that shows the log.
fn shortened(text: &str) -> String {
    visible(&text[..text.floor_char_boundary(TEXT_BYTES)]).into_owned()
}

/// Writes lines until there are none to come.
fn write_lines(waiting: &Receiver<Message>, mut sink: Sink, dropped: &AtomicU64, clock: &dyn Clock) {
    let mut has_warned = false;
    loop {
        let Ok(Message::Line(first)) = waiting.recv() else { return };
        let mut written = sink.write(&first);
        let mut is_over = false;
        while let Ok(message) = waiting.try_recv() {
            match message {
                Message::Line(entry) => written = written.and_then(|()| sink.write(&entry)),
                Message::End => is_over = true,
            }
        }
        let dropped = dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            let line = serde_json::json!({ "time": clock.now(), "dropped": dropped });
            written = written.and_then(|()| sink.write(&line));
        }
        if let Err(error) = written.and_then(|()| sink.flush())
            && !has_warned
        {
            has_warned = true;
            tracing::warn!(%error, "the access log cannot be written; lines are lost");
        }
        if is_over {
            return;
        }
    }
}

/// What the writer writes to.
enum Sink {
    StandardError(BufWriter<io::Stderr>),
    File { path: PathBuf, file: BufWriter<File>, looked: Instant },
}

impl Sink {
    fn open(target: &AccessLogTarget) -> io::Result<Self> {
        Ok(match target {
            AccessLogTarget::StandardError => Self::StandardError(BufWriter::new(io::stderr())),
            AccessLogTarget::File(path) => {
                Self::File { path: path.clone(), file: open_file(path)?, looked: Instant::now() }
            }
        })
    }

    fn write(&mut self, line: &impl Serialize) -> io::Result<()> {
        let mut line = serde_json::to_vec(line)?;
        line.push(b'\n');
        match self {
            Self::StandardError(stderr) => stderr.write_all(&line),
            Self::File { file, .. } => file.write_all(&line),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::StandardError(stderr) => stderr.flush(),
            Self::File { path, file, looked } => {
                file.flush()?;
                if looked.elapsed() >= LOOK_FOR_FILE {
                    *looked = Instant::now();
                    if !is_at(file.get_ref(), path) {
                        *file = open_file(path)?;
                    }
                }
                Ok(())
            }
        }
    }
}

/// Opens the end of a file that only its owner and its group may read: it tells who called what.
fn open_file(path: &Path) -> io::Result<BufWriter<File>> {
    Ok(BufWriter::new(OpenOptions::new().append(true).create(true).mode(0o640).open(path)?))
}

/// Whether the path still leads to this file.
fn is_at(file: &File, path: &Path) -> bool {
    let id = |metadata: io::Result<fs::Metadata>| metadata.map(|metadata| (metadata.dev(), metadata.ino())).ok();
    let own = id(file.metadata());
    own.is_some() && own == id(fs::metadata(path))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use bytes::Bytes;
    use http_body_util::Full;
    use serde_json::Value;

    use super::*;

    const CALLER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

    fn request(path: &str) -> Request<Full<Bytes>> {
        Request::post(path).body(Full::from("12345")).unwrap()
    }

    fn lines(path: &Path) -> Vec<Value> {
        fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// A clock that stands still, at a time that the machine's has long left.
    #[derive(Debug)]
    struct StandingClock;

    impl Clock for StandingClock {
        fn now(&self) -> Timestamp {
            Timestamp(1_000_000)
        }
    }

    const TIME: &str = "1970-01-01T00:00:01";

    fn log(file: &Path) -> AccessLog {
        AccessLog::open(&AccessLogTarget::File(file.to_owned()), Arc::new(StandingClock)).unwrap()
    }

    #[test]
    fn line_tells_what_came_of_a_request() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("access.log");
        let log = log(&file);
        let mut answer = Response::new(Full::<Bytes>::from("123"));
        answer.headers_mut().insert(EXECUTION_ID, HeaderValue::from_static("an-id"));
        log.begin(&request("/api/latest/webhook/sign%20up/call/below?key=secret"), CALLER).end(&answer);
        log.begin(&request("/api/1/webhook/default/greet"), CALLER).end(&answer);
        drop(log.begin(&request("/api/latest/execution/x?ticket=secret"), CALLER));
        log.close();
        let lines = lines(&file);
        let is = |line: &Value, member: &str, value: Value| assert_eq!(line[member], value, "{line}");
        is(&lines[0], "webhook", "sign up".into());
        is(&lines[0], "address", "192.0.2.1".into());
        is(&lines[0], "method", "POST".into());
        is(&lines[0], "status", 200.into());
        is(&lines[0], "request_bytes", 5.into());
        is(&lines[0], "response_bytes", 3.into());
        is(&lines[0], "execution", "an-id".into());
        assert!(lines[0]["ms"].is_f64(), "{}", lines[0]);
        assert!(lines[0]["time"].as_str().unwrap().starts_with(TIME), "{}", lines[0]);
        is(&lines[1], "webhook", "default/greet".into());
        is(&lines[2], "path", "/api/latest/execution/x".into());
        is(&lines[2], "status", Value::Null);
        assert!(!fs::read_to_string(&file).unwrap().contains("secret"));
    }

    #[test]
    fn lines_beyond_the_limit_are_dropped_and_counted() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("access.log");
        let (lines, waiting) = sync_channel(2);
        let dropped = Arc::<AtomicU64>::default();
        let clock = Arc::new(StandingClock);
        let log = AccessLog { clock: clock.clone(), lines, dropped: dropped.clone(), writer: Mutex::default() };
        (0..5).for_each(|_| drop(log.begin(&request("/"), CALLER)));
        drop(log);
        let sink = Sink::open(&AccessLogTarget::File(file.clone())).unwrap();
        write_lines(&waiting, sink, &dropped, &*clock);
        let lines = self::lines(&file);
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[2]["dropped"], 3);
        assert!(lines[2]["time"].as_str().unwrap().starts_with(TIME), "{}", lines[2]);
    }

    #[test]
    fn file_that_was_moved_away_is_opened_anew() {
        let folder = tempfile::tempdir().unwrap();
        let (file, moved) = (folder.path().join("access.log"), folder.path().join("access.log.1"));
        let mut sink = Sink::open(&AccessLogTarget::File(file.clone())).unwrap();
        sink.write(&1).unwrap();
        fs::rename(&file, &moved).unwrap();
        if let Sink::File { looked, .. } = &mut sink {
            *looked = Instant::now().checked_sub(LOOK_FOR_FILE).unwrap();
        }
        sink.flush().unwrap();
        sink.write(&2).unwrap();
        sink.flush().unwrap();
        assert_eq!(
            (fs::read_to_string(moved).unwrap(), fs::read_to_string(file).unwrap()),
            ("1\n".into(), "2\n".into())
        );
    }
}
