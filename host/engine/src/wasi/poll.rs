//! `wasi:io/poll`: waiting is a journal point, and what is ready is told in the order in which it was asked for.

use wasmtime::component::Resource;
use wasmtime_wasi::p2::DynPollable;
use wasmtime_wasi_io::bindings::wasi::io::poll::{Host, HostPollable};

use crate::State;

impl Host for State {
    async fn poll(&mut self, pollables: Vec<Resource<DynPollable>>) -> wasmtime::Result<Vec<u32>> {
        // A guest may poll what is ready for ever; the tick that bounds its CPU time cannot reach it inside of the host.
        tokio::task::yield_now().await;
        let mut ready = Host::poll(&mut self.table, pollables).await?;
        ready.sort_unstable();
        self.journal.pass();
        Ok(ready)
    }
}

impl HostPollable for State {
    async fn block(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        tokio::task::yield_now().await;
        HostPollable::block(&mut self.table, pollable).await?;
        self.journal.pass();
        Ok(())
    }

    async fn ready(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<bool> {
        let ready = HostPollable::ready(&mut self.table, pollable).await?;
        self.journal.pass();
        Ok(ready)
    }

    fn drop(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        HostPollable::drop(&mut self.table, pollable)
    }
}
