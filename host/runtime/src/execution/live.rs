//! Executions in memory, as they are seen while they run.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flowhost_engine::{Clock, Kept, Log};
use flowhost_model::{Execution, JournalEntry, LogLevel, RawValue, RecordId, Status, Timestamp};
use flowhost_store::{Awaits, Ended, ExecutionParts, ExecutionRow, Origin, OwnerId, Store, Ticket};
use tokio::sync::Notify;

use super::admission::StreamingPlace;
use super::ends::Answer;
use super::residents::{Residents, Stay};
use super::{FlowAnswer, Lineage, Outputs, Response, Start, Stop, StopReason};
use crate::limits::Budget;
use crate::problem::Problem;
use crate::secret::{CalledKey, Secrets, mask_of};
use crate::webhook::IncomingRequest;

/// An execution between its admission and its end, or until it leaves memory.
pub(crate) struct Live {
    pub(crate) id: RecordId,
    pub(crate) start: Start,
    pub(crate) attempt: u32,
    pub(crate) seed: [u8; 32],
    pub(crate) created_at: Timestamp,
    pub(crate) log: Arc<Log>,
    /// How it is ended, or taken out of memory, before its flow has ended.
    pub(crate) stop: Stop,
    /// Who waits for its answer here.
    caller: Mutex<Option<Answer>>,
    /// Told when it has left memory.
    left: Notify,
    is_gone: AtomicBool,
    /// What is masked wherever it is shown.
    secrets: Arc<Secrets>,
    residents: Arc<Residents>,
    stay: Mutex<Option<Stay>>,
    /// Whether its slot is on the way to somebody else.
    is_leaving: AtomicBool,
    moving: Mutex<Moving>,
    /// Whether the store has a row of it. Held across the insertion, so that the end waits for it.
    recorded: tokio::sync::Mutex<bool>,
    /// The same, for who cannot wait.
    has_row: AtomicBool,
    /// How often in a row the host died while it ran.
    deaths: u32,
}

/// What changes while it runs.
#[derive(Debug, Default)]
struct Moving {
    /// Whether this attempt has begun.
    is_begun: bool,
    is_waiting: bool,
    is_durable: bool,
    /// Whether its row is somebody else's by now.
    has_left: bool,
    /// When the first attempt began; its flow's clock begins there.
    started_at: Option<Timestamp>,
    /// When it must have ended had it waited for nothing.
    deadline: Option<Timestamp>,
    /// What its flow was told before.
    journal: Vec<JournalEntry>,
    /// Whether it comes back because the time of its wait has come.
    is_woken: bool,
    /// What is waited for, beside a time.
    awaits: Option<Awaits>,
    children: HashSet<RecordId>,
    messages: HashSet<RecordId>,
    progress: Option<String>,
    outputs: Outputs,
    /// What its flow set of its answer, if anything.
    response: Option<Box<Response>>,
    /// Held while its flow writes to a caller.
    streaming: Option<StreamingPlace>,
    queue_wait: Duration,
    run_time: Duration,
}

impl Live {
    /// A new execution, admitted now.
    pub(crate) fn new(
        start: Start,
        residents: Arc<Residents>,
        secrets: Arc<Secrets>,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, Problem> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(Problem::host)?;
        let mask = mask_of(&secrets, start.key.as_ref());
        let is_durable = start.is_durable;
        let moving = Moving { is_durable, ..Moving::default() };
        Ok(Self {
            id: RecordId::new(),
            attempt: 1,
            seed,
            created_at: clock.now(),
            log: Arc::new(Log::new(start.budget.log_bytes, clock.clone()).masked_by(mask)),
            stop: Stop::default(),
            caller: Mutex::default(),
            left: Notify::new(),
            is_gone: AtomicBool::new(false),
            secrets,
            residents,
            stay: Mutex::default(),
            is_leaving: AtomicBool::new(false),
            moving: Mutex::new(moving),
            recorded: tokio::sync::Mutex::default(),
            has_row: AtomicBool::new(false),
            deaths: 0,
            start,
        })
    }

    /// An execution that the store has, from where it stands, with the key of its call where this host knows it.
    pub(crate) fn recovered(
        row: ExecutionRow,
        budget: Budget,
        residents: Arc<Residents>,
        secrets: Arc<Secrets>,
        key: Option<Arc<CalledKey>>,
        clock: &Arc<dyn Clock>,
    ) -> Self {
        let execution = row.execution;
        let mask = mask_of(&secrets, key.as_ref());
        let moving = Moving {
            is_durable: execution.is_durable,
            started_at: execution.started_at,
            deadline: row.deadline,
            journal: row.journal,
            queue_wait: Duration::from_micros(execution.queue_wait_us),
            run_time: Duration::from_micros(execution.run_time_us),
            ..Moving::default()
        };
        let start = Start {
            flow: execution.flow,
            webhook: execution.webhook,
            project_id: execution.project_id,
            bundle_id: execution.bundle_id,
            created_by: execution.created_by,
            user_id: execution.user_id,
            actor: row.actor,
            lineage: Lineage { parent_id: execution.parent_id, depth: row.depth, is_detached: row.is_detached },
            priority: execution.priority,
            concurrency: row.concurrency,
            is_productive: execution.is_productive,
            input: execution.input_value,
            key,
            request: row.request.map(|request| Arc::new(IncomingRequest::from_record(request))),
            budget,
            is_durable: execution.is_durable,
        };
        Self {
            id: execution.id,
            attempt: execution.attempt,
            seed: row.seed,
            created_at: execution.created_at,
            log: Arc::new(Log::resumed(budget.log_bytes, row.log_lines, clock.clone()).masked_by(mask)),
            stop: Stop::default(),
            caller: Mutex::default(),
            left: Notify::new(),
            is_gone: AtomicBool::new(false),
            secrets,
            residents,
            stay: Mutex::default(),
            is_leaving: AtomicBool::new(false),
            moving: Mutex::new(moving),
            recorded: tokio::sync::Mutex::new(true),
            has_row: AtomicBool::new(true),
            deaths: row.deaths,
            start,
        }
    }

    /// It comes back because the time of its wait has come.
    pub(crate) fn set_woken(&self) {
        self.lock().is_woken = true;
    }

    /// Notes that its flow begins to run, after so long in the queue. Gives what its flow was told before.
    pub(crate) fn begin(&self, now: Timestamp, queue_wait: Duration) -> Kept {
        let mut moving = self.lock();
        moving.is_begun = true;
        moving.queue_wait += queue_wait;
        let began = *moving.started_at.get_or_insert(now);
        moving.deadline.get_or_insert(began.saturating_add(self.start.budget.wall));
        Kept {
            began: Some(began),
            entries: std::mem::take(&mut moving.journal),
            is_woken: std::mem::take(&mut moving.is_woken),
        }
    }

    /// Adds to the time that its flow ran.
    pub(crate) fn add_run_time(&self, run_time: Duration) {
        self.lock().run_time += run_time;
    }

    /// When the host ends it, by its wall limit, if it waits for nothing. Before it has begun, as if it had when it was
    /// admitted.
    pub(crate) fn deadline(&self) -> Timestamp {
        self.lock().deadline.unwrap_or_else(|| self.created_at.saturating_add(self.start.budget.wall))
    }

    pub(crate) fn set_progress(&self, message: String) {
        self.lock().progress = Some(message);
    }

    /// Works on the outputs.
    pub(crate) fn with_outputs<R>(&self, work: impl FnOnce(&mut Outputs) -> R) -> R {
        work(&mut self.lock().outputs)
    }

    /// Whether it is run again when it is cut off.
    pub(crate) fn is_durable(&self) -> bool {
        self.lock().is_durable
    }

    /// Whether the store has it, or will: its id resolves, whatever happens.
    pub(crate) fn is_kept(&self) -> bool {
        self.has_row.load(Ordering::Relaxed) || self.is_durable()
    }

    /// The store has a row of it from now on.
    pub(crate) fn note_row(&self) {
        self.has_row.store(true, Ordering::Relaxed);
    }

    /// Whether it may leave memory because something does not work now, and begin again from its journal.
    pub(crate) fn may_be_postponed(&self) -> bool {
        !self.is_streaming() && (self.is_durable() || !self.has_caller())
    }

    /// The problem, about this execution where its id resolves.
    pub(crate) fn named_in(&self, problem: Problem) -> Problem {
        if self.is_kept() { problem.with_execution(self.execution()) } else { problem }
    }

    /// Whether its flow waits for something.
    pub(crate) fn is_waiting(&self) -> bool {
        self.lock().is_waiting
    }

    /// Notes who waits for its answer.
    pub(crate) fn set_caller(&self, caller: Answer) {
        *self.caller() = Some(caller);
    }

    /// Takes out who waits for its answer.
    pub(crate) fn take_caller(&self) -> Option<Answer> {
        self.caller().take()
    }

    /// Whether somebody waits for its answer.
    pub(crate) fn has_caller(&self) -> bool {
        self.caller().as_ref().is_some_and(|caller| !caller.is_closed())
    }

    fn caller(&self) -> MutexGuard<'_, Option<Answer>> {
        self.caller.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Works on the answer that its flow shapes.
    pub(crate) fn with_response<R>(&self, work: impl FnOnce(&mut Response) -> R) -> R {
        work(self.lock().response.get_or_insert_default())
    }

    /// The answer that its flow shaped and did not send, and the file that is its body.
    pub(crate) fn shaped_answer(&self) -> (Option<Box<FlowAnswer>>, Option<String>) {
        match &mut self.lock().response {
            None => (None, None),
            Some(response) => {
                let file = response.file();
                (response.at_end().map(Box::new), file)
            }
        }
    }

    /// Its flow writes to a caller: meanwhile it stays in memory, and is not run again where it is cut off.
    pub(crate) fn begin_streaming(&self, place: StreamingPlace) {
        let mut moving = self.lock();
        moving.streaming = Some(place);
        moving.is_durable = false;
    }

    /// Its flow does not write to a caller any more.
    pub(crate) fn end_streaming(&self) {
        self.lock().streaming = None;
    }

    /// Whether its flow writes to a caller.
    pub(crate) fn is_streaming(&self) -> bool {
        self.lock().streaming.is_some()
    }

    /// Notes a child.
    pub(crate) fn add_child(&self, child: RecordId) {
        self.lock().children.insert(child);
    }

    /// The row of a child is written with its parent's step, before it is seen.
    pub(crate) fn set_recorded(&self) {
        if let Ok(mut recorded) = self.recorded.try_lock() {
            *recorded = true;
        }
        self.note_row();
    }

    /// How many children it has started.
    pub(crate) fn child_count(&self) -> usize {
        self.lock().children.len()
    }

    /// Whether it has started this child.
    pub(crate) fn has_child(&self, child: RecordId) -> bool {
        self.lock().children.contains(&child)
    }

    /// Notes a message.
    pub(crate) fn add_message(&self, message: RecordId) {
        self.lock().messages.insert(message);
    }

    /// How many messages it has sent.
    pub(crate) fn message_count(&self) -> usize {
        self.lock().messages.len()
    }

    /// Whether it has sent this message.
    pub(crate) fn has_message(&self, message: RecordId) -> bool {
        self.lock().messages.contains(&message)
    }

    /// Notes what its flow waits for.
    pub(crate) fn set_awaits(&self, awaits: Option<Awaits>) {
        self.lock().awaits = awaits;
    }

    /// What its flow waits for.
    pub(crate) fn awaits(&self) -> Option<Awaits> {
        self.lock().awaits.clone()
    }

    /// Whether it has left memory.
    pub(crate) fn is_gone(&self) -> bool {
        self.is_gone.load(Ordering::SeqCst)
    }

    /// Ready when it has left memory.
    pub(crate) async fn left(&self) {
        let told = self.left.notified();
        if !self.is_gone() {
            told.await;
        }
    }

    /// Notes that the slot of an execution that has left is free.
    pub(crate) fn slot_is_free(&self) {
        if self.is_leaving.swap(false, Ordering::Relaxed) {
            self.residents.has_left();
        }
    }

    /// Takes out of all that its flow says what must not be kept or shown.
    pub(crate) fn mask(&self, execution: &mut Execution) {
        self.secrets.mask_execution(execution);
        if let Some(key) = &self.start.key {
            key.mask_execution(execution);
        }
    }

    /// The execution as it stands now, masked.
    pub(crate) fn execution(&self) -> Execution {
        self.execution_with(ExecutionParts::ALL)
    }

    /// The same, with these of the parts that may be large.
    pub(crate) fn execution_with(&self, parts: ExecutionParts) -> Execution {
        let moving = self.lock();
        let start = &self.start;
        let status = match (moving.is_begun, moving.is_waiting) {
            (false, _) => Status::Scheduled,
            (true, false) => Status::Running,
            (true, true) => Status::Waiting,
        };
        let mut execution = Execution {
            id: self.id,
            flow: start.flow.clone(),
            webhook: start.webhook.clone(),
            project_id: start.project_id,
            bundle_id: start.bundle_id,
            created_by: start.created_by,
            user_id: start.user_id,
            parent_id: start.lineage.parent_id,
            priority: start.priority,
            status,
            status_message: moving.progress.clone(),
            failure: None,
            is_productive: start.is_productive,
            attempt: self.attempt,
            is_durable: moving.is_durable,
            input_value: if parts.input { start.input.clone() } else { RawValue::NULL.to_owned() },
            output_value: if parts.output { moving.outputs.to_json() } else { Outputs::default().to_json() },
            created_at: self.created_at,
            started_at: moving.started_at,
            ended_at: None,
            wake_at: None,
            queue_wait_us: micros(moving.queue_wait),
            run_time_us: micros(moving.run_time),
        };
        self.mask(&mut execution);
        execution
    }

    /// The execution as the store keeps it until its end.
    pub(crate) fn row(&self, execution: Execution, owner: OwnerId) -> ExecutionRow {
        let (start, deadline) = (&self.start, self.lock().deadline);
        ExecutionRow {
            request: start.request.as_ref().map(|request| request.to_record()),
            seed: self.seed,
            deadline,
            actor: start.actor,
            is_detached: start.lineage.is_detached,
            depth: start.lineage.depth,
            concurrency: start.concurrency.clone(),
            owner: Some(owner),
            is_cancelled: false,
            journal: Vec::new(),
            log_lines: 0,
            deaths: 0,
            execution,
        }
    }

    /// What the queue knows of it.
    pub(crate) fn ticket(&self) -> Ticket {
        let start = &self.start;
        Ticket {
            id: self.id,
            flow_id: start.flow.id,
            webhook_id: start.webhook.as_ref().map(|webhook| webhook.id),
            priority: start.priority,
            concurrency: start.concurrency.clone(),
            is_productive: start.is_productive,
            user_id: start.user_id,
            deaths: self.deaths,
        }
    }

    /// To be held while its row is written or replaced: whether there is one.
    pub(crate) fn recorded(&self) -> &tokio::sync::Mutex<bool> {
        &self.recorded
    }

    /// Whether its row is somebody else's by now.
    pub(crate) fn has_left(&self) -> bool {
        self.lock().has_left
    }

    /// Its row is not its own any more.
    pub(crate) fn set_left(&self) {
        self.lock().has_left = true;
    }

    /// From now on it is run again when it is cut off: the store has what that takes.
    pub(crate) fn set_durable(&self) {
        self.lock().is_durable = true;
    }

    /// When it began, and when it must have ended.
    pub(crate) fn begins(&self) -> Option<(Timestamp, Timestamp)> {
        let moving = self.lock();
        moving.started_at.zip(moving.deadline)
    }

    /// Makes sure that the store has a row of it, and that the row says where it stands.
    pub(crate) async fn record(&self, store: &dyn Store, owner: OwnerId) -> Result<(), Problem> {
        let mut recorded = self.recorded.lock().await;
        if self.has_left() {
            return Ok(());
        }
        let mut execution = self.execution();
        // Its row waits only when it has left memory: nobody else may wake it before.
        if execution.status == Status::Waiting {
            execution.status = Status::Running;
        }
        if *recorded {
            return match store.set_execution_status(self.id, execution.status, execution.status_message).await {
                // It has ended meanwhile, and its row says so.
                Err(flowhost_store::Error::NotFound) => Ok(()),
                told => Ok(told?),
            };
        }
        store.insert_execution(self.row(execution, owner)).await?;
        *recorded = true;
        self.note_row();
        Ok(())
    }

    /// Keeps its end and its log. Only then may an answer name the end.
    pub(crate) async fn record_end(
        &self,
        store: &dyn Store,
        ended: Arc<Execution>,
    ) -> Result<Ended, flowhost_store::Error> {
        let mut recorded = self.recorded.lock().await;
        let told = if *recorded {
            store.end_execution(Arc::unwrap_or_clone(ended), self.log.lines(), true).await?
        } else {
            store.insert_ended_execution(ended, self.origin(), self.log.lines()).await?;
            // No one but its caller knew of it.
            Ended::default()
        };
        *recorded = true;
        self.note_row();
        Ok(told)
    }

    /// Where it came from, for those who run it again.
    fn origin(&self) -> Origin {
        let request = self.start.request.as_ref().map(|request| request.to_record());
        Origin { actor: self.start.actor, request }
    }

    /// Ends the flow, or takes it out of memory.
    pub(crate) fn stop(&self, reason: StopReason) {
        self.stop.stop(reason);
    }

    /// Adds a line of the host's own to its log.
    pub(crate) fn log_host(&self, level: LogLevel, message: impl Into<String>) {
        self.log.write_host(level, message.into());
    }

    fn lock(&self) -> MutexGuard<'_, Moving> {
        self.moving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stay(&self) -> MutexGuard<'_, Option<Stay>> {
        self.stay.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn note_left(&self) {
        self.is_gone.store(true, Ordering::SeqCst);
        self.left.notify_waiters();
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Its waits.
impl Live {
    pub(super) fn wait_begins(&self) {
        let stays = {
            let mut moving = self.lock();
            moving.is_waiting = true;
            moving.streaming.is_some()
        };
        if !stays {
            *self.stay() = Some(self.residents.enter());
        }
    }

    pub(super) fn wait_ends(&self) {
        self.lock().is_waiting = false;
        if let Some(stay) = self.stay().take() {
            stay.end(self.is_leaving.load(Ordering::Relaxed));
        }
    }

    /// Ready when it is to leave memory, where it waits. While its flow writes to a caller it stays, until it has written
    /// nothing for as long as `silence`: when it leaves then, the body is cut off.
    pub(super) async fn told_to_leave(&self, silence: Duration) {
        if self.is_streaming() {
            tokio::time::sleep(silence).await;
            self.end_streaming();
            *self.stay() = Some(self.residents.enter());
        }
        let told = self.stay().as_ref().map(Stay::told);
        match told {
            // The host may die, and it would be suspected of what others do.
            Some(_) if self.ticket().is_suspect() => {}
            Some(told) => told.wait().await,
            None => std::future::pending().await,
        }
        self.is_leaving.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use flowhost_engine::{Outcome, SystemClock};
    use flowhost_model::{Digest, FlowRef, Priority, RawValue};
    use flowhost_store::sqlite::{SqliteOptions, SqliteStore};

    use super::*;
    use crate::execution::end::ended;
    use crate::host::Host;

    /// The start of a flow that is nowhere.
    pub(in crate::execution) fn start() -> Start {
        Start {
            flow: FlowRef { id: RecordId::new(), name: "hello".into(), version: 1, digest: Digest([0; 32]) },
            webhook: None,
            project_id: None,
            bundle_id: None,
            created_by: None,
            user_id: None,
            actor: None,
            lineage: Lineage::default(),
            priority: Priority::Normal,
            concurrency: None,
            is_productive: true,
            input: RawValue::NULL.to_owned(),
            request: None,
            key: None,
            budget: Budget::default(),
            is_durable: false,
        }
    }

    /// A host, and an execution in its store that is its own.
    pub(in crate::execution) async fn host_with_one(folder: &tempfile::TempDir) -> (Host, Ticket) {
        let host = Host::builder().data(folder.path()).build().await.unwrap();
        let live = host.admit(start()).unwrap();
        host.store().insert_execution(live.row(live.execution(), host.owner_id())).await.unwrap();
        (host, live.ticket())
    }

    #[tokio::test]
    async fn an_execution_that_ends_while_it_is_recorded_stays_ended() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path(), SqliteOptions::default()).unwrap();
        let owner = store.hold_lease(None, Timestamp::now()).await.unwrap();
        let residents = Residents::new(Duration::from_secs(10));
        let live = Live::new(start(), residents, Arc::default(), &(Arc::new(SystemClock) as Arc<dyn Clock>)).unwrap();
        live.begin(Timestamp::now(), Duration::ZERO);
        live.record(&store, owner).await.unwrap();
        assert_eq!(store.execution(live.id).await.unwrap().unwrap().status, Status::Running);
        let outcome = Outcome::Success("{}".into());
        live.record_end(&store, ended(&live, outcome, Timestamp::now()).into()).await.unwrap();
        live.record(&store, owner).await.unwrap();
        assert_eq!(store.execution(live.id).await.unwrap().unwrap().status, Status::EndedSuccess);
    }
}
