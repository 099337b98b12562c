//! An execution's task: from its slot to its record.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flowhost_engine::{Invocation, Journal, Outcome, Program, Slots, Suspended};
use flowhost_model::{Execution, JournalEntry, LogLevel, RecordId, Status, Timestamp};
use flowhost_store::{Ended, ExecutionRow, Suspension, Ticket};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::{Method, StatusCode};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::ends::{Answer, Answered};
use super::queue::Holding;
use super::resident::Resident;
use super::response::has_body;
use super::{Counted, Event, FlowAnswer, Live, Registered, Slot, StopReason, end};
use crate::capability::ExecutionContext;
use crate::host::Host;
use crate::problem::{Code, Problem};

/// An execution that runs longer than this is put into the store while it runs, so that its caller's id resolves whatever
/// happens to this process.
const RECORD_AFTER: Duration = Duration::from_secs(1);

/// How long after the store had no room for an execution that nobody waits for it is asked again.
pub(super) const TRY_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// What an execution holds while it is in memory, beside its slot.
pub(crate) struct Held {
    pub(crate) registered: Registered,
    pub(crate) counted: Option<Counted>,
    pub(crate) holding: Option<Holding>,
}

/// How a run in memory came to its end.
enum Run {
    /// The execution has ended.
    Ended(Outcome),
    /// It leaves memory, and goes on later.
    Left(Leaving),
    /// The store had the last word before it ran.
    Superseded,
}

/// What an execution takes along when it leaves memory.
struct Leaving {
    status: Status,
    message: Option<String>,
    wake_at: Option<Timestamp>,
    /// When that is, whatever is done to the clock, where the wait is for some time and not until a time.
    due: Option<Instant>,
    first: u64,
    entries: Vec<JournalEntry>,
}

impl Host {
    /// Runs an execution in a slot, as a task of its own. The receiver gets its end after that is recorded, or before that what its
    /// flow answers; dropping the receiver does not end the execution.
    pub(crate) fn launch(
        &self,
        live: Arc<Live>,
        program: Program,
        slot: Slot,
        counted: Option<Counted>,
        holding: Option<Holding>,
    ) -> oneshot::Receiver<Result<Answered, Problem>> {
        let (answer, answered) = oneshot::channel();
        live.set_caller(answer);
        let held = Held { registered: self.registry().add(live.clone()), counted, holding };
        let host = self.clone();
        tokio::spawn(async move { host.run(live, Ok(program), slot, held, Duration::ZERO).await });
        answered
    }

    /// Runs an execution until it ends or leaves memory.
    pub(crate) async fn run(
        &self,
        live: Arc<Live>,
        program: Result<Program, Problem>,
        slot: Slot,
        held: Held,
        queue_wait: Duration,
    ) {
        let run = match program {
            // A capability that panics must not take the execution's record with it.
            Ok(program) => {
                let run = AssertUnwindSafe(self.invoke(&live, &program, queue_wait)).catch_unwind().await;
                run.unwrap_or_else(|_| Run::Ended(Outcome::HostFault("a function of the host panicked".into())))
            }
            Err(problem) => {
                live.begin(self.now(), queue_wait);
                Run::Ended(end::without_program(problem))
            }
        };
        drop(slot);
        live.slot_is_free();
        match run {
            Run::Ended(outcome) => self.finish(&live, outcome, held).await,
            Run::Left(leaving) => self.leave(&live, leaving, held).await,
            Run::Superseded => drop(held),
        }
    }

    async fn invoke(&self, live: &Arc<Live>, program: &Program, queue_wait: Duration) -> Run {
        let kept = live.begin(self.now(), queue_wait);
        let mut slots = Slots::new();
        let context = ExecutionContext::new(self.clone(), live.clone());
        for capability in self.capabilities() {
            capability.prepare(&context, &mut slots);
        }
        slots.insert(context);
        let invocation = Invocation {
            budget: live.start.budget,
            log: live.log.clone(),
            seed: live.seed,
            slots,
            clock: self.clock().clone(),
            kept,
            residence: Arc::new(Resident { host: self.clone(), live: live.clone() }),
        };
        let mut call = pin!(program.invoke(invocation, live.start.input.get(), live.stop.stopped()));
        let report = tokio::select! {
            biased;
            report = &mut call => report,
            () = tokio::time::sleep(RECORD_AFTER) => {
                // The call goes on while the row is written.
                let (report, recorded) = tokio::join!(call, live.record(self.store(), self.owner_id()));
                if let Err(problem) = recorded {
                    tracing::warn!(execution = %live.id, detail = %problem.detail, "a running execution could not be recorded");
                }
                report
            }
        };
        live.add_run_time(report.run_time);
        let mut journal: Journal = report.journal;
        let mut leaving = |status, message, wake_at, due| {
            let (first, entries) = journal.take_pending();
            Run::Left(Leaving { status, message, wake_at, due, first, entries })
        };
        let reason = live.stop.reason();
        if reason == Some(StopReason::HandBack) {
            // A step may be under way that makes it durable; what has not begun by now finds that it has ended.
            drop(live.recorded().lock().await);
        }
        match (report.outcome, reason) {
            (_, Some(StopReason::Superseded)) => Run::Superseded,
            (Outcome::Suspended(Suspended { limit, due }), None) => {
                let due = due.filter(|_| limit.is_relative);
                leaving(Status::Waiting, live.execution().status_message, limit.until, due)
            }
            (Outcome::Cancelled | Outcome::Suspended(_), Some(StopReason::Pause)) => {
                leaving(Status::Paused, Some(super::PAUSED.to_owned()), None, None)
            }
            (Outcome::Cancelled | Outcome::Suspended(_), Some(StopReason::HandBack)) if live.is_durable() => {
                note_hand_back(live);
                leaving(Status::Scheduled, None, None, None)
            }
            (Outcome::Suspended(_), Some(StopReason::Cancel | StopReason::HandBack)) => Run::Ended(Outcome::Cancelled),
            (outcome, _) => Run::Ended(outcome),
        }
    }

    /// Puts an execution that leaves memory into the store.
    async fn leave(&self, live: &Arc<Live>, leaving: Leaving, held: Held) {
        // Before anybody can wake it: its end must find its caller.
        if let Some(answer) = live.take_caller() {
            self.ends().answer(live.id, answer);
        }
        if let Some(key) = &live.start.key {
            self.called_keys().keep(live.id, key.clone());
        }
        live.end_streaming();
        live.set_durable();
        let mut execution = live.execution();
        execution.status = leaving.status;
        execution.status_message = leaving.message;
        execution.wake_at = leaving.wake_at;
        let awaits = live.awaits().filter(|_| leaving.status == Status::Waiting);
        let mut is_known = live.recorded().lock().await;
        let mut suspension = Suspension {
            row: live.row(execution, self.owner_id()),
            is_known: *is_known,
            first: leaving.first,
            entries: leaving.entries,
            log: live.log.take(),
            is_relative: leaving.due.is_some(),
            awaits,
        };
        let kept = loop {
            // Held until the time is kept: it is moved with all others when the host notices that the clock was set.
            let seen = self.waker().seen().await;
            if let Some(due) = leaving.due {
                suspension.row.execution.wake_at = Some(seen.at(due));
            }
            let kept = self.store().suspend_execution(suspension.clone()).await;
            drop(seen);
            match kept {
                // Nobody else runs it: whatever waits for it waits until there is room.
                Err(flowhost_store::Error::Full) => {
                    let full = || Problem::from(flowhost_store::Error::Full).with_execution(live.execution());
                    self.ends().fail(live.id, full);
                    tokio::time::sleep(TRY_AGAIN_AFTER).await;
                }
                kept => break kept,
            }
            suspension.is_known = *is_known;
        };
        *is_known = true;
        live.set_left();
        drop(is_known);
        let Held { registered, counted, holding } = held;
        drop((registered, counted, holding));
        match kept {
            Ok(true) => self.enqueue_ticket(live.ticket(), false).await,
            Ok(false) => {
                if leaving.status == Status::Paused {
                    self.count_paused();
                }
                if let Some(wake_at) = suspension.row.execution.wake_at {
                    self.waker().wake_by(wake_at);
                }
            }
            Err(flowhost_store::Error::NotFound) => {
                tracing::debug!(execution = %live.id, "an execution that left memory had ended meanwhile");
            }
            Err(error) => {
                tracing::error!(execution = %live.id, %error, "an execution that left memory could not be kept; it goes on after the next start");
                let problem = || Problem::new(Code::HostError, "the host failed; its log says more");
                self.ends().fail(live.id, problem);
            }
        }
        // Somebody may have stopped it while it left, and met nothing that runs.
        match live.stop.reason() {
            Some(StopReason::Cancel) => self.cancel_child(live.id),
            Some(StopReason::Pause) if leaving.status == Status::Waiting => {
                let paused = self.store().pause_waiting(live.id, super::PAUSED.to_owned()).await;
                if paused.is_ok() {
                    self.count_paused();
                }
            }
            _ => {}
        }
    }

    /// Keeps the end of an execution, then tells it to whoever waits for it.
    async fn finish(&self, live: &Arc<Live>, outcome: Outcome, held: Held) {
        let mut ended = end::ended(live, outcome, self.now());
        live.mask(&mut ended);
        let mut answer = live.take_caller();
        let kept = loop {
            match live.record_end(self.store(), ended.clone()).await {
                // Its caller is told at once; it ends when there is room.
                Err(flowhost_store::Error::Full) if live.is_durable() => {
                    let full = || Problem::from(flowhost_store::Error::Full).with_execution(live.execution());
                    self.ends().fail(live.id, full);
                    if let Some(answer) = answer.take() {
                        let _gone = answer.send(Err(full()));
                    }
                    tokio::time::sleep(TRY_AGAIN_AFTER).await;
                }
                told => break told,
            }
        };
        let Held { registered, counted, holding } = held;
        // In this order: whoever sees the end may call again at once.
        drop((counted, holding, registered));
        let told = match kept {
            Ok(others) => {
                // It may have left memory since its caller came.
                answer = answer.or_else(|| self.ends().take_caller(live.id));
                self.ends().tell(&ended);
                self.settle(others).await;
                match &answer {
                    Some(_) => self.answer_of(live, ended).await,
                    None => Ok(Answered::Ended(ended, None)),
                }
            }
            Err(flowhost_store::Error::NotFound) => {
                tracing::debug!(execution = %live.id, "an execution had ended meanwhile");
                self.execution(live.id).await.map(|execution| Answered::Ended(execution, None))
            }
            Err(error) => {
                tracing::error!(execution = %live.id, %error, "the end of an execution could not be recorded");
                if live.is_durable() {
                    tracing::error!(execution = %live.id, "it runs again after the next start");
                }
                let problem = move || Problem::from(error.clone()).with_execution(live.execution());
                self.ends().fail(live.id, &problem);
                Err(problem())
            }
        };
        if let Some(answer) = answer {
            // The caller may have gone away.
            let _gone = answer.send(told);
        }
    }

    /// What the caller of an execution gets at its end.
    async fn answer_of(&self, live: &Live, ended: Execution) -> Result<Answered, Problem> {
        if ended.status != Status::EndedSuccess {
            return Ok(Answered::Ended(ended, None));
        }
        let (mut answer, file) = live.shaped_answer();
        if let (Some(answer), Some(file)) = (&mut answer, file) {
            match self.open_file(live, &file).await {
                Ok(file) => file.put_into(answer),
                Err(problem) => return Err(problem.with_execution(ended)),
            }
        }
        Ok(Answered::Ended(ended, answer))
    }

    /// Gives the caller of an execution what its flow answers. It may have gone away, or there was none.
    pub(crate) fn answer_caller(&self, live: &Live, answer: FlowAnswer) {
        if let Some(caller) = self.webhook_caller(live) {
            let _gone = caller.send(Ok(Answered::Early(Box::new(answer))));
        }
    }

    /// Whether somebody waits who would get a body with an answer of this status.
    pub(crate) fn caller_takes_body(&self, live: &Live, status: StatusCode) -> bool {
        let takes_bodies = live.start.request.as_ref().is_some_and(|request| request.method != Method::HEAD);
        takes_bodies && has_body(status) && (live.has_caller() || self.ends().has_caller(live.id))
    }

    /// Who waits for the answer of a flow. A program that starts an execution without a request waits for its end.
    fn webhook_caller(&self, live: &Live) -> Option<Answer> {
        live.start.request.as_ref()?;
        live.take_caller().or_else(|| self.ends().take_caller(live.id))
    }

    /// Does what the end of an execution means for others: who waited for it or for one of its locks goes on, its children
    /// are cancelled.
    pub(crate) async fn settle(&self, others: Ended) {
        for ticket in others.woken {
            self.enqueue_ticket(ticket, false).await;
        }
        for child in others.cancelled {
            self.cancel_child(child);
        }
        for name in others.released {
            self.events().tell(&Event::Released(name));
        }
    }

    /// Ends an execution in a task of its own, since it may have children again.
    pub(crate) fn cancel_child(&self, child: RecordId) {
        let host = self.clone();
        let ended: BoxFuture<'static, ()> = Box::pin(async move {
            if let Err(problem) = host.end_cancelled(child).await {
                tracing::error!(execution = %child, detail = %problem.detail, "a child could not be cancelled; it is after the next start");
            }
        });
        tokio::spawn(ended);
    }

    /// Runs an execution from the queue.
    pub(super) async fn run_queued(&self, queued: super::Queued, holding: Holding, slot: Slot) {
        let super::Queued { ticket, loaded, is_woken, since, place, counted, .. } = queued;
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
                    host.queue().push(super::Queued::new(ticket, None));
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
    fn register(&self, row: ExecutionRow) -> Option<(Arc<Live>, Registered)> {
        // Somebody paused it, or has it.
        if row.execution.status != Status::Scheduled || row.owner != Some(self.owner_id()) {
            return None;
        }
        let is_cancelled = row.is_cancelled;
        let budget = self.limits().budget;
        let (residents, secrets) = (self.admission().residents().clone(), self.secrets().clone());
        let key = self.called_keys().take(row.execution.id);
        let live = Arc::new(Live::recovered(row, budget, residents, secrets, key));
        let registered = self.registry().add(live.clone());
        if is_cancelled {
            live.stop(StopReason::Cancel);
        }
        Some((live, registered))
    }

    /// Ends an execution whose row or journal cannot be read.
    async fn end_damaged(&self, id: RecordId, reason: String) {
        let Ok(Some(mut execution)) = self.store().execution(id).await else { return };
        end::fail(&mut execution, self.now(), end::damaged(reason));
        if let Err(problem) = self.end_in_store(execution).await {
            tracing::error!(execution = %id, detail = %problem.detail, "its end could not be recorded");
        }
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

    /// Ready when an execution that was ended or paused in the store is not in memory. It may have been on its way there just
    /// then, and would run, and be shown as it stands there.
    pub(crate) async fn superseded(&self, id: RecordId) {
        self.queue().until_loaded(id).await;
        if let Some(live) = self.registry().get(id) {
            live.stop(StopReason::Superseded);
            live.left().await;
        }
    }

    /// Ends an execution by somebody's wish, wherever it is: running, in the queue, or in the store.
    pub(crate) async fn end_cancelled(&self, id: RecordId) -> Result<(), Problem> {
        match self.store().mark_cancelled(id).await {
            // A synchronous execution has no row before its first durable step.
            Ok(()) | Err(flowhost_store::Error::NotFound) => {}
            Err(error) => return Err(error.into()),
        }
        if let Some(super::Queued { loaded, counted, place, .. }) = self.queue().remove(id) {
            drop(place);
            let Some(loaded) = loaded else { return self.end_cancelled_in_store(id).await };
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

    async fn end_cancelled_in_store(&self, id: RecordId) -> Result<(), Problem> {
        let Some(mut execution) = self.store().execution(id).await? else { return Ok(()) };
        if execution.status.is_ended() {
            return Ok(());
        }
        if execution.status == Status::Paused {
            self.discount_paused();
        }
        end::cancel(&mut execution, self.now());
        self.end_in_store(execution).await
    }

    /// Puts a new execution that the store has into the queue.
    pub(crate) fn enqueue(&self, live: Arc<Live>, place: OwnedSemaphorePermit, counted: Option<Counted>) {
        let program = self.programs().cell(live.start.flow.digest);
        let loaded = super::Loaded { registered: self.registry().add(live.clone()), program, live: live.clone() };
        let queued = super::Queued::new(live.ticket(), Some(loaded));
        self.queue().push(super::Queued { place: Some(place), counted, ..queued });
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
            match self.store().pause_execution(ticket.id, super::INACTIVE.to_owned()).await {
                Ok(()) => self.count_paused(),
                Err(flowhost_store::Error::NotFound) => {}
                Err(error) => tracing::error!(execution = %ticket.id, %error, "an execution could not be paused"),
            }
            return;
        }
        self.queue().push(super::Queued { is_woken, ..super::Queued::new(ticket, None) });
    }
}

/// What a problem of an ended execution is called; none where it succeeded.
pub(crate) fn problem_of(execution: &Execution) -> Option<Code> {
    match execution.status {
        Status::EndedSuccess => None,
        Status::EndedCancelled => Some(Code::ExecutionCancelled),
        _ => {
            let code = execution.failure.as_ref().and_then(|failure| Code::from_name(&failure.code));
            Some(code.unwrap_or(Code::FlowError))
        }
    }
}

/// A line for the log of an execution that is handed to another process.
pub(super) fn note_hand_back(live: &Live) {
    live.log_host(LogLevel::Info, "The host stops; the execution goes on after its next start.");
}

#[cfg(test)]
mod tests {
    use super::super::live::tests::start;
    use super::*;

    /// A host, and an execution in its store that is its own.
    async fn host_with_one(folder: &tempfile::TempDir) -> (Host, Ticket) {
        let host = Host::builder().data(folder.path()).build().await.unwrap();
        let live = host.admit(start()).unwrap();
        host.store().insert_execution(live.row(live.execution(), host.owner_id())).await.unwrap();
        (host, live.ticket())
    }

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
