//! `wasi:io/poll`: waiting is a journal point, and what is ready is told in the order in which it was asked for.

use std::future::Future;
use std::pin::{Pin, pin};

use tokio::time::Instant;
use wasmtime::component::{Resource, ResourceTable};
use wasmtime_wasi::p2::DynPollable;
use wasmtime_wasi_io::bindings::wasi::io::poll::{Host, HostPollable};

use crate::State;
use crate::journal::Call;
use crate::outcome::{Outcome, Suspended};
use crate::wait::{WaitLimit, stay};

type Polled<'a, T> = Pin<Box<dyn Future<Output = wasmtime::Result<T>> + Send + 'a>>;

impl State {
    /// Waits for pollables, whose timers are `timers`. The flow may leave memory meanwhile.
    async fn poll_for<T: Send>(
        &mut self,
        earliest: Option<Instant>,
        poll: impl for<'a> FnOnce(&'a mut ResourceTable) -> Polled<'a, T>,
    ) -> wasmtime::Result<T> {
        let Some(due) = earliest else {
            let mut polled = pin!(poll(&mut self.table));
            return match self.holds.stay(&self.meter, polled.as_mut()).await {
                Some(polled) => polled,
                None => polled.await,
            };
        };
        match stay(&self.residence, &self.meter, &self.holds, poll(&mut self.table)).await {
            Some(polled) => polled,
            None => {
                let limit = WaitLimit::For(due.saturating_duration_since(Instant::now()));
                Err(self.end(Outcome::Suspended(Suspended { limit, due: Some(due.into_std()) })))
            }
        }
    }

    fn timer_of(&self, pollable: &Resource<DynPollable>) -> Option<Instant> {
        self.wasi.timers.get(pollable.rep())
    }
}

impl Host for State {
    async fn poll(&mut self, pollables: Vec<Resource<DynPollable>>) -> wasmtime::Result<Vec<u32>> {
        // A guest may poll what is ready for ever; the tick that bounds its CPU time cannot reach it inside of the host.
        tokio::task::yield_now().await;
        // One that names its handles again and again would make work without end for the host, which counts as no step of
        // the guest's.
        let (count, limit) = (pollables.len(), self.table.max_capacity());
        if count > limit {
            let message = format!("polled {count} pollables at once; a flow may hold {limit}");
            return Err(self.end(Outcome::Trap { message, trace: None }));
        }
        let call = Call::new("wasi:io/poll.poll", &pollables.len());
        let since = self.journal.now();
        if let Some(ready) = self.replay(&call)? {
            self.journal.note_wait(since);
            return Ok(ready);
        }
        let timers: Vec<Option<Instant>> = pollables.iter().map(|pollable| self.timer_of(pollable)).collect();
        let earliest = timers.iter().flatten().min().copied();
        let ready = if earliest.is_some() && self.journal.take_woken() {
            let woken = timers.iter().zip(0..).filter(|(until, _)| until.is_some() && **until <= earliest);
            woken.map(|(_, index)| index).collect()
        } else {
            let mut ready = self.poll_for(earliest, |table| Box::pin(Host::poll(table, pollables))).await?;
            ready.sort_unstable();
            ready
        };
        self.record(call, &ready)?;
        self.journal.note_wait(since);
        Ok(ready)
    }
}

impl HostPollable for State {
    async fn block(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        tokio::task::yield_now().await;
        let call = Call::new("wasi:io/poll.block", &());
        let since = self.journal.now();
        if self.replay::<()>(&call)?.is_none() {
            let until = self.timer_of(&pollable);
            if until.is_none() || !self.journal.take_woken() {
                self.poll_for(until, |table| Box::pin(HostPollable::block(table, pollable))).await?;
            }
            self.record(call, &())?;
        }
        self.journal.note_wait(since);
        Ok(())
    }

    async fn ready(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<bool> {
        let call = Call::new("wasi:io/poll.ready", &());
        if let Some(ready) = self.replay(&call)? {
            return Ok(ready);
        }
        let ready = HostPollable::ready(&mut self.table, pollable).await?;
        self.record(call, &ready)?;
        Ok(ready)
    }

    fn drop(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        self.wasi.timers.remove(pollable.rep());
        HostPollable::drop(&mut self.table, pollable)
    }
}
