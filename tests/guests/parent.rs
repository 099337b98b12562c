//! Starts its payload's `children`, cancels those of `cancel`, waits for them, and says what became of them.
//!
//! The payload:
//!
//! - `children`: each `{"flow" | "flow_id", "input", "detached", "priority": "low" | "normal" | "high", "key", "limit"}`, all but the
//!   flow may be left out
//! - `cancel`: the indices of children to cancel before the wait
//! - `strangers`: ids to wait for as well
//! - `when`: `ALL_ENDED`, `ALL_SUCCEEDED`, `FIRST_ENDED`, or left out for no wait
//! - `timeout_ms`: for how long to wait at most
//! - `handle`: whether a refused call is an output and not the end
//! - `then_sleep_ms`: how long to sleep before it returns
//!
//! The outputs: `ids`, set as soon as all are started; `ended`, the ids that the wait gave; `statuses`, `messages`, `failures`
//! and `child_outputs` of all children after it; with `handle`, `refused`: the list of what was refused, each `{"call", "code",
//! "message"}`. Logs `started ID` for each child and `waited` after the wait.

#![cfg(target_family = "wasm")]

use std::time::Duration;

use flowhost_guest::bindings::flowhost::flow::children as contract;
use flowhost_guest::children::{Child, FlowRef, Priority};
use flowhost_guest::{Execution, FlowError, HostError, Input, Outputs, flow, json};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Plan {
    children: Vec<Wanted>,
    #[serde(default)]
    cancel: Vec<usize>,
    #[serde(default)]
    strangers: Vec<String>,
    when: Option<When>,
    timeout_ms: Option<u64>,
    #[serde(default)]
    handle: bool,
    then_sleep_ms: Option<u64>,
}

#[derive(Deserialize)]
struct Wanted {
    flow: Option<String>,
    flow_id: Option<String>,
    #[serde(default)]
    input: Value,
    #[serde(default)]
    detached: bool,
    priority: Option<Urgency>,
    key: Option<String>,
    limit: Option<u32>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Urgency {
    Low,
    Normal,
    High,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum When {
    AllEnded,
    AllSucceeded,
    FirstEnded,
}

/// What was refused, if that is to be handled.
struct Refused {
    is_handled: bool,
    calls: Vec<Value>,
}

impl Refused {
    fn unless<T>(&mut self, call: &str, result: Result<T, HostError>) -> Result<Option<T>, FlowError> {
        match result {
            Ok(given) => Ok(Some(given)),
            Err(refused) if self.is_handled => {
                self.calls.push(json!({ "call": call, "code": refused.code(), "message": refused.message() }));
                Ok(None)
            }
            Err(refused) => Err(refused.into()),
        }
    }
}

#[flow]
fn parent(this: &Execution, input: Input<Plan>) -> Result<Outputs, FlowError> {
    let plan = input.json;
    let mut refused = Refused { is_handled: plan.handle, calls: Vec::new() };
    let mut children = Vec::new();
    for wanted in plan.children {
        if let Some(child) = refused.unless("start", start(this, wanted))? {
            this.info(format_args!("started {}", child.id()));
            children.push(child);
        }
    }
    let ids: Vec<String> = children.iter().map(|child| child.id().to_owned()).collect();
    this.set_output("ids", &ids)?;
    for index in plan.cancel {
        let child = children.get(index).ok_or_else(|| FlowError::new("there is no such child to cancel"))?;
        refused.unless("cancel", child.cancel())?;
    }
    if let Some(when) = plan.when {
        let named: Vec<String> = ids.into_iter().chain(plan.strangers).collect();
        let timeout = plan.timeout_ms.map(|milliseconds| milliseconds * 1000);
        let ended = contract::wait(&named, when.into(), timeout).map_err(HostError::from);
        this.set_output("ended", &refused.unless("wait", ended)?)?;
        this.info("waited");
    }
    let (mut statuses, mut messages, mut outputs) = (Vec::new(), Vec::new(), Vec::new());
    let mut failures = Vec::new();
    for child in &children {
        statuses.push(refused.unless("get-status", child.status())?.map(|status| status.to_string()));
        messages.push(refused.unless("get-message", child.message())?.flatten());
        let failure = refused.unless("get-failure", child.failure())?.flatten();
        failures.push(failure.map(|failure| {
            let (code, details) = (failure.code().map(str::to_owned), failure.details().cloned());
            json!({ "message": failure.message(), "code": code, "details": details, "retryable": failure.is_retryable() })
        }));
        outputs.push(refused.unless("get-outputs", child.outputs::<Value>())?);
    }
    if let Some(milliseconds) = plan.then_sleep_ms {
        this.sleep().for_duration(Duration::from_millis(milliseconds))?;
    }
    let said = Outputs::new()
        .set("statuses", statuses)
        .set("messages", messages)
        .set("failures", failures)
        .set("child_outputs", outputs);
    Ok(if plan.handle { said.set("refused", refused.calls) } else { said })
}

fn start(this: &Execution, wanted: Wanted) -> Result<Child<'_>, HostError> {
    let flow = match wanted.flow_id {
        Some(id) => FlowRef::Id(id),
        None => FlowRef::Name(wanted.flow.unwrap_or_default()),
    };
    let mut child = this.children().new_child(flow, &wanted.input)?;
    if wanted.detached {
        child = child.detached();
    }
    if let Some(urgency) = wanted.priority {
        child = child.priority(match urgency {
            Urgency::Low => Priority::Low,
            Urgency::Normal => Priority::Normal,
            Urgency::High => Priority::High,
        });
    }
    if let Some(key) = wanted.key {
        child = child.concurrency(key, wanted.limit.unwrap_or(1));
    }
    child.start()
}

impl From<When> for contract::ReturnWhen {
    fn from(when: When) -> Self {
        match when {
            When::AllEnded => Self::AllEnded,
            When::AllSucceeded => Self::AllSucceeded,
            When::FirstEnded => Self::FirstEnded,
        }
    }
}
