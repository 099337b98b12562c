//! Finds executions that this host has and its memory has lost, and goes on with them.
//!
//! None should ever be lost. One that is would stand still until the next start: its row says that this host has it.

use std::collections::HashSet;

use flowhost_model::RecordId;
use flowhost_store::Error;

use super::end;
use crate::host::{Host, WeakHost};
use crate::problem::Problem;

impl Host {
    /// Starts the task that looks for lost executions, as long as the host lives.
    pub(crate) fn start_sweep(&self) {
        tokio::spawn(sweep(self.downgrade()));
    }

    /// The executions that the store says this host has, and that are nowhere in its memory.
    async fn unattended(&self) -> Result<HashSet<RecordId>, Error> {
        // In this order: what is admitted meanwhile is not among them.
        let mut missing: HashSet<RecordId> =
            self.store().owned_executions(self.owner_id()).await?.into_iter().collect();
        self.queue().remove_known(&mut missing);
        missing.retain(|id| self.registry().get(*id).is_none() && !self.outage().concerns(*id));
        Ok(missing)
    }

    /// Takes up those that are missing and were missing at the look before: in between, what is on its way has arrived. Returns
    /// those that are missing for the first time.
    async fn take_up_lost(&self, before: &HashSet<RecordId>) -> Result<HashSet<RecordId>, Error> {
        let (lost, missing): (HashSet<_>, HashSet<_>) =
            self.unattended().await?.into_iter().partition(|id| before.contains(id));
        for id in lost {
            self.take_up(id).await?;
        }
        Ok(missing)
    }

    async fn take_up(&self, id: RecordId) -> Result<(), Error> {
        match self.store().retake_execution(self.owner_id(), id).await {
            Ok(Some(ticket)) => {
                tracing::warn!(execution = %id, "an execution was lost from memory; it is run again");
                self.enqueue_ticket(ticket, false).await;
                Ok(())
            }
            Ok(None) => {
                tracing::warn!(execution = %id, "an execution was lost from memory; it has ended");
                self.end_lost(id).await;
                Ok(())
            }
            // It has ended, or is paused.
            Err(Error::NotFound) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn end_lost(&self, id: RecordId) {
        let ended: Result<(), Problem> = async {
            let Some(mut execution) = self.store().execution(id).await? else { return Ok(()) };
            end::fail(&mut execution, self.now(), end::lost());
            self.end_in_store(execution).await
        }
        .await;
        if let Err(problem) = ended {
            tracing::warn!(execution = %id, detail = %problem.detail, "its end could not be kept; it is tried again");
        }
    }
}

async fn sweep(host: WeakHost) {
    let mut missing = HashSet::new();
    loop {
        let Some(every) = host.upgrade().map(|host| host.limits().sweep) else { return };
        tokio::time::sleep(every).await;
        let Some(host) = host.upgrade() else { return };
        if host.refuse_if_draining().is_err() {
            return;
        }
        missing = match host.take_up_lost(&missing).await {
            Ok(missing) => missing,
            Err(error) => {
                host.outage().begins(&error);
                HashSet::new()
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use flowhost_model::Status;

    use super::super::Queued;
    use super::super::live::tests::{host_with_one, start};
    use super::*;

    #[tokio::test]
    async fn lost_execution_is_taken_up_at_the_second_look() {
        let folder = tempfile::tempdir().unwrap();
        let (host, ticket) = host_with_one(&folder).await;
        let missing = host.take_up_lost(&HashSet::new()).await.unwrap();
        assert_eq!(missing, HashSet::from([ticket.id]));
        let mut ends = host.ends().of(vec![ticket.id]);
        assert!(host.take_up_lost(&missing).await.unwrap().is_empty());
        // Its flow is nowhere.
        assert_eq!(ends.next().await, Some((ticket.id, Status::EndedError)));
    }

    #[tokio::test]
    async fn execution_in_memory_is_not_missing() {
        let folder = tempfile::tempdir().unwrap();
        let (host, ticket) = host_with_one(&folder).await;
        let held = host.outage().hold(ticket.id);
        assert!(host.unattended().await.unwrap().is_empty());
        drop(held);
        host.queue().note_loading(ticket.id);
        assert!(host.unattended().await.unwrap().is_empty());
        let row = host.store().load_execution(ticket.id).await.unwrap();
        let registered = host.register(row).unwrap();
        host.queue().note_loaded(ticket.id);
        assert!(host.unattended().await.unwrap().is_empty());
        drop(registered);
        assert_eq!(host.unattended().await.unwrap().len(), 1);
        // None is taken from the queue any more.
        host.admission().close();
        host.queue().push(Queued::new(ticket, None));
        assert!(host.unattended().await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn lost_execution_that_is_not_durable_ends() {
        let folder = tempfile::tempdir().unwrap();
        let host = Host::builder().data(folder.path()).build().await.unwrap();
        let live = host.admit(start()).unwrap();
        live.begin(host.now(), Duration::ZERO);
        live.record(host.store(), host.owner_id()).await.unwrap();
        let missing = host.take_up_lost(&HashSet::new()).await.unwrap();
        host.take_up_lost(&missing).await.unwrap();
        let ended = host.execution(live.id).await.unwrap();
        assert_eq!(ended.failure.unwrap().code, "execution.interrupted");
    }
}
