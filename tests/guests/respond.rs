//! Performs the operations of its payload's `ops` on the answer to its call, one after the other, and says what each gave.
//!
//! An operation is `{"op": "status", "status"}`, `{"op": "set-header" | "append-header", "name", "value"}`, `{"op": "many-headers",
//! "count", "bytes"}`, `{"op": "body", "content_type", "text"}`, `{"op": "large-body", "bytes"}`, `{"op": "redirect", "status",
//! "location"}`, `{"op": "file", "name"}`, `{"op": "send"}`, `{"op": "start-body", "content_type"}`, `{"op": "write", "text"}`,
//! `{"op": "write-much", "bytes"}`, `{"op": "write-until-refused"}`, `{"op": "finish" | "drop"}`, `{"op": "sleep", "ms"}`,
//! `{"op": "increment", "name"}` for a setting, `{"op": "log", "text"}`, `{"op": "fail" | "panic", "message"}` or `{"op": "end-success"}`. The output
//! `results` has `null` or the code of its refusal for each, as far as the flow came.

#![cfg(target_family = "wasm")]

use std::time::Duration;

use flowhost_guest::bindings::flowhost::flow::response as contract;
use flowhost_guest::{Execution, FlowError, HostError, Input, Outputs, flow};
use serde::Deserialize;

#[derive(Deserialize)]
struct Plan {
    ops: Vec<Operation>,
}

#[derive(Deserialize)]
#[serde(tag = "op", rename_all = "kebab-case")]
enum Operation {
    Status { status: u16 },
    SetHeader { name: String, value: String },
    AppendHeader { name: String, value: String },
    ManyHeaders { count: usize, bytes: usize },
    Body { content_type: String, text: String },
    LargeBody { bytes: usize },
    Redirect { status: u16, location: String },
    File { name: String },
    Send,
    StartBody { content_type: String },
    Write { text: String },
    WriteMuch { bytes: usize },
    WriteUntilRefused,
    Finish,
    Drop,
    Sleep { ms: u64 },
    Increment { name: String },
    Log { text: String },
    Fail { message: String },
    Panic { message: String },
    EndSuccess,
}

#[flow]
fn respond(this: &Execution, plan: Input<Plan>) -> Result<Outputs, FlowError> {
    // The contract's own, which can be used after it is finished.
    let mut stream = None;
    for operation in plan.json.ops {
        if let Operation::Fail { message } = operation {
            return Err(FlowError::new(message));
        }
        let told = perform(this, &mut stream, operation);
        let code = told.as_ref().err().map(HostError::code);
        this.append_output("results", &code)?;
    }
    // What is left open is cut off, and not by a destructor.
    std::mem::forget(stream);
    Ok(Outputs::new())
}

fn perform(this: &Execution, stream: &mut Option<contract::BodyStream>, operation: Operation) -> Result<(), HostError> {
    let response = this.response();
    let write = |bytes: &[u8]| match &stream {
        Some(stream) => Ok(stream.write(bytes)?),
        None => panic!("no body was started"),
    };
    match operation {
        Operation::Status { status } => response.set_status(status),
        Operation::SetHeader { name, value } => response.set_header(&name, value),
        Operation::AppendHeader { name, value } => response.append_header(&name, value),
        Operation::ManyHeaders { count, bytes } => {
            (0..count).try_for_each(|number| response.append_header(&format!("x-{number}"), "x".repeat(bytes)))
        }
        Operation::Body { content_type, text } => response.bytes(&content_type, text),
        Operation::LargeBody { bytes } => response.bytes("text/plain", "x".repeat(bytes)),
        Operation::Redirect { status, location } => response.redirect(status, &location),
        Operation::File { name } => response.file(&name),
        Operation::Send => response.send(),
        Operation::StartBody { content_type } => {
            *stream = Some(contract::start_body(&content_type)?);
            Ok(())
        }
        Operation::Write { text } => write(text.as_bytes()),
        Operation::WriteMuch { bytes } => write(&vec![b'x'; bytes]),
        Operation::WriteUntilRefused => loop {
            write(&[b'x'; 64 << 10])?;
        },
        Operation::Finish => match &stream {
            Some(stream) => Ok(stream.finish()?),
            None => panic!("no body was started"),
        },
        Operation::Drop => {
            *stream = None;
            Ok(())
        }
        Operation::Sleep { ms } => this.sleep().for_duration(Duration::from_millis(ms)),
        Operation::Increment { name } => this.settings().increment(&name, 1).map(drop),
        Operation::Log { text } => {
            this.info(text);
            Ok(())
        }
        Operation::Panic { message } => panic!("{message}"),
        Operation::EndSuccess => this.end_success("enough"),
        Operation::Fail { .. } => Ok(()),
    }
}
