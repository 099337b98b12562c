//! Brings executions from the queue to slots, and from the store to the queue.

use std::sync::Arc;
use std::time::Duration;

use flowhost_model::{RecordId, Status};
use flowhost_store::{ExecutionRow, Ticket};
use tokio::sync::OwnedSemaphorePermit;

use super::queue::Holding;
use super::run::{Held, TRY_AGAIN_AFTER};
use super::{Counted, INACTIVE, Live, Loaded, Queued, Registered, Slot, StopReason};
use crate::host::{Host, WeakHost};

/// How many executions are claimed at once.
const CLAIM: u32 = 1_000;

/// Below so many from the store in the queue more are claimed.
const LOW: usize = 2_000;

/// When it is tried again where there was no room, or the store could not.
const AGAIN: Duration = Duration::from_millis(100);

impl Host {
    /// Starts the tasks that keep executions going, as long as the host lives. The first executions that a former process
    /// left are claimed before: their webhooks count them from the first call on.
    pub(crate) async fn start_dispatch(&self) {
        if let Err(error) = self.claim(CLAIM).await {
            tracing::error!(%error, "executions could not be claimed; it is tried again");
        }
        tokio::spawn(dispatch(self.downgrade()));
        tokio::spawn(claim(self.downgrade()));
    }

    /// Puts executions of the store that nobody owns into the queue. Gives how many.
    async fn claim(&self, limit: u32) -> Result<usize, flowhost_store::Error> {
        let tickets = self.store().claim_executions(self.owner_id(), limit).await?;
        let claimed = tickets.len();
        for ticket in tickets {
            self.enqueue_ticket(ticket, false).await;
        }
        Ok(claimed)
    }

    /// Counts an execution against its webhook's limit, where that has not been done by the call that starts it.
    fn count(&self, ticket: &Ticket) -> Option<Counted> {
        ticket.webhook_id.and_then(|webhook| self.snapshot().count(webhook))
    }

    /// Puts an execution that the store has into the queue.
    pub(super) fn push_ticket(&self, ticket: Ticket, is_woken: bool, place: Option<OwnedSemaphorePermit>) {
        let counted = self.count(&ticket);
        self.queue().push(Queued { is_woken, place, counted, ..Queued::new(ticket, None) });
    }

    /// How many executions of a flow may run at once.
    pub(crate) fn flow_limit(&self, flow: RecordId) -> Option<u32> {
        self.snapshot().flow_options(flow).and_then(|options| options.max_executions)
    }

    /// Puts a new execution that the store has into the queue.
    pub(crate) fn enqueue(&self, live: Arc<Live>, place: OwnedSemaphorePermit, counted: Option<Counted>) {
        let program = self.programs().cell(live.start.flow.digest);
        let loaded = Loaded { registered: self.registry().add(live.clone()), program, live: live.clone() };
        let queued = Queued::new(live.ticket(), Some(loaded));
        let counted = counted.or_else(|| self.count(&queued.ticket));
        self.queue().push(Queued { place: Some(place), counted, ..queued });
    }

    /// Puts a child that the store has into the queue; in development mode only while its user is active. One with a large
    /// input waits for its turn in the store: a parent may start many of them.
    pub(crate) fn enqueue_child(&self, child: Arc<Live>, place: OwnedSemaphorePermit) {
        /// The largest input, in bytes, that waits in memory.
        const WAITS_IN_MEMORY: usize = 256 << 10;
        let is_small = child.start.input.get().len() <= WAITS_IN_MEMORY;
        if is_small && (child.start.is_productive || self.is_active(child.start.user_id)) {
            self.enqueue(child, place, None);
        } else {
            let host = self.clone();
            tokio::spawn(async move { host.enqueue_ticket(child.ticket(), false).await });
        }
    }

    /// Puts an execution of the store that this host owns into the queue; in development mode only while its user is active.
    pub(crate) async fn enqueue_ticket(&self, ticket: Ticket, is_woken: bool) {
        if !ticket.is_productive && !self.is_active(ticket.user_id) {
            match self.store().pause_execution(ticket.id, INACTIVE.to_owned()).await {
                Ok(()) => self.count_paused(),
                Err(flowhost_store::Error::NotFound) => {}
                Err(error) => tracing::error!(execution = %ticket.id, %error, "an execution could not be paused"),
            }
            return;
        }
        self.push_ticket(ticket, is_woken, None);
    }

    /// Runs an execution from the queue.
    pub(super) async fn run_queued(&self, queued: Queued, holding: Holding, slot: Slot) {
        let Queued { ticket, loaded, is_woken, since, place, counted, .. } = queued;
        let (live, registered, program) = match loaded {
            Some(loaded) => (loaded.live, loaded.registered, loaded.program),
            None => match self.load(&ticket).await {
                // Whoever ends the host may not have seen it any more: it is for the next process.
                Some(_) if self.queue().is_closed() => return,
                Some((live, registered)) => {
                    let program = self.programs().cell(live.start.flow.digest);
                    (live, registered, program)
                }
                None => return,
            },
        };
        if is_woken {
            live.set_woken();
        }
        drop(place);
        let held = Held { registered, counted, holding: Some(holding) };
        let program = self.programs().get(live.start.flow.digest, &program).await;
        self.run(live, program, slot, held, since.elapsed()).await;
    }

    /// Brings an execution from the store into memory; none where it has ended or cannot be read.
    async fn load(&self, ticket: &Ticket) -> Option<(Arc<Live>, Registered)> {
        let id = ticket.id;
        let row = self.store().load_execution(id).await;
        let loaded = match row {
            // A ticket may come twice.
            Ok(_) if self.is_in_memory(id).await => Ok(None),
            row => row.map(|row| self.register(row)),
        };
        self.queue().note_loaded(id);
        match loaded {
            Ok(loaded) => loaded,
            Err(flowhost_store::Error::NotFound | flowhost_store::Error::Closed) => None,
            Err(flowhost_store::Error::Damaged(reason)) => {
                tracing::error!(execution = %id, %reason, "an execution cannot be run again");
                self.end_damaged(id, reason).await;
                None
            }
            Err(error) => {
                tracing::error!(execution = %id, %error, "an execution could not be read; it is tried again");
                let (host, ticket) = (self.clone(), ticket.clone());
                tokio::spawn(async move {
                    tokio::time::sleep(TRY_AGAIN_AFTER).await;
                    host.push_ticket(ticket, false, None);
                });
                None
            }
        }
    }

    /// Whether an execution is in memory and does not leave it.
    async fn is_in_memory(&self, id: RecordId) -> bool {
        let Some(live) = self.registry().get(id) else { return false };
        // Held while it leaves.
        let _recorded = live.recorded().lock().await;
        !live.has_left()
    }

    /// Puts an execution of the store among those in memory; none where it is not for this host to run.
    pub(super) fn register(&self, row: ExecutionRow) -> Option<(Arc<Live>, Registered)> {
        // Somebody paused it, or has it.
        if row.execution.status != Status::Scheduled || row.owner != Some(self.owner_id()) {
            return None;
        }
        let is_cancelled = row.is_cancelled;
        let budget = self.limits().budget;
        let (residents, secrets) = (self.admission().residents().clone(), self.secrets().clone());
        let key = self.called_keys().take(row.execution.id);
        let live = Arc::new(Live::recovered(row, budget, residents, secrets, key, self.clock()));
        let registered = self.registry().add(live.clone());
        if is_cancelled {
            live.stop(StopReason::Cancel);
        }
        Some((live, registered))
    }
}

async fn dispatch(host: WeakHost) {
    loop {
        let Some(queue) = host.upgrade().map(|host| host.queue().clone()) else { return };
        if !queue.filled().await {
            return;
        }
        let Some(admission) = host.upgrade().map(|host| host.admission().clone()) else { return };
        let Some(slot) = admission.queued_slot().await else { return };
        let Some(host) = host.upgrade() else { return };
        if let Some((queued, holding)) = queue.pop(|flow| host.flow_limit(flow)) {
            tokio::spawn(async move { host.run_queued(queued, holding, slot).await });
        }
    }
}

/// Claims executions of the store that nobody owns, as there is room for them: those that a former process left, then
/// whatever is noted.
async fn claim(host: WeakHost) {
    loop {
        let Some(host) = host.upgrade() else { return };
        if host.refuse_if_draining().is_err() {
            return;
        }
        let is_done = host.queue().brought() < LOW
            && match host.claim(CLAIM).await {
                Ok(claimed) => claimed < CLAIM as usize,
                Err(flowhost_store::Error::Closed) => return,
                Err(error) => {
                    tracing::error!(%error, "executions could not be claimed; it is tried again");
                    false
                }
            };
        let queue = host.queue().clone();
        drop(host);
        if is_done {
            queue.unclaimed().await;
        } else {
            tokio::time::sleep(AGAIN).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::live::tests::host_with_one;
    #[tokio::test]
    async fn a_second_ticket_of_an_execution_runs_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (host, ticket) = host_with_one(&folder).await;
        let first = host.load(&ticket).await.unwrap();
        assert!(host.load(&ticket).await.is_none());
        // One that leaves memory may come back before it has gone.
        first.0.set_left();
        assert!(host.load(&ticket).await.is_some());
    }
}
