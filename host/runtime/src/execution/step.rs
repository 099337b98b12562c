//! A change that a flow makes: in one transaction with its entry in the journal.

use std::sync::Arc;

use flowhost_engine::{Outcome, State, Suspended, WaitLimit};
use flowhost_store::{JournalWrite, Write};

use super::Live;
use super::end::STORAGE_IS_FULL;
use super::run::TRY_AGAIN_AFTER;
use crate::host::Host;

impl Host {
    /// Makes changes of a flow that it was just told of: the last entry of its journal, and what else is not kept of it,
    /// become one transaction with them. `after` is called with the revision when they are kept.
    ///
    /// From then on the execution is durable. Error: nothing was kept; to be returned to wasmtime at once.
    pub(crate) async fn step(
        &self,
        state: &mut State,
        live: &Arc<Live>,
        changes: Vec<Write>,
        after: impl FnOnce(&Self, u64) + Send + 'static,
    ) -> wasmtime::Result<()> {
        let (first, entries) = state.journal.take_pending();
        let (host, stepped) = (self.clone(), live.clone());
        // In a task of its own: a flow that is stopped in the middle has made the change or not, and its row says which.
        let kept = tokio::spawn(async move {
            let mut is_known = stepped.recorded().lock().await;
            if stepped.has_left() {
                // It was taken out of memory before this began: it makes the change when it runs again.
                return Err(flowhost_store::Error::NotFound);
            }
            stepped.set_durable();
            let mut writes = Vec::with_capacity(changes.len() + 2);
            let mut execution = stepped.execution();
            execution.status = flowhost_model::Status::Running;
            if !*is_known {
                writes.push(Write::Execution(Box::new(stepped.row(execution, host.owner_id()))));
            }
            let begins = stepped.begins().filter(|_| first == 0);
            writes.push(Write::Journal(JournalWrite { execution: stepped.id, begins, first, entries }));
            writes.extend(changes);
            let revision = host.store().write(writes).await?;
            *is_known = true;
            after(&host, revision);
            Ok::<(), flowhost_store::Error>(())
        });
        match kept.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(flowhost_store::Error::NotFound)) => Err(state.end(Outcome::Cancelled)),
            Ok(Err(flowhost_store::Error::Full)) if live.has_caller() => {
                Err(state.end(Outcome::HostFault(STORAGE_IS_FULL.to_owned())))
            }
            // By itself it leaves memory, as soon as there is room for that, and tries the change again.
            Ok(Err(flowhost_store::Error::Full)) => {
                let limit = WaitLimit { until: Some(self.now().saturating_add(TRY_AGAIN_AFTER)), is_relative: true };
                let due = Some(std::time::Instant::now() + TRY_AGAIN_AFTER);
                Err(state.end(Outcome::Suspended(Suspended { limit, due })))
            }
            Ok(Err(error)) => Err(state.end(Outcome::HostFault(format!("a change of the flow was not kept: {error}")))),
            Err(error) => Err(state.end(Outcome::HostFault(error.to_string()))),
        }
    }
}
