//! An execution's task: from its slot to its record.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flowhost_engine::{Invocation, Journal, Outcome, Program, Slots, Suspended, WaitLimit};
use flowhost_model::{Execution, JournalEntry, LogLevel, Status, Timestamp};
use flowhost_store::{Ended, Suspension, Ticket};
use futures_util::FutureExt;
use http::{Method, StatusCode};
use tokio::sync::oneshot;

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

/// How long the storage may fail before the caller of an execution that goes on is told.
const CALLER_WAITS: Duration = Duration::from_secs(1);

/// How long it is tried to put an execution into the store whose data there seem to be damaged.
const DAMAGED_TRIED_FOR: Duration = Duration::from_secs(10);

/// Whether an error says that there is nothing more to be kept, or that this process is not to.
fn is_settled(error: &flowhost_store::Error) -> bool {
    matches!(error, flowhost_store::Error::NotFound | flowhost_store::Error::Conflict | flowhost_store::Error::Closed)
}

/// How long after the host had no memory for an execution it is run again.
const MEMORY_AGAIN_AFTER: Duration = Duration::from_secs(1);

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
    /// The host has no memory for it: it leaves, and is tried again after a pause.
    Postponed(Leaving),
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
    /// Whether it leaves because the storage fails.
    is_postponed: bool,
}

impl Leaving {
    /// Of an execution without anything new.
    fn unbegun(status: Status, message: Option<&str>) -> Self {
        let message = message.map(str::to_owned);
        Self { status, message, wake_at: None, due: None, first: 0, entries: Vec::new(), is_postponed: false }
    }
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
        holding: Holding,
    ) -> oneshot::Receiver<Result<Answered, Problem>> {
        let (answer, answered) = oneshot::channel();
        live.set_caller(answer);
        let held = Held { registered: self.registry().add(live.clone()), counted, holding: Some(holding) };
        let host = self.clone();
        // In a box, or else it is copied five times on its way to the runtime.
        tokio::spawn(Box::pin(async move { host.run(live, Ok(program), slot, held, Duration::ZERO).await }));
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
            Err(problem) => match live.stop.reason() {
                Some(StopReason::Superseded) => Run::Superseded,
                Some(StopReason::Cancel) => Run::Ended(Outcome::Cancelled),
                Some(StopReason::Pause) => Run::Left(Leaving::unbegun(Status::Paused, Some(super::PAUSED))),
                Some(StopReason::HandBack) if live.is_durable() => {
                    note_hand_back(&live);
                    Run::Left(Leaving::unbegun(Status::Scheduled, None))
                }
                Some(StopReason::HandBack) | None => {
                    live.begin(self.now(), queue_wait);
                    match end::without_program(problem) {
                        Outcome::HostExhausted(_) if live.is_durable() => {
                            Run::Postponed(Leaving::unbegun(Status::Scheduled, None))
                        }
                        outcome => Run::Ended(outcome),
                    }
                }
            },
        };
        drop(slot);
        live.slot_is_free();
        match run {
            Run::Ended(outcome) => self.finish(&live, outcome, held).await,
            Run::Left(leaving) => self.leave(&live, leaving, held).await,
            Run::Postponed(leaving) => {
                self.leave(&live, leaving, held).await;
                self.claim_after(MEMORY_AGAIN_AFTER);
            }
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
        let is_postponed = matches!(report.outcome, Outcome::Postponed);
        let mut leaving = |status, message, wake_at, due| {
            let (first, entries) = journal.take_pending();
            Run::Left(Leaving { status, message, wake_at, due, first, entries, is_postponed })
        };
        let reason = live.stop.reason();
        if reason == Some(StopReason::HandBack) {
            // A step may be under way that makes it durable; what has not begun by now finds that it has ended.
            drop(live.recorded().lock().await);
        }
        match (report.outcome, reason) {
            (_, Some(StopReason::Superseded)) => Run::Superseded,
            (Outcome::Suspended(Suspended { limit, due }), None) => {
                let message = live.execution().status_message;
                match limit {
                    WaitLimit::None => leaving(Status::Waiting, message, None, None),
                    WaitLimit::Until(time) => leaving(Status::Waiting, message, Some(time), None),
                    WaitLimit::For(left) => {
                        leaving(Status::Waiting, message, Some(self.now().saturating_add(left)), due)
                    }
                }
            }
            (Outcome::Postponed, None) => {
                live.set_awaits(None);
                let pause = self.outage().postpone(live.id);
                let (wake_at, due) = (self.now().saturating_add(pause), Instant::now().checked_add(pause));
                leaving(Status::Waiting, live.execution().status_message, Some(wake_at), due)
            }
            (
                Outcome::Cancelled | Outcome::Suspended(_) | Outcome::HostExhausted(_) | Outcome::Postponed,
                Some(StopReason::Pause),
            ) => leaving(Status::Paused, Some(super::PAUSED.to_owned()), None, None),
            (
                Outcome::Cancelled | Outcome::Suspended(_) | Outcome::HostExhausted(_) | Outcome::Postponed,
                Some(StopReason::HandBack),
            ) if live.is_durable() => {
                note_hand_back(live);
                leaving(Status::Scheduled, None, None, None)
            }
            (Outcome::HostExhausted(reason), None) if live.is_durable() => {
                tracing::warn!(execution = %live.id, %reason, "the host has no memory for an execution; it runs again later");
                let (first, entries) = journal.take_pending();
                Run::Postponed(Leaving { first, entries, ..Leaving::unbegun(Status::Scheduled, None) })
            }
            (Outcome::Suspended(_) | Outcome::Postponed, Some(StopReason::Cancel | StopReason::HandBack)) => {
                Run::Ended(Outcome::Cancelled)
            }
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
        let is_postponed = leaving.is_postponed;
        let mut suspension = Suspension {
            row: live.row(execution, self.owner_id()),
            is_known: *is_known,
            first: leaving.first,
            entries: leaving.entries,
            log: live.log.take(),
            is_relative: leaving.due.is_some(),
            awaits,
        };
        let mut pauses = self.outage().pauses();
        let kept = loop {
            // Held until the time is kept: it is moved with all others when the host notices that the clock was set.
            let seen = self.waker().seen().await;
            if let Some(due) = leaving.due {
                suspension.row.execution.wake_at = Some(seen.at(due));
            }
            let kept = self.store().suspend_execution(suspension.clone()).await;
            drop(seen);
            match kept {
                // No other task runs it: whatever waits for it waits until it is kept. A journal that is damaged stays so.
                Err(error) if error.is_of_storage() || (!is_settled(&error) && pauses.waited() < DAMAGED_TRIED_FOR) => {
                    if pauses.waited() >= CALLER_WAITS {
                        self.ends().fail(live.id, || live.named_in(Problem::from(error.clone())));
                    }
                    pauses.after(&error).await;
                }
                kept => break kept,
            }
        };
        pauses.done();
        *is_known = true;
        live.note_row();
        live.set_left();
        drop(is_known);
        let Held { registered, counted, holding } = held;
        drop((registered, counted, holding));
        match kept {
            Ok(true) => self.enqueue_ticket(Ticket { deaths: 0, ..live.ticket() }, false).await,
            Ok(false) => {
                if !is_postponed {
                    self.outage().note_progress(live.id);
                }
                if leaving.status == Status::Paused {
                    self.paused().count(live.start.user_id);
                }
                if let Some(wake_at) = suspension.row.execution.wake_at {
                    self.waker().wake_by(wake_at);
                }
            }
            Err(flowhost_store::Error::NotFound) => {
                tracing::debug!(execution = %live.id, "an execution that left memory had ended meanwhile");
            }
            Err(flowhost_store::Error::Damaged(reason)) => {
                tracing::error!(execution = %live.id, %reason, "an execution that left memory cannot be run again");
                self.end_damaged(live.id, reason).await;
            }
            Err(error) => {
                tracing::error!(execution = %live.id, %error, "an execution that left memory could not be kept; it goes on after the next start");
                self.outage().give_up(live.id);
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
                    self.paused().count(live.start.user_id);
                }
            }
            _ => {}
        }
    }

    /// Keeps the end of an execution, then tells it to whoever waits for it.
    pub(super) async fn finish(&self, live: &Arc<Live>, outcome: Outcome, held: Held) {
        let mut ended = end::ended(live, outcome, self.now());
        live.mask(&mut ended);
        let ended = Arc::new(ended);
        let mut answer = live.take_caller();
        let mut pauses = self.outage().pauses();
        let kept = loop {
            match live.record_end(self.store(), ended.clone()).await {
                // It ends when that can be kept, whatever is wrong with the storage. Its caller does not wait for so long.
                Err(error) if live.is_kept() && !is_settled(&error) => {
                    if pauses.waited() >= CALLER_WAITS {
                        let problem = || live.named_in(Problem::from(error.clone()));
                        self.ends().fail(live.id, problem);
                        if let Some(answer) = answer.take() {
                            let _gone = answer.send(Err(problem()));
                        }
                    }
                    pauses.after(&error).await;
                }
                told => break told,
            }
        };
        if kept.is_ok() {
            pauses.done();
            self.outage().note_progress(live.id);
        } else {
            live.set_left();
        }
        // The store has let go of it.
        let ended = Arc::unwrap_or_clone(ended);
        let Held { registered, counted, holding } = held;
        // In this order: whoever sees the end may call again at once.
        drop((counted, holding, registered));
        let told = match kept {
            Ok(others) => {
                // It may have left memory since its caller came.
                answer = answer.or_else(|| self.ends().take_caller(live.id));
                self.ends().tell(&ended);
                self.audit().ended(&ended);
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
                // The store says once that its disk is full, and not for each call.
                if !matches!(error, flowhost_store::Error::Full) {
                    tracing::error!(execution = %live.id, %error, "the end of an execution could not be recorded");
                }
                if live.is_durable() {
                    tracing::error!(execution = %live.id, "it runs again after the next start");
                }
                if live.is_kept() {
                    self.outage().give_up(live.id);
                }
                let problem = move || live.named_in(Problem::from(error.clone()));
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
        for lock in others.released {
            self.events().tell(&Event::Released(lock));
        }
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
