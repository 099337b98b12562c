//! Lets time, randomness, the order of a hash map, settings and a child's outputs decide what it asks of the host, so that
//! nothing but being told the same again leads it the same way again.
//!
//! The payload, all of which may be left out: `child`, the name of a flow to run as a child with the payload's `child_input`;
//! `nap_ms`, how long to sleep in the middle of its steps.
//!
//! Every step increments the setting `replayed.ID.STEP`, ID being the execution's: whatever is not 1 in the end was done more
//! than once. It also logs `step STEP`. The steps and what led to them are returned as `steps`, a list of the names in their
//! order, and `observed`.

#![cfg(target_family = "wasm")]

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime};

use data_encoding::HEXLOWER;
use flowhost_guest::{Execution, FlowError, Input, Outputs, flow, json};
use serde::Deserialize;
use serde_json::{Map, Value};

#[derive(Default, Deserialize)]
#[serde(default)]
struct Plan {
    child: Option<String>,
    child_input: Value,
    nap_ms: u64,
}

struct Steps<'a> {
    this: &'a Execution,
    names: Vec<String>,
}

impl Steps<'_> {
    fn step(&mut self, name: String) -> Result<i64, FlowError> {
        self.this.info(format_args!("step {name}"));
        let times = self.this.settings().increment(&format!("replayed.{}.{name}", self.this.id()), 1)?;
        self.names.push(name);
        Ok(times)
    }
}

#[flow]
fn replayed(this: &Execution, input: Input<Option<Plan>>) -> Result<Outputs, FlowError> {
    let plan = input.json.unwrap_or_default();
    let nap = Duration::from_millis(plan.nap_ms);
    let mut steps = Steps { this, names: Vec::new() };
    let mut observed = Map::new();
    let start = Instant::now();

    let clock = microseconds()?;
    observed.insert("clock".into(), clock.into());
    steps.step(format!("time-{}", clock % 7))?;
    this.sleep().for_duration(nap)?;

    let mut random = [0; 8];
    getrandom::fill(&mut random)?;
    observed.insert("random".into(), HEXLOWER.encode(&random).into());
    steps.step(format!("random-{}", random[0] % 16))?;
    if random[1] % 2 == 0 {
        this.settings().save("replayed.last-random", &random[1])?;
    } else {
        this.settings().delete("replayed.last-random")?;
    }
    this.sleep().for_duration(nap)?;

    let hashed: HashMap<&str, u32> = ["flour", "water", "salt", "yeast"].into_iter().zip(0..).collect();
    let order: Vec<&str> = hashed.keys().copied().collect();
    for ingredient in &order {
        steps.step(format!("hash-{ingredient}"))?;
    }
    observed.insert("hash_order".into(), order.into());
    this.sleep().for_duration(nap)?;

    let turn = this.settings().increment("replayed.turn", 1)?;
    observed.insert("turn".into(), turn.into());
    if turn % 2 == 0 {
        steps.step("even-turn".into())?;
    } else {
        let names = this.settings().names(&format!("replayed.{}.", this.id()))?;
        steps.step(format!("odd-turn-after-{}", names.len()))?;
    }
    std::thread::sleep(nap);

    if let Some(flow) = &plan.child {
        let child = this.children().start(flow.as_str(), &plan.child_input)?;
        child.wait()?;
        let outputs: Value = child.outputs()?;
        let sum: u32 = outputs.to_string().bytes().map(u32::from).sum();
        steps.step(format!("child-{}", sum % 16))?;
        observed.insert("child".into(), json!({ "id": child.id(), "outputs": outputs }));
        this.sleep().for_duration(nap)?;
    }

    observed.insert("clock_at_end".into(), microseconds()?.into());
    observed.insert("elapsed_us".into(), u64::try_from(start.elapsed().as_micros())?.into());
    steps.step("end".into())?;
    Ok(Outputs::new().set("steps", steps.names).set("observed", observed))
}

fn microseconds() -> Result<u64, FlowError> {
    Ok(u64::try_from(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_micros())?)
}
