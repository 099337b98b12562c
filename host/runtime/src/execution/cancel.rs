//! Executions that are ended from outside, wherever they are: in memory, in the queue, or in the store.

use flowhost_engine::Outcome;
use flowhost_model::{Execution, RecordId, Status};
use futures_util::future::BoxFuture;

use super::run::Held;
use super::{StopReason, end};
use crate::host::Host;
use crate::problem::Problem;

/// Does something to its end, whether or not who asked for it waits for that.
pub(super) async fn wholly<T: Send + 'static>(
    work: impl Future<Output = Result<T, Problem>> + Send + 'static,
) -> Result<T, Problem> {
    let work: BoxFuture<'static, Result<T, Problem>> = Box::pin(work);
    tokio::spawn(work).await.map_err(Problem::host)?
}

impl Host {
    /// Ends an execution that a caller cancels, wherever it is: running, in the queue, or in the store. Goes on if that caller
    /// leaves meanwhile.
    pub(crate) async fn end_cancelled(&self, id: RecordId) -> Result<(), Problem> {
        let host = self.clone();
        wholly(async move { host.end_wherever_it_is(id).await }).await
    }

    async fn end_wherever_it_is(&self, id: RecordId) -> Result<(), Problem> {
        match self.store().mark_cancelled(id).await {
            // A synchronous execution has no row before its first durable step.
            Ok(()) | Err(flowhost_store::Error::NotFound) => {}
            Err(error) => return Err(error.into()),
        }
        if let Some(queued) = self.queue().remove(id) {
            let super::Queued { loaded, counted, place, ticket, is_woken, .. } = queued;
            drop(place);
            let Some(loaded) = loaded else {
                let ended = self.end_cancelled_in_store(id).await;
                if ended.is_err() {
                    // It is marked: the host that runs it ends it.
                    self.queue().push(super::Queued { is_woken, counted, ..super::Queued::new(ticket, None) });
                }
                return ended;
            };
            let held = Held { registered: loaded.registered, counted, holding: None };
            self.finish(&loaded.live, Outcome::Cancelled, held).await;
            return Ok(());
        }
        match self.registry().get(id) {
            Some(live) => {
                live.stop(StopReason::Cancel);
                // It may have left just before: then nothing of it is stopped here.
                if live.is_gone() { self.end_cancelled_in_store(id).await } else { Ok(()) }
            }
            None => self.end_cancelled_in_store(id).await,
        }
    }

    /// Ends an execution in a task of its own, since it may have children again.
    pub(crate) fn cancel_child(&self, child: RecordId) {
        let host = self.clone();
        let ended: BoxFuture<'static, ()> = Box::pin(async move {
            let mut pauses = host.outage().pauses();
            loop {
                match host.end_cancelled(child).await {
                    Err(problem) if problem.is_of_storage() => pauses.after(&problem).await,
                    Err(problem) => {
                        tracing::error!(execution = %child, detail = %problem.detail, "a child could not be cancelled; it is after the next start");
                        return;
                    }
                    Ok(()) => return pauses.done(),
                }
            }
        });
        tokio::spawn(ended);
    }

    async fn end_cancelled_in_store(&self, id: RecordId) -> Result<(), Problem> {
        let Some(mut execution) = self.store().execution(id).await? else { return Ok(()) };
        if execution.status.is_ended() {
            return Ok(());
        }
        if execution.status == Status::Paused {
            self.paused().discount(execution.user_id);
        }
        end::cancel(&mut execution, self.now());
        self.end_in_store(execution).await
    }

    /// Ends an execution that is not in memory.
    pub(crate) async fn end_in_store(&self, execution: Execution) -> Result<(), Problem> {
        match self.store().end_execution(execution.clone(), Vec::new(), true).await {
            // It ended meanwhile.
            Err(flowhost_store::Error::NotFound) => Ok(()),
            Err(error) => Err(error.into()),
            Ok(others) => {
                self.superseded(execution.id).await;
                self.called_keys().take(execution.id);
                self.outage().note_progress(execution.id);
                self.ends().tell(&execution);
                let had_locks = !others.released.is_empty();
                self.settle(others).await;
                if execution.parent_id.is_some() || had_locks {
                    // Who waited for it in the store is nobody's now.
                    self.queue().note_unclaimed();
                }
                Ok(())
            }
        }
    }

    /// Ends an execution whose row or journal cannot be read.
    pub(super) async fn end_damaged(&self, id: RecordId, reason: String) {
        let _held = self.outage().hold(id);
        let mut pauses = self.outage().pauses();
        loop {
            let ended: Result<(), Problem> = async {
                let Some(mut execution) = self.store().execution(id).await? else { return Ok(()) };
                end::fail(&mut execution, self.now(), end::damaged(reason.clone()));
                self.end_in_store(execution).await
            }
            .await;
            match ended {
                Err(problem) if problem.is_of_storage() => pauses.after(&problem).await,
                Err(problem) => {
                    tracing::error!(execution = %id, detail = %problem.detail, "its end could not be recorded");
                    return self.outage().give_up(id);
                }
                Ok(()) => return pauses.done(),
            }
        }
    }

    /// Ready when an execution that was ended or paused in the store is not in memory. It may have been on its way there just
    /// then, and would run, and be shown as it stands there.
    pub(crate) async fn superseded(&self, id: RecordId) {
        self.queue().until_loaded(id).await;
        if let Some(live) = self.registry().get(id) {
            live.stop(StopReason::Superseded);
            live.left().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use flowhost_store::Ticket;

    use super::super::live::tests::host_with_one;
    use super::*;

    /// Reads an execution from the store, has the store changed until it has this status, and only then puts what was read
    /// into memory, where it ends when it is told to.
    async fn overtaken(host: &Host, id: RecordId, status: Status, change: impl Future<Output = ()> + Send + 'static) {
        host.queue().note_loading(id);
        let row = host.store().load_execution(id).await.unwrap();
        let changed = tokio::spawn(change);
        while host.store().execution(id).await.unwrap().unwrap().status != status {
            tokio::task::yield_now().await;
        }
        let (live, registered) = host.register(row).unwrap();
        host.queue().note_loaded(id);
        tokio::spawn(async move {
            live.stop.stopped().await;
            drop(registered);
        });
        changed.await.unwrap();
    }

    #[tokio::test]
    async fn an_end_is_told_when_nobody_is_shown_the_execution_as_it_was_before() {
        let folder = tempfile::tempdir().unwrap();
        let (host, Ticket { id, .. }) = host_with_one(&folder).await;
        let mut ends = host.ends().of(vec![id]);
        let ending = host.clone();
        overtaken(&host, id, Status::EndedCancelled, async move { ending.end_cancelled(id).await.unwrap() }).await;
        assert_eq!(ends.next().await, Some((id, Status::EndedCancelled)));
        assert_eq!(host.execution(id).await.unwrap().status, Status::EndedCancelled);
    }

    #[tokio::test]
    async fn what_is_paused_on_its_way_into_memory_does_not_run() {
        let folder = tempfile::tempdir().unwrap();
        let (host, Ticket { id, .. }) = host_with_one(&folder).await;
        let pausing = host.clone();
        let paused = async move {
            // It was in the store when it was looked for in memory.
            pausing.store().pause_execution(id, "paused".into()).await.unwrap();
            pausing.superseded(id).await;
        };
        overtaken(&host, id, Status::Paused, paused).await;
        assert!(host.registry().get(id).is_none());
        assert_eq!(host.execution(id).await.unwrap().status, Status::Paused);
    }
}
