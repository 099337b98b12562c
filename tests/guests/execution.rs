//! Performs the operations of its payload's `ops` on its own execution, one after the other, and says what each gave.
//!
//! An operation is `{"op": "input" | "identity" | "attempt"}`, `{"op": "set" | "append", "name", "value"}`, `{"op": "merge" | "replace",
//! "value"}`, `{"op": "clone"}`, which with `input` starts one with another input, `{"op": "end-success" | "end-cancelled",
//! "message"}`, `{"op": "end-error", "message", "code", "details"}`, `{"op": "print", "text"}`, `{"op": "progress", "message"}`,
//! `{"op": "increment", "name"}` for a setting, or `{"op": "sleep", "ms"}`. With `raw` in place of a `value`, that text is handed
//! over as it is. The output `results` has `{"ok": what it gave}` or `{"code", "message"}` for each, unless one has ended the execution.

#![cfg(target_family = "wasm")]

use std::time::Duration;

use flowhost_guest::bindings::flowhost::flow::execution as contract;
use flowhost_guest::{Execution, FlowError, HostError, Input, Outputs, flow, json};
use serde::Deserialize;
use serde_json::Value;
use test_guests::{Plan, results};

#[derive(Deserialize)]
#[serde(tag = "op", rename_all = "kebab-case")]
enum Operation {
    Input,
    Identity,
    Attempt,
    Set { name: String, value: Value },
    Append { name: String, value: Option<Value>, raw: Option<String> },
    Merge { value: Option<Value>, raw: Option<String> },
    Replace { value: Option<Value>, raw: Option<String> },
    Clone { input: Option<Value>, raw: Option<String> },
    EndSuccess { message: String },
    EndError { message: String, code: String, details: Value },
    EndCancelled { message: String },
    Print { text: String },
    Progress { message: String },
    Increment { name: String },
    Sleep { ms: u64 },
}

#[flow]
fn execution(this: &Execution, plan: Input<Plan<Operation>>) -> Result<Outputs, FlowError> {
    Ok(results(plan.json.ops, |operation| perform(this, operation)))
}

/// The JSON text of a value, or the text that stands in its place.
fn text(value: Option<Value>, raw: Option<String>) -> String {
    raw.unwrap_or_else(|| value.unwrap_or_default().to_string())
}

fn perform(this: &Execution, operation: Operation) -> Result<Value, HostError> {
    let done = Value::Null;
    Ok(match operation {
        Operation::Input => this.input()?,
        Operation::Identity => this.acting_identity().map_or(
            Value::Null,
            |acting| json!({ "type": acting.identity_type, "id": acting.id, "name": acting.name }),
        ),
        Operation::Attempt => this.attempt().into(),
        Operation::Set { name, value } => this.set_output(&name, &value).map(|()| done)?,
        Operation::Append { name, value, raw } => contract::append_output(&name, &text(value, raw)).map(|()| done)?,
        Operation::Merge { value, raw } => contract::merge_outputs(&text(value, raw)).map(|()| done)?,
        Operation::Replace { value, raw } => contract::replace_outputs(&text(value, raw)).map(|()| done)?,
        Operation::Clone { raw: Some(raw), .. } => contract::clone(Some(&raw)).map(Value::from)?,
        Operation::Clone { input: None, .. } => this.clone_execution()?.id().into(),
        Operation::Clone { input: Some(input), .. } => this.clone_execution_with(&input)?.id().into(),
        Operation::EndSuccess { message } => this.end_success(message),
        Operation::EndError { message, code, details } => {
            this.end_error(FlowError::new(message).with_code(code).with_details(details).retryable())
        }
        Operation::EndCancelled { message } => this.end_cancelled(message),
        Operation::Print { text } => {
            print!("{text}");
            done
        }
        Operation::Progress { message } => {
            this.progress(message);
            done
        }
        Operation::Increment { name } => this.settings().increment(&name, 1)?.into(),
        Operation::Sleep { ms } => this.sleep().for_duration(Duration::from_millis(ms)).map(|()| done)?,
    })
}
