//! `flowhost:flow/sleep`: waiting for a time.
//!
//! A sleep is two journal points: when it begins, with the time at which it ends, and when it has ended.

use std::time::Duration;

use flowhost_engine::{Call, State, WaitLimit, WholeState};
use flowhost_model::Timestamp;
use wasmtime::component::Linker;

use super::asking;
use super::bindings::flowhost::flow::sleep;
use super::refusal::{Told, or_refuse, refusal};
use crate::capability::Capability;
use crate::host::Host;

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

/// When a wait that begins now ends by its timeout, in microseconds of the clock that no jump moves.
pub(super) fn timeout_from_now(host: &Host, timeout: Option<u64>) -> Option<i64> {
    let timeout = timeout.map(|timeout| Duration::from_micros(timeout).min(LONGEST));
    timeout.map(|timeout| host.waker().steady().now().saturating_add(timeout).0)
}

/// What is left of a wait that ends then by its timeout.
pub(super) fn what_is_left(host: &Host, until: Option<i64>) -> WaitLimit {
    until.map_or(WaitLimit::None, |until| WaitLimit::For(host.waker().steady().left(Timestamp(until))))
}

async fn wait_out(state: &mut State, limit: WaitLimit) -> wasmtime::Result<Told<()>> {
    state.wait::<()>(Call::new("sleep.end", &()), limit, std::future::pending()).await?;
    Ok(Ok(()))
}

impl sleep::Host for State {
    async fn for_duration(&mut self, microseconds: u64) -> wasmtime::Result<Told<()>> {
        let (host, _) = asking(self)?;
        let call = Call::new("sleep.for-duration", &microseconds);
        let until: Told<i64> = match self.replay(&call)? {
            Some(told) => told,
            None => {
                // Not the flow's clock, which is ahead where the host's was set back.
                let until = timeout_from_now(&host, Some(microseconds));
                let is_too_long = Duration::from_micros(microseconds) > LONGEST;
                let told = until.filter(|_| !is_too_long).ok_or_else(|| too_long(&format!("for {microseconds}")));
                self.record(call, &told)?;
                told
            }
        };
        let until = or_refuse!(until);
        wait_out(self, what_is_left(&host, Some(until))).await
    }

    async fn until(&mut self, time: sleep::Timestamp) -> wasmtime::Result<Told<()>> {
        let call = Call::new("sleep.until", &time);
        let until: Told<i64> = match self.replay(&call)? {
            Some(told) => told,
            None => {
                let until = i64::try_from(time).unwrap_or(i64::MAX);
                let left = Timestamp(until).since(self.journal.clock().now());
                let told = if left > LONGEST { Err(too_long(&format!("until {time}"))) } else { Ok(until) };
                self.record(call, &told)?;
                told
            }
        };
        let until = or_refuse!(until);
        wait_out(self, WaitLimit::Until(Timestamp(until))).await
    }
}
