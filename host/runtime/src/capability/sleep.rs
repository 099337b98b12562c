//! `flowhost:flow/sleep`: waiting for a time.
//!
//! A sleep is two journal points: when it begins, with the time at which it ends, and when it has ended.

use std::time::Duration;

use flowhost_engine::{Call, State, WaitLimit, WholeState};
use flowhost_model::Timestamp;
use wasmtime::component::Linker;

use super::bindings::flowhost::flow::sleep;
use super::refusal::{Told, refusal};
use crate::capability::Capability;

/// The longest sleep: ten years. What is longer is rather a mistake in the unit.
pub(super) const LONGEST: Duration = Duration::from_secs(10 * 366 * 24 * 3600);

/// The capability `sleep`.
pub(super) struct SleepCapability;

impl Capability for SleepCapability {
    fn interfaces(&self) -> &[&str] {
        &["flowhost:flow/sleep"]
    }

    fn link(&self, linker: &mut Linker<State>) -> wasmtime::Result<()> {
        sleep::add_to_linker::<_, WholeState>(linker, |state| state)
    }
}

/// `asked` says what the flow gave.
fn too_long(asked: &str) -> sleep::HostError {
    let reason = "ends more than ten years from now; is its unit right? It is microseconds";
    refusal("sleep.too-long", format!("the sleep {asked} {reason}"))
}

async fn sleep_until(state: &mut State, until: Told<i64>, is_relative: bool) -> wasmtime::Result<Told<()>> {
    let until = match until {
        Ok(until) => Timestamp(until),
        Err(refused) => return Ok(Err(refused)),
    };
    let limit = WaitLimit { until: Some(until), is_relative };
    state.wait::<()>(Call::new("sleep.end", &()), limit, std::future::pending()).await?;
    Ok(Ok(()))
}

impl sleep::Host for State {
    async fn for_duration(&mut self, microseconds: u64) -> wasmtime::Result<Told<()>> {
        let call = Call::new("sleep.for-duration", &microseconds);
        let until = match self.replay(&call)? {
            Some(told) => told,
            None => {
                let duration = Duration::from_micros(microseconds);
                // Not the flow's clock, which is ahead where the host's was set back.
                let now = self.journal.clock().now();
                let told = match duration > LONGEST {
                    true => Err(too_long(&format!("for {microseconds}"))),
                    false => Ok(now.saturating_add(duration).0),
                };
                self.record(call, &told)?;
                told
            }
        };
        sleep_until(self, until, true).await
    }

    async fn until(&mut self, time: sleep::Timestamp) -> wasmtime::Result<Told<()>> {
        let call = Call::new("sleep.until", &time);
        let until = match self.replay(&call)? {
            Some(told) => told,
            None => {
                let until = i64::try_from(time).unwrap_or(i64::MAX);
                let left = Timestamp(until).since(self.journal.clock().now());
                let told = if left > LONGEST { Err(too_long(&format!("until {time}"))) } else { Ok(until) };
                self.record(call, &told)?;
                told
            }
        };
        sleep_until(self, until, false).await
    }
}
