//! A change that a flow makes: in one transaction with its entry in the journal.

use std::sync::Arc;

use flowhost_engine::{Outcome, State, Step};
use flowhost_model::JournalEntry;
use flowhost_store::{JournalWrite, Write};

use super::Live;
use super::end::STORAGE_IS_FULL;
use crate::host::Host;

impl Host {
    /// Makes changes of a flow that it was just told of: the last entry of its journal, and what else is not kept of it,
    /// become one transaction with them. `after` is called with the revision when they are kept.
    ///
    /// From then on the execution is durable, unless its flow writes to its caller. Error: nothing was kept; to be returned to wasmtime at once.
    pub(crate) async fn step(
        &self,
        state: &mut State,
        live: &Arc<Live>,
        changes: Vec<Write>,
        after: impl FnOnce(&Self, u64) + Send + 'static,
    ) -> wasmtime::Result<()> {
        let Some(Step { first, entries, cost }) = state.journal.begin_step() else {
            return Err(state.end(Outcome::HostFault("a change has no entry in the journal".to_owned())));
        };
        match self.keep(live, first, entries, changes, after).await {
            Ok(()) => {
                state.journal.note_step(cost);
                Ok(())
            }
            Err(error) => Err(self.not_kept(state, live, error)),
        }
    }

    /// Keeps what a flow was told. From then on the execution is durable, unless its flow writes to its caller.
    ///
    /// Error: nothing was kept; to be returned to wasmtime at once.
    pub(crate) async fn keep_told(&self, state: &mut State, live: &Arc<Live>) -> wasmtime::Result<()> {
        let (first, entries) = state.journal.pending();
        let count = entries.len();
        match self.keep(live, first, entries, Vec::new(), |_, _| {}).await {
            Ok(()) => {
                state.journal.note_kept(count);
                Ok(())
            }
            Err(error) => Err(self.not_kept(state, live, error)),
        }
    }

    /// How an execution goes on where something of it could not be kept.
    fn not_kept(&self, state: &mut State, live: &Live, error: flowhost_store::Error) -> wasmtime::Error {
        match error {
            flowhost_store::Error::NotFound => state.end(Outcome::Cancelled),
            error if error.is_of_storage() && live.may_be_postponed() => self.postpone(state, &error),
            flowhost_store::Error::Full => state.end(Outcome::HostFault(STORAGE_IS_FULL.to_owned())),
            error => state.end(Outcome::HostFault(format!("a change of the flow was not kept: {error}"))),
        }
    }

    /// Takes an execution out of memory because the storage fails, as soon as it works well enough for that. It asks again then for
    /// what it was refused.
    pub(crate) fn postpone(&self, state: &mut State, error: &(dyn std::fmt::Display + Sync)) -> wasmtime::Error {
        self.outage().begins(error);
        state.end(Outcome::Postponed)
    }

    /// Keeps entries of a journal, from the number `first` on, in one transaction with `changes`. From then on the execution
    /// is durable, unless its flow writes to its caller. `after` is called with the revision when they are kept.
    ///
    /// Error: nothing was kept; [`NotFound`](flowhost_store::Error::NotFound) where it has ended or left memory.
    pub(crate) async fn keep(
        &self,
        live: &Arc<Live>,
        first: u64,
        entries: Vec<JournalEntry>,
        changes: Vec<Write>,
        after: impl FnOnce(&Self, u64) + Send + 'static,
    ) -> Result<(), flowhost_store::Error> {
        let (host, live) = (self.clone(), live.clone());
        // In a task of its own: a flow that is stopped in the middle has made the change or not, and its row says which.
        let kept = tokio::spawn(async move {
            let mut is_known = live.recorded().lock().await;
            if live.has_left() {
                // It was taken out of memory before this began: it makes the change when it runs again.
                return Err(flowhost_store::Error::NotFound);
            }
            let mut writes = Vec::with_capacity(changes.len() + 2);
            if !*is_known {
                let mut execution = live.execution();
                execution.status = flowhost_model::Status::Running;
                writes.push(Write::Execution(Box::new(live.row(execution, host.owner_id()))));
            }
            let begins = live.begins().filter(|_| first == 0);
            let is_durable = !live.is_streaming();
            writes.push(Write::Journal(JournalWrite { execution: live.id, begins, is_durable, first, entries }));
            writes.extend(changes);
            let revision = host.store().write(writes).await?;
            *is_known = true;
            live.note_row();
            if is_durable {
                live.set_durable();
            }
            after(&host, revision);
            Ok(())
        });
        kept.await.unwrap_or_else(|error| Err(flowhost_store::Error::Damaged(error.to_string())))
    }
}
