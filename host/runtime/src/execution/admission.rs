//! How many executions run at once.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Residents;
use crate::problem::{Code, Problem};

/// Executions that may run without leaving room for callers who wait: async ones take at most this part of the slots.
const QUEUED_SHARE: (u32, u32) = (3, 4);

/// Executions that write a body stay in their slots whatever they wait for: they take at most this part of them, so that what
/// they wait for can run.
const STREAMING_SHARE: (u32, u32) = (1, 2);

/// The host's slots. An execution holds one as long as its instance lives.
#[derive(Clone, Debug)]
pub(crate) struct Admission {
    slots: Arc<Semaphore>,
    queued_slots: Arc<Semaphore>,
    streaming: Arc<Semaphore>,
    queue: Arc<Semaphore>,
    children: Arc<Semaphore>,
    checks: Arc<Semaphore>,
    wait: Duration,
    residents: Arc<Residents>,
}

/// A held slot; dropping it frees the slot.
#[derive(Debug)]
pub(crate) struct Slot {
    _slot: OwnedSemaphorePermit,
    _share: Option<OwnedSemaphorePermit>,
}

/// The place of an execution that writes a body; dropping it frees the place.
#[derive(Debug)]
pub(crate) struct StreamingPlace(#[expect(dead_code, reason = "held")] OwnedSemaphorePermit);

impl Admission {
    pub(crate) fn new(executions: u32, queued: u32, wait: Duration, residents: Arc<Residents>) -> Self {
        let share = |(part, whole): (u32, u32)| Arc::new(Semaphore::new((executions * part / whole).max(1) as usize));
        Self {
            slots: Arc::new(Semaphore::new(executions.max(1) as usize)),
            queued_slots: share(QUEUED_SHARE),
            streaming: share(STREAMING_SHARE),
            queue: Arc::new(Semaphore::new(queued as usize)),
            children: Arc::new(Semaphore::new(queued as usize)),
            checks: Arc::new(Semaphore::new(std::thread::available_parallelism().map_or(1, usize::from))),
            wait,
            residents,
        }
    }

    /// A slot for a call whose caller waits. Waits a little for one.
    pub(crate) async fn slot(&self) -> Result<Slot, Problem> {
        let busy = || Problem::new(Code::HostBusy, "the host runs as many executions as it may; try again");
        // A free slot is the ordinary case and needs no timer.
        let slot = match self.slots.clone().try_acquire_owned() {
            Ok(slot) => slot,
            Err(_) => {
                let slot = tokio::time::timeout(self.wait, taken(&self.slots, &self.residents)).await;
                let draining = || Problem::new(Code::HostDraining, "the host is about to stop");
                slot.map_err(|_| busy())?.ok_or_else(draining)?
            }
        };
        Ok(Slot { _slot: slot, _share: None })
    }

    /// A place in the queue for an execution that nobody waits for. The place is held until the execution begins.
    pub(crate) fn queue_place(&self) -> Result<OwnedSemaphorePermit, Problem> {
        self.queue
            .clone()
            .try_acquire_owned()
            .map_err(|_| Problem::new(Code::HostBusy, "too many accepted executions wait for their turn; try again"))
    }

    /// A place for a child that waits for a slot, of as many as there are for executions that others start: parents can fill
    /// memory with what they give their children, and take nothing from callers that way. The place is held until it begins.
    pub(crate) fn child_place(&self) -> Result<OwnedSemaphorePermit, Problem> {
        self.children
            .clone()
            .try_acquire_owned()
            .map_err(|_| Problem::new(Code::HostBusy, "too many children wait for their turn; try again later"))
    }

    /// A turn to hold a large input against its schema: it takes a processor, for as long as a second. Waits a little for one.
    pub(crate) async fn check_turn(&self) -> Result<OwnedSemaphorePermit, Problem> {
        let turn = tokio::time::timeout(self.wait, self.checks.clone().acquire_owned()).await;
        let busy = || Problem::new(Code::HostBusy, "too many large inputs wait to be checked; try again");
        turn.ok().and_then(Result::ok).ok_or_else(busy)
    }

    /// A slot for an execution that was queued. Waits as long as it takes; none when the host has closed.
    pub(crate) async fn queued_slot(&self) -> Option<Slot> {
        let share = taken(&self.queued_slots, &self.residents).await?;
        let slot = taken(&self.slots, &self.residents).await?;
        Some(Slot { _slot: slot, _share: Some(share) })
    }

    /// A place among the executions that write a body; none where there are as many as there may be.
    pub(crate) fn streaming_place(&self) -> Option<StreamingPlace> {
        self.streaming.clone().try_acquire_owned().ok().map(StreamingPlace)
    }

    /// The executions in memory that wait for something.
    pub(crate) fn residents(&self) -> &Arc<Residents> {
        &self.residents
    }

    /// Lets nothing begin any more.
    pub(crate) fn close(&self) {
        self.queued_slots.close();
        self.slots.close();
    }
}

/// A permit; where none is free, an execution that waits leaves its own. None when there are none any more.
async fn taken(permits: &Arc<Semaphore>, residents: &Arc<Residents>) -> Option<OwnedSemaphorePermit> {
    if let Ok(permit) = permits.clone().try_acquire_owned() {
        return Some(permit);
    }
    let _wanted = residents.want();
    permits.clone().acquire_owned().await.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn large_inputs_are_checked_as_many_at_once_as_there_are_processors() {
        let admission = Admission::new(4, 10, Duration::ZERO, Residents::new(Duration::from_secs(10)));
        let mut turns = Vec::new();
        for _ in 0..std::thread::available_parallelism().unwrap().get() {
            turns.push(admission.check_turn().await.unwrap());
        }
        assert_eq!(admission.check_turn().await.unwrap_err().code, Code::HostBusy);
        turns.pop();
        drop(admission.check_turn().await.unwrap());
    }

    #[tokio::test]
    async fn queued_executions_leave_room_for_callers_who_wait() {
        let admission = Admission::new(4, 10, Duration::ZERO, Residents::new(Duration::from_secs(10)));
        let mut queued = Vec::new();
        for _ in 0..3 {
            queued.push(admission.queued_slot().await.unwrap());
        }
        assert!(tokio::time::timeout(Duration::ZERO, admission.queued_slot()).await.is_err());
        let sync = admission.slot().await.unwrap();
        assert_eq!(admission.slot().await.unwrap_err().code, Code::HostBusy);
        drop((sync, queued));
    }
}
