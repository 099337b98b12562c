//! How many executions run at once, and how many wait.

use std::sync::Arc;
use std::time::Duration;

use flowhost_model::RecordId;
use tokio::sync::Notify;

use super::Residents;
use super::waiting_bytes::WaitingBytes;
use crate::limits::Limits;
use crate::pool::{NoPlace, Place, Pool};
use crate::problem::{Code, Problem};

/// Executions that may run without leaving room for callers who wait: async ones take at most this part of the slots.
const QUEUED_SHARE: (u32, u32) = (3, 4);

/// Executions that write a body stay in their slots whatever they wait for: they take at most this part of them, so that what
/// they wait for can run.
const STREAMING_SHARE: (u32, u32) = (1, 2);

/// Accepted calls that are written to the store at once; more wait for their turn. As many as the store's writer has room for.
const ACCEPTING: usize = 1_024;

/// Of these, those with much input: the store is given a copy of each.
const ACCEPTING_LARGE: usize = 16;

/// The number of memory-hungry inputs that are checked against a schema at once.
const LARGE_CHECKS: usize = 1;

/// The largest input of a call that counts as small, in bytes.
const SMALL: usize = 64 << 10;

/// The host's slots, and the places of what waits for them. An execution holds a slot as long as its instance lives.
///
/// Every pool is shared by the rule of [`Pool`]: no flow and no webhook has a pool to itself.
#[derive(Clone, Debug)]
pub(crate) struct Admission {
    /// By flow.
    slots: Pool<RecordId>,
    /// By flow.
    queued_slots: Pool<RecordId>,
    /// By flow.
    streaming: Pool<RecordId>,
    /// By webhook, or by flow where no webhook started it.
    queue: Pool<RecordId>,
    /// By webhook, or by flow.
    accepting: Pool<RecordId>,
    /// By webhook, or by flow.
    accepting_large: Pool<RecordId>,
    /// By the flow of the parent.
    children: Pool<RecordId>,
    /// By flow, or by the user who responds to a message.
    checks: Pool<RecordId>,
    /// By flow.
    large_checks: Pool<RecordId>,
    waiting_bytes: WaitingBytes,
    /// Notified when a slot is free again.
    freed: Arc<Notify>,
    wait: Duration,
    residents: Arc<Residents>,
}

/// A held slot; dropping it frees the slot.
#[derive(Debug)]
pub(crate) struct Slot {
    _slot: Place<RecordId>,
    _share: Option<Place<RecordId>>,
}

/// A slot for an execution from the queue that is not chosen yet.
#[derive(Debug)]
pub(crate) struct UnnamedSlot {
    slot: Place<RecordId>,
    share: Place<RecordId>,
}

impl UnnamedSlot {
    /// Whether an execution of this flow may have the slot.
    pub(crate) fn fits(&self, flow: RecordId) -> bool {
        self.share.fits(&[flow]) && self.slot.fits(&[flow])
    }

    /// The slot, held by an execution of this flow from now on.
    pub(crate) fn named(self, flow: RecordId) -> Slot {
        Slot { _slot: self.slot.named([flow]), _share: Some(self.share.named([flow])) }
    }

    /// Gives the slot back that no execution in the queue may have.
    pub(crate) fn give_back(self) {
        self.slot.give_back();
        self.share.give_back();
    }
}

/// The place of an execution that writes a body; dropping it frees the place.
#[derive(Debug)]
pub(crate) struct StreamingPlace(#[expect(dead_code, reason = "held")] Place<RecordId>);

/// The place of an execution in the queue; dropping it frees the place.
pub(crate) type QueuePlace = Place<RecordId>;

impl Admission {
    pub(crate) fn new(limits: &Limits, residents: Arc<Residents>) -> Self {
        let executions = limits.executions.max(1);
        let part_of = |(part, whole): (u32, u32)| (executions * part / whole).max(1) as usize;
        let freed = Arc::new(Notify::new());
        Self {
            slots: Pool::watched(executions as usize, freed.clone()),
            queued_slots: Pool::watched(part_of(QUEUED_SHARE), freed.clone()),
            streaming: Pool::new(part_of(STREAMING_SHARE)),
            queue: Pool::new(limits.queued as usize),
            accepting: Pool::new(ACCEPTING),
            accepting_large: Pool::new(ACCEPTING_LARGE),
            children: Pool::new(limits.queued as usize),
            checks: Pool::new(std::thread::available_parallelism().map_or(1, usize::from)),
            large_checks: Pool::new(LARGE_CHECKS),
            waiting_bytes: WaitingBytes::new(limits.queue_bytes),
            freed,
            wait: limits.admission_wait,
            residents,
        }
    }

    /// A slot for a call of a flow whose caller waits. Waits a little for one.
    pub(crate) async fn slot(&self, flow: RecordId) -> Result<Slot, Problem> {
        // A free slot is the ordinary case and needs no timer.
        let slot = match self.slots.try_take([flow]) {
            Ok(slot) => slot,
            Err(_) => {
                let wanted = async {
                    let _wanted = self.residents.want();
                    self.slots.take([flow]).await
                };
                let slot = tokio::time::timeout(self.wait, wanted).await;
                let draining = || Problem::new(Code::HostDraining, "the host is about to stop");
                slot.map_err(|_| self.no_slot(flow))?.ok_or_else(draining)?
            }
        };
        Ok(Slot { _slot: slot, _share: None })
    }

    fn no_slot(&self, flow: RecordId) -> Problem {
        match self.slots.why_not([flow]) {
            NoPlace::Full => Problem::new(Code::HostBusy, "the host runs as many executions as it may; try again"),
            NoPlace::Share => {
                let detail = "the flow runs as many executions as its share of the host's slots; try again";
                Problem::new(Code::FlowBusy, detail)
            }
        }
    }

    /// A place in the queue for an execution without a caller who waits, of this webhook or else of this flow. The place is held
    /// until the execution begins.
    pub(crate) fn queue_place(&self, webhook: Option<RecordId>, flow: RecordId) -> Result<QueuePlace, Problem> {
        self.queue.try_take([webhook.unwrap_or(flow)]).map_err(|none| match none {
            NoPlace::Full => {
                Problem::new(Code::HostBusy, "too many accepted executions wait for their turn; try again")
            }
            NoPlace::Share if webhook.is_some() => {
                let detail = "too many accepted executions of the webhook wait for their turn; try again";
                Problem::new(Code::WebhookBusy, detail)
            }
            NoPlace::Share => {
                let detail = "too many accepted executions of the flow wait for their turn; try again";
                Problem::new(Code::FlowBusy, detail)
            }
        })
    }

    /// A turn to write an accepted execution to the store, of this webhook or else of this flow, with an input of so many bytes.
    pub(crate) async fn accepting_turn(
        &self,
        webhook: Option<RecordId>,
        flow: RecordId,
        input_bytes: usize,
    ) -> Option<QueuePlace> {
        let pool = if input_bytes <= SMALL { &self.accepting } else { &self.accepting_large };
        pool.take([webhook.unwrap_or(flow)]).await
    }

    /// A place for a child that waits for a slot, of as many as there are for executions that others start: parents can fill
    /// memory with what they give their children, and take nothing from callers that way. The place is held until it begins.
    pub(crate) fn child_place(&self, parents_flow: RecordId) -> Result<QueuePlace, Problem> {
        self.children.try_take([parents_flow]).map_err(|none| {
            let detail = match none {
                NoPlace::Full => "too many children wait for their turn; try again later",
                NoPlace::Share => "too many children of this flow wait for their turn; try again later",
            };
            Problem::new(Code::HostBusy, detail)
        })
    }

    /// A turn to hold a large input against its schema, for a flow or a user: it takes a processor, for as long as a second.
    /// Waits a little for one.
    pub(crate) async fn check_turn(&self, taker: RecordId) -> Result<Place<RecordId>, Problem> {
        self.check_place(&self.checks, taker).await
    }

    /// Returns a place to check an input against its schema that takes much memory. Waits up to the admission wait.
    pub(crate) async fn large_check(&self, taker: RecordId) -> Result<Place<RecordId>, Problem> {
        self.check_place(&self.large_checks, taker).await
    }

    async fn check_place(&self, pool: &Pool<RecordId>, taker: RecordId) -> Result<Place<RecordId>, Problem> {
        let place = tokio::time::timeout(self.wait, pool.take([taker])).await;
        let busy = || Problem::new(Code::HostBusy, "too many large inputs wait to be checked; try again");
        place.ok().flatten().ok_or_else(busy)
    }

    /// A slot for an execution from the queue. Waits as long as it takes; `None` when the host has closed.
    pub(crate) async fn queued_slot(&self) -> Option<UnnamedSlot> {
        let share = self.unnamed(&self.queued_slots).await?;
        let slot = self.unnamed(&self.slots).await?;
        Some(UnnamedSlot { slot, share })
    }

    async fn unnamed(&self, pool: &Pool<RecordId>) -> Option<Place<RecordId>> {
        if let Some(place) = pool.try_take_unnamed() {
            return Some(place);
        }
        // An execution that waits leaves its own.
        let _wanted = self.residents.want();
        pool.take_unnamed().await
    }

    /// Returns when a slot was given back since the last call. To be called by one task.
    pub(crate) async fn freed(&self) {
        self.freed.notified().await;
    }

    /// A place among the executions that write a body; `None` where the flow has its share of them.
    pub(crate) fn streaming_place(&self, flow: RecordId) -> Option<StreamingPlace> {
        self.streaming.try_take([flow]).ok().map(StreamingPlace)
    }

    /// The memory for what waits in the queue.
    pub(crate) fn waiting_bytes(&self) -> &WaitingBytes {
        &self.waiting_bytes
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

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(executions: u32, queued: u32) -> Admission {
        let limits = Limits { executions, queued, admission_wait: Duration::ZERO, ..Limits::default() };
        Admission::new(&limits, Residents::new(Duration::from_secs(10)))
    }

    #[tokio::test]
    async fn large_inputs_are_checked_as_many_at_once_as_there_are_processors() {
        let admission = admission(4, 10);
        let mut turns = Vec::new();
        while let Ok(turn) = admission.check_turn(RecordId::new()).await {
            turns.push(turn);
        }
        assert_eq!(turns.len(), std::thread::available_parallelism().unwrap().get());
        assert_eq!(admission.check_turn(RecordId::new()).await.unwrap_err().code, Code::HostBusy);
        turns.pop();
        drop(admission.check_turn(RecordId::new()).await.unwrap());
    }

    #[tokio::test]
    async fn inputs_that_take_much_memory_are_checked_one_at_a_time() {
        let admission = admission(4, 10);
        let held = admission.large_check(RecordId::new()).await.unwrap();
        assert_eq!(admission.large_check(RecordId::new()).await.unwrap_err().code, Code::HostBusy);
        drop(held);
        drop(admission.large_check(RecordId::new()).await.unwrap());
    }

    #[tokio::test]
    async fn queued_executions_leave_room_for_callers_who_wait() {
        let admission = admission(4, 10);
        let mut queued = Vec::new();
        for _ in 0..3 {
            queued.push(admission.queued_slot().await.unwrap().named(RecordId::new()));
        }
        assert!(tokio::time::timeout(Duration::ZERO, admission.queued_slot()).await.is_err());
        let sync = admission.slot(RecordId::new()).await.unwrap();
        assert_eq!(admission.slot(RecordId::new()).await.unwrap_err().code, Code::HostBusy);
        drop((sync, queued));
    }

    #[tokio::test]
    async fn flow_that_holds_its_share_of_slots_is_busy_and_others_run() {
        let admission = admission(8, 10);
        let (stuck, other) = (RecordId::new(), RecordId::new());
        let mut slots = Vec::new();
        for _ in 0..4 {
            slots.push(admission.slot(stuck).await.unwrap());
        }
        assert_eq!(admission.slot(stuck).await.unwrap_err().code, Code::FlowBusy);
        drop(admission.slot(other).await.unwrap());
        let unnamed = admission.queued_slot().await.unwrap();
        assert!(!unnamed.fits(stuck) && unnamed.fits(other));
    }

    #[test]
    fn webhook_with_its_share_of_the_queue_is_busy() {
        let admission = admission(4, 10);
        let (flow, flooded, other) = (RecordId::new(), RecordId::new(), RecordId::new());
        let flood: Vec<_> = std::iter::from_fn(|| admission.queue_place(Some(flooded), flow).ok()).collect();
        assert_eq!(flood.len(), 5);
        assert_eq!(admission.queue_place(Some(flooded), flow).unwrap_err().code, Code::WebhookBusy);
        let others: Vec<_> = std::iter::from_fn(|| admission.queue_place(Some(other), flow).ok()).collect();
        assert_eq!(others.len(), 3);
        let rest: Vec<_> = (0..3).filter_map(|_| admission.queue_place(None, RecordId::new()).ok()).collect();
        assert_eq!(rest.len(), 2);
        assert_eq!(admission.queue_place(Some(RecordId::new()), flow).unwrap_err().code, Code::HostBusy);
    }

    #[test]
    fn parents_of_one_flow_leave_places_for_the_children_of_others() {
        let admission = admission(4, 10);
        let (flood, other) = (RecordId::new(), RecordId::new());
        let children: Vec<_> = std::iter::from_fn(|| admission.child_place(flood).ok()).collect();
        assert_eq!(children.len(), 5);
        assert!(admission.child_place(flood).unwrap_err().detail.contains("of this flow"));
        assert!(admission.child_place(other).is_ok());
    }

    #[test]
    fn flow_that_streams_leaves_half_of_the_places_to_others() {
        let admission = admission(8, 10);
        let (flood, other) = (RecordId::new(), RecordId::new());
        let bodies: Vec<_> = std::iter::from_fn(|| admission.streaming_place(flood)).collect();
        assert_eq!(bodies.len(), 2);
        assert!(admission.streaming_place(other).is_some());
    }

    #[tokio::test]
    async fn flood_of_accepted_calls_leaves_half_of_the_writer_to_others() {
        let admission = admission(8, 10);
        let (flood, flow) = (Some(RecordId::new()), RecordId::new());
        for (size, places) in [(SMALL, ACCEPTING), (SMALL + 1, ACCEPTING_LARGE)] {
            let mut turns = Vec::new();
            for _ in 0..places / 2 {
                turns.push(admission.accepting_turn(flood, flow, size).await.unwrap());
            }
            let next = admission.accepting_turn(flood, flow, size);
            assert!(tokio::time::timeout(Duration::ZERO, next).await.is_err());
            assert!(admission.accepting_turn(None, flow, size).await.is_some());
        }
    }
}
