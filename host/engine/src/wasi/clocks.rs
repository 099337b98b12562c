//! `wasi:clocks`: the time of the execution's journal, which stands still between journal points.

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;
use wasmtime::component::Resource;
use wasmtime_wasi::p2::bindings::clocks::{monotonic_clock, wall_clock};
use wasmtime_wasi::p2::{DynPollable, Pollable, subscribe};

use crate::State;

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

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn datetime(duration: Duration) -> wall_clock::Datetime {
    wall_clock::Datetime { seconds: duration.as_secs(), nanoseconds: duration.subsec_nanos() }
}

impl State {
    fn timer(&mut self, duration: Duration) -> wasmtime::Result<Resource<DynPollable>> {
        let until = Instant::now() + duration.min(FOREVER);
        let timer = self.push_resource(Timer { until })?;
        subscribe(&mut self.table, timer)
    }
}

impl wall_clock::Host for State {
    fn now(&mut self) -> wasmtime::Result<wall_clock::Datetime> {
        Ok(datetime(self.journal.wall_clock()))
    }

    fn resolution(&mut self) -> wasmtime::Result<wall_clock::Datetime> {
        Ok(datetime(RESOLUTION))
    }
}

impl monotonic_clock::Host for State {
    fn now(&mut self) -> wasmtime::Result<monotonic_clock::Instant> {
        Ok(nanoseconds(self.journal.monotonic_clock()))
    }

    fn resolution(&mut self) -> wasmtime::Result<monotonic_clock::Duration> {
        Ok(nanoseconds(RESOLUTION))
    }

    fn subscribe_instant(&mut self, when: monotonic_clock::Instant) -> wasmtime::Result<Resource<DynPollable>> {
        let now = nanoseconds(self.journal.monotonic_clock());
        self.timer(Duration::from_nanos(when.saturating_sub(now)))
    }

    fn subscribe_duration(&mut self, when: monotonic_clock::Duration) -> wasmtime::Result<Resource<DynPollable>> {
        self.timer(Duration::from_nanos(when))
    }
}
