//! Differs from `unstable-a`, which says what for, as its payload's `differs` says: by the `order` of the two increments, by what
//! it asks (`argument`), by another `call`, by one call `more` or one `fewer` before the sleep, by its `end` before it,
//! or by a `stop` there, an end that does not return.

#![cfg(target_family = "wasm")]

use std::time::Duration;

use flowhost_guest::{Execution, FlowError, Input, Outputs, flow};
use serde::Deserialize;

#[derive(Deserialize)]
struct Plan {
    for_ms: u64,
    differs: Difference,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Difference {
    Order,
    Argument,
    Call,
    More,
    Fewer,
    End,
    Stop,
}

#[flow]
fn unstable(this: &Execution, plan: Input<Plan>) -> Result<Outputs, FlowError> {
    let settings = this.settings();
    match plan.differs {
        Difference::Order => {
            settings.increment("unstable.second", 1)?;
            settings.increment("unstable.first", 1)?;
        }
        Difference::Argument => {
            settings.increment("unstable.first", 1)?;
            settings.increment("unstable.second", 2)?;
        }
        Difference::Call => {
            settings.increment("unstable.first", 1)?;
            settings.delete("unstable.second")?;
        }
        Difference::More => {
            settings.increment("unstable.first", 1)?;
            settings.increment("unstable.second", 1)?;
            settings.increment("unstable.more", 1)?;
        }
        Difference::Fewer => {
            settings.increment("unstable.first", 1)?;
        }
        Difference::End => {
            settings.increment("unstable.first", 1)?;
            return Ok(Outputs::new().set("variant", "b"));
        }
        Difference::Stop => {
            settings.increment("unstable.first", 1)?;
            this.end_success("enough");
        }
    }
    this.sleep().for_duration(Duration::from_millis(plan.for_ms))?;
    settings.increment("unstable.third", 1)?;
    Ok(Outputs::new().set("variant", "b"))
}
