//! The work of the flow `hello` as a `wasi:http` component: reads the payload, and greets whom it names.

#![cfg(target_family = "wasm")]

use std::io::Read;

use serde::{Deserialize, Serialize};
use wasip2::http::types::{Fields, IncomingBody, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam};
use wasip2::io::streams::StreamError;

/// The largest part that a blocking write takes, by the interface's definition.
const WRITE_AT_ONCE: usize = 4096;

#[derive(Deserialize)]
struct Caller {
    name: String,
}

#[derive(Serialize)]
struct Answer {
    greeting: String,
}

struct Hello;

wasip2::http::proxy::export!(Hello);

impl wasip2::exports::http::incoming_handler::Guest for Hello {
    fn handle(request: IncomingRequest, answer: ResponseOutparam) {
        let (status, content) = match greet(&request) {
            Some(answer) => (200, answer),
            None => (400, Vec::new()),
        };
        let headers = Fields::new();
        let typed = headers.append("content-type", b"application/json");
        let response = OutgoingResponse::new(headers);
        let body = response.body().ok().filter(|_| typed.is_ok() && response.set_status_code(status).is_ok());
        ResponseOutparam::set(answer, Ok(response));
        if let Some(body) = body {
            // A caller who has gone away needs no answer.
            let _gone = send(body, &content);
        }
    }
}

/// The answer to a request; none where its payload names nobody.
fn greet(request: &IncomingRequest) -> Option<Vec<u8>> {
    let body = request.consume().ok()?;
    let mut payload = Vec::new();
    let mut stream = body.stream().ok()?;
    stream.read_to_end(&mut payload).ok()?;
    drop(stream);
    drop(IncomingBody::finish(body));
    let Caller { name } = serde_json::from_slice(&payload).ok()?;
    // The flow logs this line; standard error is what there is for it here.
    eprintln!("greeting {name}");
    serde_json::to_vec(&Answer { greeting: format!("Hello, {name}!") }).ok()
}

fn send(body: OutgoingBody, content: &[u8]) -> Result<(), StreamError> {
    let stream = body.write().map_err(|()| StreamError::Closed)?;
    for part in content.chunks(WRITE_AT_ONCE) {
        stream.blocking_write_and_flush(part)?;
    }
    drop(stream);
    OutgoingBody::finish(body, None).map_err(|_| StreamError::Closed)
}
