//! How executions are started.

use std::sync::Arc;

use flowhost_model::{
    Actor, ActorKind, ConcurrencyLimit, Execution, FlowRef, Priority, RawValue, RecordId, Status, WebhookRef,
};
use serde::Serialize;

use super::queue::Holding;
use super::{Answered, Counted, INACTIVE, Live, QueuePlace, Slot};
use crate::flow::ActiveVersion;
use crate::host::Host;
use crate::identity::Identity;
use crate::limits::Budget;
use crate::pool::NoPlace;
use crate::problem::{Code, Problem};
use crate::secret::CalledKey;
use crate::webhook::{FlowTarget, IncomingRequest};

/// What an execution is started with.
#[derive(Debug)]
pub(crate) struct Start {
    pub(crate) flow: FlowRef,
    pub(crate) webhook: Option<WebhookRef>,
    pub(crate) project_id: Option<RecordId>,
    pub(crate) bundle_id: Option<RecordId>,
    /// The identity that starts it.
    pub(crate) created_by: Option<RecordId>,
    /// The user that answers for it.
    pub(crate) user_id: Option<RecordId>,
    /// With whose permissions it acts.
    pub(crate) actor: Option<Actor>,
    pub(crate) lineage: Lineage,
    pub(crate) priority: Priority,
    pub(crate) concurrency: Option<ConcurrencyLimit>,
    pub(crate) is_productive: bool,
    pub(crate) input: Box<RawValue>,
    pub(crate) request: Option<Arc<IncomingRequest>>,
    /// The key of the call, where its flow could see it.
    pub(crate) key: Option<Arc<CalledKey>>,
    pub(crate) budget: Budget,
    pub(crate) is_durable: bool,
}

/// Where an execution stands among those that started each other.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lineage {
    pub(crate) parent_id: Option<RecordId>,
    /// How many are above it.
    pub(crate) depth: u32,
    /// Whether it goes on when its parent has ended.
    pub(crate) is_detached: bool,
}

/// The place of an execution in the queue: what started it says, or else its flow.
pub(crate) fn priority_of(own: Option<Priority>, version: &ActiveVersion) -> Priority {
    own.or(version.options.priority).unwrap_or_default()
}

impl Host {
    /// Runs a flow and waits for its end. `input` is what the flow is given.
    ///
    /// An execution that did not succeed is a problem that carries it.
    pub async fn call(&self, flow: &str, input: impl Serialize) -> Result<Execution, Problem> {
        let (start, version) = self.start(&self.admin(), flow, input, false)?;
        version.check_input(self, &start.input).await?;
        let program = self.program(&version).await?;
        let (slot, holding) = self.slot_of(&version).await?;
        let live = Arc::new(self.admit(start)?);
        let ended = self.launch(live.clone(), program, slot, None, holding);
        match self.wait_for(&live, ended, self.limits().wait).await? {
            Answered::Ended(execution, _) => Ok(execution),
            // Only a webhook's caller is answered before the end.
            Answered::Early(_) => self.execution(live.id).await,
        }
    }

    /// A slot for a caller who waits, and the place among the executions of the flow.
    pub(crate) async fn slot_of(&self, version: &ActiveVersion) -> Result<(Slot, Holding), Problem> {
        let holding = match self.queue().enter_flow(version.flow.id, version.options.max_executions) {
            Ok(holding) => holding,
            Err(freed) => {
                let busy = || Problem::new(Code::FlowBusy, "the flow runs as many executions as it may; try again");
                let freed = tokio::time::timeout(self.limits().admission_wait, freed).await.map_err(|_| busy())?;
                freed.map_err(|_| Problem::new(Code::HostDraining, "the host is about to stop"))?
            }
        };
        Ok((self.admission().slot(version.flow.id).await?, holding))
    }

    /// A new execution in memory.
    pub(crate) fn admit(&self, start: Start) -> Result<Live, Problem> {
        Live::new(start, self.admission().residents().clone(), self.secrets().clone(), self.clock())
    }

    /// Accepts an execution durably, lets it run by itself, and gives its id.
    pub async fn call_async(&self, flow: &str, input: impl Serialize) -> Result<RecordId, Problem> {
        let (start, version) = self.start(&self.admin(), flow, input, true)?;
        version.check_input(self, &start.input).await?;
        self.accept(start, None).await
    }

    fn start(
        &self,
        by: &Identity,
        flow: &str,
        input: impl Serialize,
        is_durable: bool,
    ) -> Result<(Start, ActiveVersion), Problem> {
        self.refuse_if_draining()?;
        let target = FlowTarget::Name(flow.to_owned());
        let missing = || Problem::new(Code::FlowNotFound, format!("there is no flow named `{flow}`"));
        let version = self.snapshot().active_version(&target).ok_or_else(missing)?;
        let input: Box<RawValue> = serde_json::value::to_raw_value(&input)
            .map_err(|error| Problem::new(Code::Malformed, format!("the input is not JSON: {error}")))?;
        let start = Start {
            flow: version.flow.clone(),
            webhook: None,
            project_id: version.project_id,
            bundle_id: version.bundle_id,
            created_by: Some(by.user_id),
            user_id: Some(by.user_id),
            actor: Some(Actor { kind: ActorKind::PropagatedUser, id: by.user_id }),
            lineage: Lineage::default(),
            priority: priority_of(None, &version),
            concurrency: None,
            is_productive: true,
            input,
            request: None,
            key: None,
            budget: self.limits().budget,
            is_durable,
        };
        Ok((start, version))
    }

    /// Commits an execution to the store and lets it run when there is a slot.
    pub(crate) async fn accept(&self, start: Start, counted: Option<Counted>) -> Result<RecordId, Problem> {
        let (webhook, flow) = (start.webhook.as_ref().map(|webhook| webhook.id), start.flow.id);
        let place = self.admission().queue_place(webhook, flow)?;
        let live = Arc::new(self.admit(start)?);
        self.accept_live(live, place, counted).await
    }

    /// [`Host::accept`], of an execution that has its place in the queue.
    pub(super) async fn accept_live(
        &self,
        live: Arc<Live>,
        place: QueuePlace,
        counted: Option<Counted>,
    ) -> Result<RecordId, Problem> {
        let (id, start) = (live.id, &live.start);
        let webhook = start.webhook.as_ref().map(|webhook| webhook.id);
        let turn = self.admission().accepting_turn(webhook, start.flow.id, start.input.get().len()).await;
        let host = self.clone();
        // In a task of its own: what the store has taken must run, also if the caller leaves before the answer.
        let accepted = tokio::spawn(async move {
            live.record(host.store(), host.owner_id()).await?;
            drop(turn);
            host.enqueue(live, place, counted);
            Ok(id)
        });
        accepted.await.map_err(Problem::host)?
    }

    /// Commits an execution to the store, where it waits for somebody to resume it.
    pub(crate) async fn accept_paused(&self, start: Start) -> Result<RecordId, Problem> {
        let user = start.user_id;
        self.paused().enter(user).map_err(|none| match none {
            NoPlace::Full => {
                Problem::new(Code::HostBusy, "too many paused executions wait to be resumed; resume or cancel some")
            }
            NoPlace::Share => {
                let detail =
                    "too many paused executions of the webhook's user wait to be resumed; resume or cancel some";
                Problem::new(Code::WebhookBusy, detail)
            }
        })?;
        let live = self.admit(start)?;
        let mut execution = live.execution();
        execution.status = Status::Paused;
        execution.status_message = Some(INACTIVE.to_owned());
        let mut row = live.row(execution, self.owner_id());
        row.owner = None;
        let recorded = self.store().insert_execution(row).await;
        if recorded.is_err() {
            self.paused().discount(user);
        }
        Ok(recorded.map(|()| live.id)?)
    }

    /// Whether the user was active lately enough for executions in development mode.
    pub(crate) fn is_active(&self, user: Option<RecordId>) -> bool {
        let last = user.and_then(|user| self.last_activity(user));
        last.is_some_and(|last| last.saturating_add(self.limits().development) >= self.now())
    }
}
