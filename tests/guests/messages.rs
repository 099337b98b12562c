//! Performs the operations of its payload's `ops` on messages, one after the other, and says what each gave.
//!
//! An operation is `{"op": "send", "subject", "text", "form", "recipient"}`, all but the subject may be left out, and `raw_form` is
//! a form that is handed over as the text that it is; `{"op": "wait" | "response" | "responder" | "close", "message",
//! "timeout_ms"}`, where `message` is the number of one that it sent, counted from 0, or an id; `{"op": "sleep", "ms"}` or
//! `{"op": "fail"}`. The output `results` has `{"ok": what it gave}` or `{"code", "message"}` for each; it is set before each
//! operation. Logs `ok OP` or `no OP` after each.
//!
//! With `"flood": true` it sends messages until it is refused one, and says which code and how many it sent.

#![cfg(target_family = "wasm")]

use std::time::Duration;

use flowhost_guest::bindings::flowhost::flow::messages as contract;
use flowhost_guest::{Execution, FlowError, HostError, Input, Outputs, flow, json};
use serde::Deserialize;
use serde_json::Value;
use test_guests::told;

#[derive(Deserialize)]
struct Plan {
    #[serde(default)]
    ops: Vec<Operation>,
    #[serde(default)]
    flood: bool,
}

#[derive(Deserialize)]
#[serde(tag = "op", rename_all = "kebab-case")]
enum Operation {
    Send {
        subject: String,
        text: Option<String>,
        form: Option<Value>,
        raw_form: Option<String>,
        recipient: Option<String>,
    },
    Wait {
        message: Which,
        timeout_ms: Option<u64>,
    },
    Response {
        message: Which,
    },
    Responder {
        message: Which,
    },
    Close {
        message: Which,
    },
    Sleep {
        ms: u64,
    },
    Fail,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Which {
    Number(usize),
    Id(String),
}

#[flow]
fn messages(this: &Execution, plan: Input<Plan>) -> Result<Outputs, FlowError> {
    if plan.flood {
        return flooded(this);
    }
    let (mut results, mut sent): (Vec<Value>, Vec<String>) = Default::default();
    for operation in &plan.ops {
        this.set_output("results", &results)?;
        let (name, done) = perform(this, operation, &mut sent)?;
        this.info(format_args!("{} {name}", if done.is_ok() { "ok" } else { "no" }));
        results.push(told(done));
    }
    Ok(Outputs::new().set("results", results))
}

fn perform(
    this: &Execution,
    operation: &Operation,
    sent: &mut Vec<String>,
) -> Result<(&'static str, Result<Value, HostError>), FlowError> {
    let message = |which: &Which| match which {
        Which::Number(number) => this.messages().message(sent.get(*number).cloned().unwrap_or_default()),
        Which::Id(id) => this.messages().message(id.clone()),
    };
    Ok(match operation {
        Operation::Send { subject, text, form, raw_form, recipient } => {
            let new = contract::NewMessage::new(subject);
            text.iter().for_each(|text| new.set_text(text));
            form.iter().for_each(|form| new.set_form(&form.to_string()));
            raw_form.iter().for_each(|form| new.set_form(form));
            recipient.iter().for_each(|recipient| new.set_recipient(recipient));
            let id = new.send().map_err(HostError::from);
            sent.extend(id.iter().cloned());
            ("send", id.map(Value::from))
        }
        Operation::Wait { message: which, timeout_ms } => {
            ("wait", message(which).wait(timeout_ms.map(Duration::from_millis)))
        }
        Operation::Response { message: which } => {
            let response = message(which).response::<Value>();
            ("response", response.map(|response| response.map_or(Value::Null, |response| json!([response]))))
        }
        Operation::Responder { message: which } => ("responder", message(which).responder().map(Value::from)),
        Operation::Close { message: which } => ("close", message(which).close().map(Value::from)),
        Operation::Sleep { ms } => ("sleep", this.sleep().for_duration(Duration::from_millis(*ms)).map(Value::from)),
        Operation::Fail => return Err(FlowError::new("as was asked for")),
    })
}

fn flooded(this: &Execution) -> Result<Outputs, FlowError> {
    for number in 0_u32.. {
        if let Err(refused) = this.messages().new_message(format!("Number {number}?")).send() {
            return Ok(Outputs::new().set("code", refused.code()).set("sent", number));
        }
    }
    Ok(Outputs::new())
}
