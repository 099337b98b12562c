//! What clients call.
//!
//! Nothing here fails: an execution that does not end well was ended by the host. And whoever is not waited for is detached,
//! so that what an execution adds is added once it and its children have ended.

use serde_json::{Value, json};

use super::random::Random;

/// How many counters there are. Few, so that many write the same.
const COUNTERS: u64 = 4;

/// How deep parents have parents.
const DEPTH: u32 = 2;

/// A call of the webhook that is named like its flow.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) flow: &'static str,
    pub(crate) payload: Value,
    pub(crate) is_async: bool,
}

impl Call {
    pub(crate) fn new(flow: &'static str, payload: Value) -> Self {
        Self { flow, payload, is_async: false }
    }

    pub(crate) fn asynchronous(self) -> Self {
        Self { is_async: true, ..self }
    }

    pub(crate) fn random(random: &mut Random) -> Self {
        let (flow, payload) = match random.of(1..=10) {
            1..=3 => counter(random),
            4 => settings(random),
            5 | 6 => nap(random),
            7 | 8 => parent(random, DEPTH),
            _ => replayed(random),
        };
        Self { flow, payload, is_async: random.of(1..=2) == 1 }
    }
}

fn total(random: &mut Random) -> String {
    format!("total.{}", random.of(1..=COUNTERS))
}

fn counter(random: &mut Random) -> (&'static str, Value) {
    ("counter", json!({ "name": total(random), "by": random.of(1..=3), "times": random.of(1..=3) }))
}

fn settings(random: &mut Random) -> (&'static str, Value) {
    let (name, scratch) = (total(random), format!("scratch.{}", random.of(1..=COUNTERS)));
    let ops = json!([
        { "op": "save", "name": scratch, "value": random.of(1..=9) },
        { "op": "get", "name": name },
        { "op": "increment", "name": name, "by": random.of(1..=3) },
        { "op": "delete", "name": scratch },
        { "op": "compare-and-set", "name": scratch, "value": "mine" },
        { "op": "names", "prefix": "total." },
    ]);
    ("settings", json!({ "ops": ops }))
}

fn nap(random: &mut Random) -> (&'static str, Value) {
    let length = if random.of(1..=4) == 1 { "wasi_ms" } else { "for_ms" };
    ("nap", json!({ length: random.of(0..=100), "times": random.of(1..=3) }))
}

fn replayed(random: &mut Random) -> (&'static str, Value) {
    let (flow, input) = if random.of(1..=2) == 1 { counter(random) } else { nap(random) };
    ("replayed", json!({ "child": flow, "child_input": input, "nap_ms": random.of(0..=30) }))
}

fn parent(random: &mut Random, depth: u32) -> (&'static str, Value) {
    let when = random.one(&["ALL_ENDED", "ALL_SUCCEEDED", "FIRST_ENDED", ""]);
    let is_waited_for = when.starts_with("ALL");
    let children: Vec<Value> = (0..random.of(1..=4)).map(|_| child(random, depth, is_waited_for)).collect();
    let mut payload = json!({ "children": children, "then_sleep_ms": random.of(0..=30) });
    if !when.is_empty() {
        payload["when"] = when.into();
    }
    ("parent", payload)
}

fn child(random: &mut Random, depth: u32, is_waited_for: bool) -> Value {
    let (flow, input) = match random.of(1..=6) {
        1 | 2 => counter(random),
        3 => settings(random),
        4 | 5 => nap(random),
        _ if depth > 1 => parent(random, depth - 1),
        _ => counter(random),
    };
    let detached = !is_waited_for || random.of(1..=4) == 1;
    let priority = random.one(&["low", "normal", "high"]);
    let mut child = json!({ "flow": flow, "input": input, "detached": detached, "priority": priority });
    if flow != "parent" && random.of(1..=4) == 1 {
        child["key"] = "narrow".into();
        child["limit"] = 2.into();
    }
    child
}
