//! Performs the operations of its payload's `ops` on locks, one after the other, and says what each gave.
//!
//! An operation is `{"op": "acquire", "name", "timeout_ms"}`, without `timeout_ms` for as long as it takes, or `{"op":
//! "try-acquire" | "release" | "is-held" | "holder", "name"}`; beside locks there are `{"op": "sleep", "ms"}`, `{"op": "add",
//! "name"}`, which adds to a setting in two steps with a pause between them, and ways to end: `{"op": "fail" | "panic" | "trap" |
//! "spin" | "grow" | "end-success" | "end-cancelled"}`, of which two go on until a limit ends them. The output `results` has
//! `{"ok": what it gave}` or `{"code", "message"}` for each; it is set before each operation. Logs `ok OP NAME` or `no OP NAME`
//! after each.
//!
//! With `"flood": "take"` it takes locks of ever new names until it is refused one, and says which code and how many it has;
//! with `"flood": "swap"` it takes and gives back one for ever.

#![cfg(target_family = "wasm")]

use std::time::Duration;

use flowhost_guest::{Execution, FlowError, HostError, Input, Outputs, flow};
use serde::Deserialize;
use serde_json::Value;
use test_guests::told;

#[derive(Deserialize)]
struct Plan {
    #[serde(default)]
    ops: Vec<Operation>,
    flood: Option<Flood>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Flood {
    Take,
    Swap,
}

#[derive(Deserialize)]
struct Operation {
    op: Kind,
    #[serde(default)]
    name: String,
    timeout_ms: Option<u64>,
    #[serde(default)]
    ms: u64,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Acquire,
    TryAcquire,
    Release,
    IsHeld,
    Holder,
    Sleep,
    Add,
    Fail,
    Panic,
    Trap,
    Spin,
    Grow,
    EndSuccess,
    EndCancelled,
}

#[flow]
fn locks(this: &Execution, plan: Input<Plan>) -> Result<Outputs, FlowError> {
    if let Some(flood) = &plan.flood {
        return flooded(this, flood);
    }
    let mut results: Vec<Value> = Vec::new();
    for operation in &plan.ops {
        this.set_output("results", &results)?;
        let done = match operation.op {
            Kind::Fail => return Err(FlowError::new("as was asked for")),
            Kind::Panic => panic!("as was asked for"),
            Kind::Trap => core::arch::wasm32::unreachable(),
            Kind::Spin => loop {
                std::hint::black_box(());
            },
            Kind::Grow => loop {
                std::mem::forget(std::hint::black_box(vec![0xa5_u8; 1 << 20]));
            },
            Kind::EndSuccess => this.end_success("as was asked for"),
            Kind::EndCancelled => this.end_cancelled("as was asked for"),
            _ => perform(this, operation),
        };
        let outcome = if done.is_ok() { "ok" } else { "no" };
        this.info(format_args!("{outcome} {:?} {}", operation.op, operation.name));
        results.push(told(done));
    }
    Ok(Outputs::new().set("results", results))
}

fn perform(this: &Execution, operation: &Operation) -> Result<Value, HostError> {
    let (locks, name) = (this.locks(), &operation.name);
    Ok(match operation.op {
        Kind::Acquire => locks.acquire(name, operation.timeout_ms.map(Duration::from_millis)).map(|()| Value::Null)?,
        Kind::TryAcquire => locks.try_acquire(name)?.into(),
        Kind::Release => locks.release(name).map(|()| Value::Null)?,
        Kind::IsHeld => locks.is_held(name)?.into(),
        Kind::Holder => locks.holder(name)?.into(),
        Kind::Sleep => this.sleep().for_duration(Duration::from_millis(operation.ms)).map(|()| Value::Null)?,
        Kind::Add => {
            let sum = this.settings().get::<u64>(name)?.unwrap_or_default() + 1;
            this.sleep().for_duration(Duration::from_millis(operation.ms))?;
            this.settings().save(name, &sum)?;
            sum.into()
        }
        _ => Value::Null,
    })
}

fn flooded(this: &Execution, flood: &Flood) -> Result<Outputs, FlowError> {
    for number in 0_u32.. {
        match flood {
            Flood::Take => match this.locks().try_acquire(&format!("{}.{number}", this.id())) {
                Ok(_) => {}
                Err(refused) => return Ok(Outputs::new().set("code", refused.code()).set("taken", number)),
            },
            Flood::Swap => {
                this.locks().acquire(&this.id(), None)?;
                this.locks().release(&this.id())?;
            }
        }
    }
    Ok(Outputs::new())
}
