//! Brings executions from the queue to slots, and from the store to the queue.

use std::sync::Arc;
use std::time::Duration;

use flowhost_engine::Program;
use flowhost_model::{RecordId, Status};
use flowhost_store::{Error, ExecutionRow, Ticket};
use tokio::sync::OnceCell;

use super::queue::Holding;
use super::run::Held;
use super::{Counted, INACTIVE, Live, Loaded, QueuePlace, Queued, Registered, Slot, StopReason};
use crate::host::{Host, WeakHost};
use crate::problem::{Fault, Problem};

/// How many executions are claimed at once.
const CLAIM: u32 = 1_000;

/// Below so many from the store in the queue more are claimed.
const LOW: usize = 2_000;

/// When it is tried again where there was no room.
const AGAIN: Duration = Duration::from_millis(100);

/// How often a program is tried to get where the host fails, though its storage does not. It may be the program.
const PROGRAM_TRIES: u32 = 8;

/// How often an execution is read whose data seem to be damaged, before it ends by that.
const DAMAGED_TRIES: u32 = 5;

/// What became of an execution that was to be brought into memory.
enum Loading {
    Loaded(Arc<Live>, Registered),
    /// It has ended, is paused, or is in memory already.
    Gone,
    /// The storage failed.
    Failed(Error),
}

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
    async fn claim(&self, limit: u32) -> Result<usize, Error> {
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
    pub(super) fn push_ticket(&self, ticket: Ticket, is_woken: bool, place: Option<QueuePlace>) {
        let counted = self.count(&ticket);
        self.queue().push(Queued { is_woken, place, counted, ..Queued::new(ticket, None) });
    }

    /// Lets executions of the store without an owner be claimed, after a pause.
    pub(super) fn claim_after(&self, pause: Duration) {
        let host = self.downgrade();
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            if let Some(host) = host.upgrade() {
                host.queue().note_unclaimed();
            }
        });
    }

    /// How many executions of a flow may run at once.
    pub(crate) fn flow_limit(&self, flow: RecordId) -> Option<u32> {
        self.snapshot().flow_options(flow).and_then(|options| options.max_executions)
    }

    /// Puts a new execution that the store has into the queue. It waits in memory where there is room for it, else in the
    /// store alone until it has a slot.
    pub(crate) fn enqueue(&self, live: Arc<Live>, place: QueuePlace, counted: Option<Counted>) {
        let loaded = self.admission().waiting_bytes().hold(&live).map(|held| {
            let program = self.programs().cell(live.start.flow.digest);
            Loaded { registered: self.registry().add(live.clone()), program, live: live.clone(), held }
        });
        if let Some(key) = live.start.key.as_ref().filter(|_| loaded.is_none()) {
            self.called_keys().keep(live.id, key.clone());
        }
        let queued = Queued::new(live.ticket(), loaded);
        let counted = counted.or_else(|| self.count(&queued.ticket));
        self.queue().push(Queued { place: Some(place), counted, ..queued });
    }

    /// Puts a child that the store has into the queue; in development mode only while its user is active. One with a large
    /// input waits for its turn in the store: a parent may start many of them.
    pub(crate) fn enqueue_child(&self, child: Arc<Live>, place: QueuePlace) {
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
        if ticket.is_productive || self.is_active(ticket.user_id) {
            self.push_ticket(ticket, is_woken, None);
            return;
        }
        let _held = self.outage().hold(ticket.id);
        let mut pauses = self.outage().pauses();
        loop {
            match self.store().pause_execution(ticket.id, INACTIVE.to_owned()).await {
                Ok(()) => self.paused().count(ticket.user_id),
                Err(error) if error.is_of_storage() => {
                    pauses.after(&error).await;
                    continue;
                }
                Err(Error::NotFound | Error::Closed) => {}
                Err(error) => tracing::error!(execution = %ticket.id, %error, "an execution could not be paused"),
            }
            return pauses.done();
        }
    }

    /// Runs an execution from the queue.
    pub(super) async fn run_queued(&self, queued: Queued, holding: Holding, slot: Slot) {
        let Queued { ticket, loaded, is_woken, since, place, counted, .. } = queued;
        let (live, registered, program) = match loaded {
            Some(loaded) => (loaded.live, loaded.registered, loaded.program),
            None => match self.load(&ticket).await {
                // Whoever ends the host may not have seen it any more: it is for the next process.
                Loading::Loaded(..) if self.queue().is_closed() => return,
                Loading::Loaded(live, registered) => {
                    let program = self.programs().cell(live.start.flow.digest);
                    (live, registered, program)
                }
                Loading::Gone => return,
                Loading::Failed(error) => {
                    // Others get slot and turn meanwhile.
                    drop((holding, slot));
                    let again = Queued { is_woken, since, place, counted, ..Queued::new(ticket, None) };
                    return self.queue_later(again, &error).await;
                }
            },
        };
        if is_woken {
            live.set_woken();
        }
        drop(place);
        let held = Held { registered, counted, holding: Some(holding) };
        if ticket.deaths > 0 {
            self.note_begun(&live).await;
        }
        let program = self.program_of(&live, &program).await;
        self.run(live, program, slot, held, since.elapsed()).await;
    }

    /// Puts an execution back into the queue that could not be read, after a while.
    async fn queue_later(&self, queued: Queued, error: &Error) {
        let id = queued.ticket.id;
        let _held = self.outage().hold(id);
        self.queue().note_loaded(id);
        self.outage().begins(error);
        tokio::time::sleep(self.outage().postpone(id)).await;
        self.queue().push(queued);
    }

    /// Has the store say that an execution runs which the host died with before, so that it knows whether it did again.
    async fn note_begun(&self, live: &Live) {
        let mut pauses = self.outage().pauses();
        loop {
            match self.store().set_execution_status(live.id, Status::Running, None).await {
                Err(error) if error.is_of_storage() => {
                    tokio::select! {
                        () = pauses.after(&error) => {}
                        () = live.stop.stopped() => return,
                    }
                }
                // Where it has ended meanwhile, its end says so.
                _ => return pauses.done(),
            }
        }
    }

    /// The program of an execution. Where the host fails to get it, it is tried again for one that is durable, until a
    /// user cancels it or the host stops.
    async fn program_of(&self, live: &Live, cell: &OnceCell<Program>) -> Result<Program, Problem> {
        let mut pauses = self.outage().pauses();
        let mut tries = 0;
        loop {
            let problem = match self.programs().get(live.start.flow.digest, cell).await {
                Err(problem) if live.is_durable() && problem.code.info().fault == Fault::Host => problem,
                told => {
                    pauses.done();
                    return told;
                }
            };
            tries += u32::from(!problem.is_of_storage());
            if tries >= PROGRAM_TRIES {
                return Err(problem);
            }
            tokio::select! {
                () = pauses.after(&problem) => {}
                () = live.stop.stopped() => return Err(problem),
            }
        }
    }

    /// Brings an execution from the store into memory.
    async fn load(&self, ticket: &Ticket) -> Loading {
        let id = ticket.id;
        let row = self.store().load_execution(id).await;
        let loaded = match row {
            // A ticket may come twice.
            Ok(_) if self.is_in_memory(id).await => Ok(None),
            row => row.map(|row| self.register(row)),
        };
        let is_to_be_tried = match &loaded {
            Ok(_) | Err(Error::NotFound | Error::Closed) => false,
            // It may be what a failing storage makes of whole data.
            Err(Error::Damaged(_)) => self.outage().tries(id) < DAMAGED_TRIES,
            Err(_) => true,
        };
        // Until it is in the hands of who tries again, it counts as on its way.
        if !is_to_be_tried {
            self.queue().note_loaded(id);
        }
        match loaded {
            Ok(Some((live, registered))) => Loading::Loaded(live, registered),
            Ok(None) | Err(Error::NotFound | Error::Closed) => Loading::Gone,
            Err(Error::Damaged(reason)) if !is_to_be_tried => {
                tracing::error!(execution = %id, %reason, "an execution cannot be run again");
                self.end_damaged(id, reason).await;
                Loading::Gone
            }
            Err(error) => Loading::Failed(error),
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
        if let Some((queued, holding)) = queue.pop_for(|flow| host.flow_limit(flow), |flow| slot.fits(flow)) {
            let slot = slot.named(queued.ticket.flow_id);
            tokio::spawn(async move { host.run_queued(queued, holding, slot).await });
            continue;
        }
        drop(host);
        slot.give_back();
        if queue.is_empty() {
            continue;
        }
        // The flows of all that is ready have their share of the slots: until one of them leaves its own, or others come.
        let _wanted = admission.residents().want();
        tokio::select! {
            () = admission.freed() => {}
            () = queue.changed() => {}
        }
    }
}

/// Claims executions of the store that nobody owns, as there is room for them: those that a former process left, then
/// whatever is noted.
async fn claim(host: WeakHost) {
    let Some(mut pauses) = host.upgrade().map(|host| host.outage().pauses()) else { return };
    loop {
        let Some(host) = host.upgrade() else { return };
        if host.refuse_if_draining().is_err() {
            return;
        }
        let is_done = host.queue().brought() < LOW
            && match host.claim(CLAIM).await {
                Ok(claimed) => claimed < CLAIM as usize,
                Err(Error::Closed) => return,
                Err(error) => {
                    drop(host);
                    pauses.after(&error).await;
                    continue;
                }
            };
        std::mem::replace(&mut pauses, host.outage().pauses()).done();
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
    use super::*;

    #[tokio::test]
    async fn a_second_ticket_of_an_execution_runs_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (host, ticket) = host_with_one(&folder).await;
        let Loading::Loaded(first, _registered) = host.load(&ticket).await else { panic!("it is there") };
        assert!(matches!(host.load(&ticket).await, Loading::Gone));
        // One that leaves memory may come back before it has gone.
        first.set_left();
        assert!(matches!(host.load(&ticket).await, Loading::Loaded(..)));
    }
}
