//! Performs the operations of its payload's `ops` on settings, one after the other, and says what each gave.
//!
//! An operation is `{"op": "get" | "exists" | "delete", "name"}`, `{"op": "names", "prefix"}`, `{"op": "save", "name", "value"}`,
//! `{"op": "compare-and-set", "name", "expected", "value"}`, where `expected` and `value` are left out for none, or
//! `{"op": "increment", "name", "by"}`. The output `results` has `{"ok": what it gave}` or `{"code", "message"}` for each.
//! With `raw` in place of `value`, save hands over that text as it is.

#![cfg(target_family = "wasm")]

use flowhost_guest::bindings::flowhost::flow::settings as contract;
use flowhost_guest::{Execution, FlowError, HostError, Input, Outputs, flow};
use serde::Deserialize;
use serde_json::Value;
use test_guests::{Plan, results};

#[derive(Deserialize)]
#[serde(tag = "op", rename_all = "kebab-case")]
enum Operation {
    Get {
        name: String,
    },
    Exists {
        name: String,
    },
    Names {
        prefix: String,
    },
    Save {
        name: String,
        #[serde(default)]
        value: Value,
        raw: Option<String>,
    },
    Delete {
        name: String,
    },
    CompareAndSet {
        name: String,
        #[serde(default, deserialize_with = "present")]
        expected: Option<Value>,
        #[serde(default, deserialize_with = "present")]
        value: Option<Value>,
    },
    Increment {
        name: String,
        by: i64,
    },
}

/// A member that is there, be it null.
fn present<'de, D: serde::Deserializer<'de>>(member: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(member).map(Some)
}

#[flow]
fn settings(this: &Execution, plan: Input<Plan<Operation>>) -> Result<Outputs, FlowError> {
    Ok(results(&plan.ops, |operation| perform(this, operation)))
}

fn perform(this: &Execution, operation: &Operation) -> Result<Value, HostError> {
    let settings = this.settings();
    Ok(match operation {
        Operation::Get { name } => settings.get::<Value>(name)?.into(),
        Operation::Exists { name } => settings.exists(name)?.into(),
        Operation::Names { prefix } => settings.names(prefix)?.into(),
        Operation::Save { name, raw: Some(raw), .. } => contract::save(name, raw).map(|()| Value::Null)?,
        Operation::Save { name, value, raw: None } => settings.save(name, value).map(|()| Value::Null)?,
        Operation::Delete { name } => settings.delete(name)?.into(),
        Operation::CompareAndSet { name, expected, value } => {
            settings.compare_and_set(name, expected.as_ref(), value.as_ref())?.into()
        }
        Operation::Increment { name, by } => settings.increment(name, *by)?.into(),
    })
}
