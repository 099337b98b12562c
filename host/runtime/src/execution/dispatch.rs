//! Brings executions from the queue to slots, and from the store to the queue.

use std::time::Duration;

use flowhost_model::RecordId;

use crate::host::{Host, WeakHost};

/// How many executions are claimed at once.
const CLAIM: u32 = 1_000;

/// Below so many in the queue more are claimed.
const LOW: usize = 500;

/// When it is tried again where there was no room, or the store could not.
const AGAIN: Duration = Duration::from_millis(100);

impl Host {
    /// Starts the tasks that keep executions going, as long as the host lives.
    pub(crate) fn start_dispatch(&self) {
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

    /// How many executions of a flow may run at once.
    pub(crate) fn flow_limit(&self, flow: RecordId) -> Option<u32> {
        self.snapshot().flow_options(flow).and_then(|options| options.max_executions)
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
        let is_done = host.queue().len() < LOW
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
