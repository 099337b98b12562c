//! Performs the steps of its payload's `steps` through `wasi:http`, with an ordinary client of it, and says what each gave.
//!
//! A step is `{"send": [request]}`, which sends the requests at the same time, or `{"save": name}`, which makes a setting. A request
//! is `{"method", "url", "headers", "body", "size", "timeout_ms", "connect_ms", "between_ms"}`, where all but the address may be left out. The output
//! `results` has `{"status", "headers", "body"}` or `{"error"}` for each request; of bodies beyond 1,000 bytes only `size`
//! is told. With `drop` a request is sent and its response is not waited for.

#![cfg(target_family = "wasm")]

use std::collections::BTreeMap;

use flowhost_guest::{Execution, FlowError, Input, Outputs, flow, json};
use serde::Deserialize;
use serde_json::Value;
use wstd::http::{Body, Client, Error, Request};
use wstd::runtime::{block_on, spawn};
use wstd::time::Duration;

#[derive(Deserialize)]
struct Plan {
    steps: Vec<Step>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Step {
    Send { send: Vec<Wanted> },
    Save { save: String },
    Drop { drop: Wanted },
}

#[derive(Clone, Deserialize)]
struct Wanted {
    method: Option<String>,
    url: String,
    #[serde(default)]
    headers: Vec<(String, String)>,
    body: Option<String>,
    size: Option<usize>,
    timeout_ms: Option<u64>,
    connect_ms: Option<u64>,
    between_ms: Option<u64>,
}

#[flow]
fn wasi_http(this: &Execution, plan: Input<Plan>) -> Result<Outputs, FlowError> {
    let mut results = Vec::new();
    for step in &plan.steps {
        match step {
            Step::Send { send } => {
                let wanted = send.clone();
                results.extend(block_on(async move {
                    let tasks: Vec<_> = wanted.into_iter().map(|wanted| spawn(exchange(wanted))).collect();
                    let mut results = Vec::new();
                    for task in tasks {
                        results.push(task.await.unwrap_or_else(|error| json!({ "error": format!("{error:?}") })));
                    }
                    results
                }));
            }
            Step::Save { save } => this.settings().save(save, &1)?,
            Step::Drop { drop } => {
                let wanted = drop.clone();
                // Polled once: it is sent, and then nobody wants it any more.
                block_on(async move {
                    let mut exchange = Box::pin(exchange(wanted));
                    std::future::poll_fn(|context| {
                        let _pending = exchange.as_mut().poll(context);
                        std::task::Poll::Ready(())
                    })
                    .await;
                });
            }
        }
    }
    Ok(Outputs::new().set("results", results))
}

async fn exchange(wanted: Wanted) -> Result<Value, Error> {
    let mut request = Request::builder().method(wanted.method.as_deref().unwrap_or("GET")).uri(&wanted.url);
    for (name, value) in &wanted.headers {
        request = request.header(name, value);
    }
    let body = match (wanted.body, wanted.size) {
        (Some(body), _) => Body::from(body),
        (None, Some(size)) => Body::from(vec![b'x'; size]),
        (None, None) => Body::empty(),
    };
    let mut client = Client::new();
    if let Some(timeout) = wanted.timeout_ms {
        client.set_first_byte_timeout(Duration::from_millis(timeout));
    }
    if let Some(timeout) = wanted.connect_ms {
        client.set_connect_timeout(Duration::from_millis(timeout));
    }
    if let Some(timeout) = wanted.between_ms {
        client.set_between_bytes_timeout(Duration::from_millis(timeout));
    }
    let response = client.send(request.body(body)?).await?;
    let (head, mut body) = response.into_parts();
    let mut headers: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in &head.headers {
        headers.entry(name.to_string()).or_default().push(String::from_utf8_lossy(value.as_bytes()).into_owned());
    }
    let bytes = body.contents().await?;
    let size = bytes.len();
    let body = if size > 1_000 { json!({ "size": size }) } else { json!(String::from_utf8_lossy(bytes)) };
    Ok(json!({ "status": head.status.as_u16(), "headers": headers, "body": body }))
}
