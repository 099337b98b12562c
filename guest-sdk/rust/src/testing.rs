//! Executions and requests in memory, for the tests of flows.

mod children;
mod ending;
mod files;
mod http;
mod locks;
mod messages;
mod records;
mod response;
mod response_headers;
mod secrets;
mod settings;
mod sleep;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value};

pub use self::children::StartedChild;
pub use self::ending::Ending;
pub(crate) use self::http::ResponseBackend;
pub use self::http::SentRequest;
pub use self::messages::SentMessage;
pub use self::response::Answer;
pub(crate) use self::response::BodyBackend;
use crate::crossing::{from_json, microseconds};
use crate::{Execution, HostError, Identity, Level, Mode, Request};

/// The time that an execution in memory has left, whenever it asks: computing takes none on the test's clock, and waiting
/// does not count.
const TIME_LEFT: Duration = Duration::from_secs(60);

/// What a flow said through its execution, kept for its test to look at.
#[derive(Debug)]
pub(crate) struct Backend {
    name: String,
    mode: Mode,
    input: Value,
    acting_identity: Option<Identity>,
    attempt: u32,
    now: Cell<SystemTime>,
    request: Option<RequestBackend>,
    told: RefCell<Told>,
    settings: RefCell<BTreeMap<String, Value>>,
    /// By name: the value, and whether flows may read it.
    secrets: RefCell<BTreeMap<String, (String, bool)>>,
    slept: RefCell<Vec<Duration>>,
    children: RefCell<children::Children>,
    files: RefCell<BTreeMap<String, files::File>>,
    outside: RefCell<http::Outside>,
    locks: RefCell<locks::Locks>,
    messages: RefCell<messages::Messages>,
    answer: response::Shared,
    records: RefCell<Vec<records::Record>>,
}

#[derive(Debug, Default)]
struct Told {
    log: Vec<LogLine>,
    outputs: Map<String, Value>,
    progress: Vec<String>,
}

/// A line that a flow under test added to its log. Native only.
#[derive(Clone, Debug, PartialEq)]
pub struct LogLine {
    /// How much it matters.
    pub level: Level,
    /// Its text.
    pub message: String,
    /// What was logged with it, or null.
    pub fields: Value,
}

/// Tests: native only.
impl Execution {
    /// An execution in memory: productive, named `test`, without a request, with a minute to go, with no settings and
    /// nothing that it could start, with the input null, in its first attempt and acting as nobody.
    pub fn for_test() -> Self {
        Self {
            backend: Backend {
                name: "test".into(),
                mode: Mode::Productive,
                input: Value::Null,
                acting_identity: None,
                attempt: 1,
                now: Cell::new(in_whole_microseconds(SystemTime::now())),
                request: None,
                told: RefCell::default(),
                settings: RefCell::default(),
                secrets: RefCell::default(),
                slept: RefCell::default(),
                children: RefCell::default(),
                files: RefCell::default(),
                outside: RefCell::default(),
                locks: RefCell::default(),
                messages: RefCell::default(),
                answer: response::Shared::default(),
                records: RefCell::default(),
            },
        }
    }

    /// The same execution in another mode.
    #[must_use]
    pub fn with_mode(mut self, mode: Mode) -> Self {
        self.backend.mode = mode;
        self
    }

    /// The same execution, started with this: what [`Execution::input`] gives and a clone is started with.
    #[must_use]
    pub fn with_input(mut self, input: impl Into<Value>) -> Self {
        self.backend.input = input.into();
        self
    }

    /// The same execution, acting as somebody.
    #[must_use]
    pub fn with_acting_identity(mut self, identity: Identity) -> Self {
        self.backend.acting_identity = Some(identity);
        self
    }

    /// The same execution in another attempt.
    #[must_use]
    pub fn with_attempt(mut self, attempt: u32) -> Self {
        self.backend.attempt = attempt;
        self
    }

    /// The same execution at another time. The test's clock shows that time until the flow waits.
    #[must_use]
    pub fn with_now(self, now: SystemTime) -> Self {
        self.backend.now.set(in_whole_microseconds(now));
        self
    }

    /// The same execution, serving a request.
    #[must_use]
    pub fn with_request(mut self, request: Request) -> Self {
        self.backend.request = Some(request.backend);
        self
    }

    /// What the flow logged so far.
    pub fn logged(&self) -> Vec<LogLine> {
        self.backend.told.borrow().log.clone()
    }

    /// The outputs that the flow set so far, without those that it returned.
    pub fn outputs_set(&self) -> Map<String, Value> {
        self.backend.told.borrow().outputs.clone()
    }

    /// The progress messages so far.
    pub fn progress_told(&self) -> Vec<String> {
        self.backend.told.borrow().progress.clone()
    }
}

impl Backend {
    pub(crate) fn id(&self) -> String {
        "00000000-0000-7000-8000-000000000000".into()
    }

    pub(crate) fn name(&self) -> String {
        self.name.clone()
    }

    pub(crate) fn mode(&self) -> Mode {
        self.mode
    }

    pub(crate) fn now(&self) -> SystemTime {
        self.now.get()
    }

    pub(crate) fn deadline(&self) -> u64 {
        timestamp(self.now() + TIME_LEFT)
    }

    pub(crate) fn log(&self, level: Level, message: &str, fields: Option<&str>) {
        let fields = fields.map_or(Value::Null, object_or_text);
        self.told.borrow_mut().log.push(LogLine { level, message: message.into(), fields });
    }

    pub(crate) fn set_output(&self, name: &str, json: &str) -> Result<(), HostError> {
        let value = from_json(format_args!("output `{name}`"), json)?;
        self.told.borrow_mut().outputs.insert(name.into(), value);
        Ok(())
    }

    pub(crate) fn input(&self) -> String {
        self.input.to_string()
    }

    pub(crate) fn acting_identity(&self) -> Option<Identity> {
        self.acting_identity.clone()
    }

    pub(crate) fn attempt(&self) -> u32 {
        self.attempt
    }

    pub(crate) fn merge_outputs(&self, json: &str) -> Result<(), HostError> {
        let values: Map<String, Value> = from_json("the outputs", json)?;
        self.told.borrow_mut().outputs.extend(values);
        Ok(())
    }

    pub(crate) fn replace_outputs(&self, json: &str) -> Result<(), HostError> {
        self.told.borrow_mut().outputs = from_json("the outputs", json)?;
        Ok(())
    }

    pub(crate) fn append_output(&self, name: &str, json: &str) -> Result<(), HostError> {
        let value = from_json(format_args!("output `{name}`"), json)?;
        match self.told.borrow_mut().outputs.entry(name).or_insert_with(|| Value::Array(Vec::new())) {
            Value::Array(list) => {
                list.push(value);
                Ok(())
            }
            _ => {
                let message = format_args!("the output `{name}` is not a list that could be added to");
                Err(HostError::new("execution.not-a-list", message))
            }
        }
    }

    pub(crate) fn progress(&self, message: &str) {
        self.told.borrow_mut().progress.push(short(message.into()));
    }

    pub(crate) fn request(&self) -> Option<RequestBackend> {
        self.request.clone()
    }
}

/// The longest message of an execution, in bytes.
const LONGEST_MESSAGE: usize = 1000;

/// A message as the host keeps it.
fn short(mut message: String) -> String {
    message.truncate(message.floor_char_boundary(LONGEST_MESSAGE));
    message
}

/// The longest name, in characters.
const LONGEST_NAME: usize = 128;

/// Refuses what is no name of a record, nor of anything else that is named.
fn checked_name(what: &str, name: &str) -> Result<(), HostError> {
    if name.is_empty() || name.trim() != name || name.chars().count() > LONGEST_NAME {
        return Err(HostError::new("record.invalid", format_args!("`{name}` is not the name of {what}")));
    }
    Ok(())
}

/// A time as the contract has it.
fn timestamp(time: SystemTime) -> u64 {
    microseconds(time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

/// The next time that the contract can tell.
fn in_whole_microseconds(time: SystemTime) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_micros(timestamp(time))
}

/// The rule of the contract: fields that are no object are text in a field named `value`.
fn object_or_text(fields: &str) -> Value {
    match serde_json::from_str(fields) {
        Ok(object @ Value::Object(_)) => object,
        _ => serde_json::json!({ "value": fields }),
    }
}

/// A request that a test made up.
#[derive(Clone, Debug, Default)]
pub(crate) struct RequestBackend {
    method: String,
    path: String,
    query: Option<String>,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

/// Tests: native only.
impl Request {
    /// A request without headers and body.
    pub fn for_test(method: &str) -> Self {
        Self { backend: RequestBackend { method: method.into(), ..RequestBackend::default() } }
    }

    /// The same request to another path below the webhook's address, its query included: `/orders?page=2`.
    #[must_use]
    pub fn with_path(mut self, path: &str) -> Self {
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        self.backend.path = path.into();
        self.backend.query = query.map(str::to_owned);
        self
    }

    /// The same request with one more header.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.backend.headers.push((name.to_ascii_lowercase(), value.into()));
        self
    }

    /// The same request with another body.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.backend.body = body.into();
        self
    }
}

impl RequestBackend {
    pub(crate) fn method(&self) -> String {
        self.method.clone()
    }

    pub(crate) fn path(&self) -> String {
        self.path.clone()
    }

    pub(crate) fn query(&self) -> Option<String> {
        self.query.clone()
    }

    pub(crate) fn headers(&self) -> Vec<(String, Vec<u8>)> {
        self.headers.clone()
    }

    pub(crate) fn header(&self, name: &str) -> Vec<Vec<u8>> {
        let same = self.headers.iter().filter(|(present, _)| present.eq_ignore_ascii_case(name));
        same.map(|(_, value)| value.clone()).collect()
    }

    pub(crate) fn body(&self) -> Vec<u8> {
        self.body.clone()
    }

    pub(crate) fn body_is_exact(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_execution_remembers_what_the_flow_told() {
        let this = Execution::for_test().with_mode(Mode::Development);
        this.log(Level::Warn, "slow", &json!({"seconds": 3}));
        this.info("plain");
        this.log(Level::Info, "odd", &7);
        this.set_output("count", &1).unwrap();
        this.set_output("count", &2).unwrap();
        this.merge_outputs(&json!({ "more": [1] })).unwrap();
        this.append_output("more", &2).unwrap();
        this.progress("half");
        this.progress("é".repeat(501));

        let fields: Vec<Value> = this.logged().into_iter().map(|line| line.fields).collect();
        assert_eq!(fields, [json!({"seconds": 3}), Value::Null, json!({"value": "7"})]);
        assert_eq!(Value::from(this.outputs_set()), json!({"count": 2, "more": [1, 2]}));
        assert_eq!(this.progress_told(), ["half", &"é".repeat(500)]);
        assert_eq!(this.mode(), Mode::Development);
        assert!(this.deadline() > this.now());
    }

    #[test]
    fn an_output_that_is_no_json_is_refused() {
        let odd = std::collections::BTreeMap::from([(vec![1], 2)]);
        let refused = Execution::for_test().set_output("odd", &odd).unwrap_err();
        assert_eq!(refused.code(), "json.invalid");
        let this = Execution::for_test();
        assert_eq!(this.merge_outputs(&7).unwrap_err().code(), "json.invalid");
        assert_eq!(this.replace_outputs(&[7]).unwrap_err().code(), "json.invalid");
        this.replace_outputs(&json!({ "count": 1 })).unwrap();
        assert_eq!(this.append_output("count", &2).unwrap_err().code(), "execution.not-a-list");
    }

    #[test]
    fn a_request_is_what_the_test_made_it() {
        let request = Request::for_test("PUT")
            .with_path("/a?b=c")
            .with_header("X-Twice", "1")
            .with_header("x-twice", "2")
            .with_body("hi");
        let this = Execution::for_test().with_request(request);
        let request = this.request().unwrap();
        assert_eq!(
            (request.method().as_str(), request.path().as_str(), request.query().as_deref()),
            ("PUT", "/a", Some("b=c"))
        );
        assert_eq!(request.header("X-TWICE").unwrap(), b"1");
        assert_eq!(request.header_values("x-twice").len(), 2);
        assert_eq!((request.body().as_slice(), request.body_is_exact()), (b"hi".as_slice(), true));
    }
}
