//! Performs the steps of its payload's `steps`, one after the other, and says what each gave.
//!
//! A step is `{"send": [request]}`, which sends the requests at the same time, `{"save": name}`, which makes a setting, or
//! `{"sleep_ms"}`. A request is `{"method", "url", "headers", "body", "timeout_ms", "redirects", "repeat"}`, where all but the
//! address may be left out, or with `size` in place of `body` for so many bytes. `times` repeats a sending step. The output
//! `results` has `{"status", "url", "headers", "body"}` or `{"code", "message"}` for each request; of bodies beyond 1,000
//! bytes only `size` is told.

#![cfg(target_family = "wasm")]

use std::collections::BTreeMap;
use std::time::Duration;

use flowhost_guest::http::{NewRequest, Response};
use flowhost_guest::{Execution, FlowError, HostError, Input, Outputs, flow, json};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Plan {
    steps: Vec<Step>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Step {
    Send { send: Vec<Request>, times: Option<u32> },
    Save { save: String },
    Sleep { sleep_ms: u64 },
}

#[derive(Deserialize)]
struct Request {
    method: Option<String>,
    url: String,
    #[serde(default)]
    headers: Vec<(String, String)>,
    body: Option<String>,
    size: Option<usize>,
    timeout_ms: Option<u64>,
    redirects: Option<u32>,
    #[serde(default)]
    repeat: bool,
}

#[flow]
fn http(this: &Execution, plan: Input<Plan>) -> Result<Outputs, FlowError> {
    let mut results = Vec::new();
    for step in &plan.steps {
        match step {
            Step::Send { send, times } => {
                for _ in 0..times.unwrap_or(1) {
                    let requests = send.iter().map(|request| made(this, request));
                    results.extend(this.http().send_all(requests).into_iter().map(told));
                }
            }
            Step::Save { save } => this.settings().save(save, &1)?,
            Step::Sleep { sleep_ms } => this.sleep().for_duration(Duration::from_millis(*sleep_ms))?,
        }
    }
    Ok(Outputs::new().set("results", results))
}

fn made<'a>(this: &'a Execution, request: &Request) -> NewRequest<'a> {
    let mut made = this.http().request(request.method.as_deref().unwrap_or("GET"), &request.url);
    for (name, value) in &request.headers {
        made = made.header(name, value);
    }
    if let Some(body) = &request.body {
        made = made.body(body.clone());
    }
    if let Some(size) = request.size {
        made = made.body(vec![b'x'; size]);
    }
    if let Some(timeout) = request.timeout_ms {
        made = made.timeout(Duration::from_millis(timeout));
    }
    if let Some(limit) = request.redirects {
        made = made.redirects(limit);
    }
    if request.repeat { made.repeat_when_unknown() } else { made }
}

fn told(result: Result<Response, HostError>) -> Value {
    let response = match result {
        Ok(response) => response,
        Err(refused) => return json!({ "code": refused.code(), "message": refused.message() }),
    };
    let mut headers: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in response.headers() {
        headers.entry(name).or_default().push(String::from_utf8_lossy(&value).into_owned());
    }
    let size = response.body().len();
    let body = if size > 1_000 { json!({ "size": size }) } else { json!(response.text()) };
    json!({ "status": response.status(), "url": response.url(), "headers": headers, "body": body })
}
