//! The caller who must be served whatever the attackers do.

use std::thread;
use std::time::{Duration, Instant};

use flowhost_tests::{Answer, Host, PATIENCE, Request, Webhook};
use serde_json::{Value, json};

use super::scene::{PASSWORD, Scene, as_component};

/// Makes one call after the other, and notes each that does not succeed.
pub(crate) struct GoodCaller<'a> {
    host: &'a Host,
    webhook: &'a Webhook,
    token: String,
    calls: usize,
    slowest: Duration,
    failures: Vec<String>,
}

impl<'a> GoodCaller<'a> {
    pub(crate) fn new(scene: &'a Scene) -> Self {
        let (host, webhook) = (&scene.host, &scene.good);
        let token = scene.good_token.clone();
        Self { host, webhook, token, calls: 0, slowest: Duration::ZERO, failures: Vec::new() }
    }

    pub(crate) fn calls(&self) -> usize {
        self.calls
    }

    pub(crate) fn slowest_ms(&self) -> u128 {
        self.slowest.as_millis()
    }

    pub(crate) fn forget_slowest(&mut self) {
        self.slowest = Duration::ZERO;
    }

    /// What did not succeed.
    pub(crate) fn failures(&self) -> &[String] {
        &self.failures
    }

    /// A call of each kind.
    pub(crate) fn round(&mut self, phase: &str) {
        let (host, webhook, token) = (self.host, self.webhook, self.token.clone());
        let payload = json!({ "name": "Ada" });
        self.call(phase, "synchronous call", || {
            let answer = sent(webhook.call(host, &payload))?;
            expect(&answer, 200, "/output_value/greeting", &json!("Hello, Ada!"))
        });
        self.call(phase, "asynchronous call", || {
            let accepted = sent(host.post_json(&format!("{}?async", webhook.path()), &payload))?;
            expect(&accepted, 202, "/status", &json!("SCHEDULED"))?;
            let location = accepted.header("location").unwrap_or_default();
            let end = Instant::now() + PATIENCE;
            loop {
                let answer = sent(host.get(location))?;
                let has_ended = |answer: &Answer| answer.status == 200 && answer.json()["status"] != "SCHEDULED";
                let is_over = answer.status != 200 || Instant::now() > end;
                if is_over || (has_ended(&answer) && answer.json()["status"] != "RUNNING") {
                    return expect(&answer, 200, "/output_value/greeting", &json!("Hello, Ada!"));
                }
                thread::sleep(Duration::from_millis(5));
            }
        });
        self.call(phase, "login", || {
            let login = json!({ "user_name": "good", "password": PASSWORD });
            let answer = sent(host.post_json("/api/latest/auth/login", &login))?;
            expect(&answer, 200, "/user_name", &json!("good"))
        });
        self.call(phase, "list", || {
            let filter = "%7B%22field%22:%22name%22,%22value%22:%22good%22%7D";
            let list = host.get(&format!("/api/latest/setting?plain=true&filter={filter}"));
            let answer = sent(list.header("Authorization", format!("Bearer {token}")))?;
            expect(&answer, 200, "/0/value", &json!("own"))
        });
        self.call(phase, "record", || {
            let record = host.get("/api/latest/setting/good?by=name&plain=true");
            let answer = sent(record.header("Authorization", format!("Bearer {token}")))?;
            expect(&answer, 200, "/value", &json!("own"))
        });
    }

    /// Deploys a flow that has to be compiled.
    pub(crate) fn deploy(&mut self, phase: &str) {
        let (host, token) = (self.host, self.token.clone());
        self.call(phase, "deploy", || {
            let deploy = host.post("/api/latest/flow?name=good-too&plain=true", as_component("good"));
            let deploy = deploy.header("Content-Type", "application/wasm");
            let answer = sent(deploy.header("Authorization", format!("Bearer {token}")))?;
            expect(&answer, 200, "/flow/name", &json!("good-too"))
        });
    }

    fn call(&mut self, phase: &str, kind: &str, call: impl FnOnce() -> Result<(), String>) {
        let begin = Instant::now();
        self.calls += 1;
        if let Err(reason) = call() {
            self.failures.push(format!("{phase}: {kind}: {reason}"));
        }
        self.slowest = self.slowest.max(begin.elapsed());
    }
}

/// The answer to a request, or that there is none.
fn sent(request: Request<'_>) -> Result<Answer, String> {
    request.try_send().ok_or_else(|| "the host left without an answer".to_owned())
}

/// Whether an answer has this status, and this value at a place of its body.
fn expect(answer: &Answer, status: u16, place: &str, value: &Value) -> Result<(), String> {
    let text = String::from_utf8_lossy(&answer.body);
    let found = serde_json::from_slice::<Value>(&answer.body).ok();
    let is_right = answer.status == status && found.as_ref().and_then(|body| body.pointer(place)) == Some(value);
    if is_right { Ok(()) } else { Err(format!("{} {}", answer.status, text.chars().take(400).collect::<String>())) }
}
