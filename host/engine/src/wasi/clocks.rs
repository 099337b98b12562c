//! `wasi:clocks`: the time of the execution's journal, which stands still between journal points.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use flowhost_model::Timestamp;
use tokio::time::Instant;
use wasmtime::component::Resource;
use wasmtime_wasi::p2::bindings::clocks::{monotonic_clock, wall_clock};
use wasmtime_wasi::p2::{DynPollable, Pollable, subscribe};

use crate::State;
use crate::journal::Call;

/// Microseconds, like the timestamps of records.
const RESOLUTION: Duration = Duration::from_micros(1);

/// The longest sleep that is not "for ever": what a `tokio` timer can hold is far beyond any deadline.
const FOREVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// A point of time that a flow waits for.
struct Timer {
    until: Instant,
}

#[async_trait]
impl Pollable for Timer {
    async fn ready(&mut self) {
        tokio::time::sleep_until(self.until).await;
    }
}

/// The timers that a flow holds, by the number of their pollable, with the times that they stand for.
///
/// A map, since a flow may hold thousands and poll all of them at once.
#[derive(Default)]
pub(super) struct Timers(HashMap<u32, Instant>);

impl Timers {
    fn insert(&mut self, pollable: u32, until: Instant) {
        self.0.insert(pollable, until);
    }

    /// Forgets a pollable that is dropped.
    pub(super) fn remove(&mut self, pollable: u32) {
        self.0.remove(&pollable);
    }

    /// The time that a pollable stands for; none for what is no timer.
    pub(super) fn get(&self, pollable: u32) -> Option<Instant> {
        self.0.get(&pollable).copied()
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Whole microseconds, not less than these nanoseconds.
fn at_least(nanoseconds: u64) -> Duration {
    Duration::from_micros(nanoseconds.div_ceil(1_000))
}

fn datetime(since_1970: Timestamp) -> wall_clock::Datetime {
    let since = since_1970.since(Timestamp(0));
    wall_clock::Datetime { seconds: since.as_secs(), nanoseconds: since.subsec_nanos() }
}

impl State {
    fn timer(&mut self, left: Duration) -> wasmtime::Result<Resource<DynPollable>> {
        let until = Instant::now() + left.min(FOREVER);
        let timer = self.push_resource(Timer { until })?;
        let pollable = subscribe(&mut self.table, timer)?;
        self.wasi.timers.insert(pollable.rep(), until);
        Ok(pollable)
    }
}

impl wall_clock::Host for State {
    fn now(&mut self) -> wasmtime::Result<wall_clock::Datetime> {
        Ok(datetime(self.journal.now()))
    }

    fn resolution(&mut self) -> wasmtime::Result<wall_clock::Datetime> {
        Ok(wall_clock::Datetime { seconds: 0, nanoseconds: RESOLUTION.subsec_nanos() })
    }
}

impl monotonic_clock::Host for State {
    fn now(&mut self) -> wasmtime::Result<monotonic_clock::Instant> {
        Ok(nanoseconds(self.journal.elapsed()))
    }

    fn resolution(&mut self) -> wasmtime::Result<monotonic_clock::Duration> {
        Ok(nanoseconds(RESOLUTION))
    }

    fn subscribe_instant(&mut self, when: monotonic_clock::Instant) -> wasmtime::Result<Resource<DynPollable>> {
        let until = self.journal.began().saturating_add(at_least(when));
        // The flow's clock is ahead where the host's was set back.
        let present = self.journal.now().max(self.journal.clock().now());
        self.timer(until.since(present))
    }

    fn subscribe_duration(&mut self, when: monotonic_clock::Duration) -> wasmtime::Result<Resource<DynPollable>> {
        // The present is a journal point: the time since the last one must not shorten the sleep.
        let call = Call::new("wasi:clocks/monotonic-clock.subscribe-duration", &when);
        let until = match self.replay::<i64>(&call)? {
            Some(told) => told,
            None => {
                let until = self.journal.clock().now().saturating_add(at_least(when)).as_micros();
                self.record(call, &until)?;
                until
            }
        };
        self.timer(Timestamp(until).since(self.journal.clock().now()))
    }
}
