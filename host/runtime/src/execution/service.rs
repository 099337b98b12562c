//! Executions as they are started, read and steered.

use std::sync::Arc;

use flowhost_model::{
    Actor, ActorKind, Execution, LogLine, Operation, Priority, RawValue, RecordId, RecordType, Status,
};
use flowhost_store::ExecutionQuery;
use indexmap::IndexMap;
use serde::Serialize;
use serde_json::{Value, json};

use super::queue::Holding;
use super::{Answered, Counted, INACTIVE, Lineage, Live, Slot, Start, StopReason};
use crate::access::Reach;
use crate::flow::ActiveVersion;
use crate::host::Host;
use crate::identity::Identity;
use crate::problem::{Code, Problem};
use crate::record::{List, ListRequest, Parents};
use crate::webhook::FlowTarget;

/// How often an execution is looked for that is to be paused: it goes from one place to another some few times at most.
const PAUSES: usize = 100;

fn no_execution(id: RecordId) -> Problem {
    Problem::new(Code::RecordNotFound, format!("there is no execution `{id}`"))
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

    /// A slot for a caller who waits, and the place among the executions of a flow that is limited.
    pub(crate) async fn slot_of(&self, version: &ActiveVersion) -> Result<(Slot, Option<Holding>), Problem> {
        let holding = match version.options.max_executions {
            None => None,
            Some(limit) => Some(match self.queue().enter_flow(version.flow.id, limit) {
                Ok(holding) => holding,
                Err(freed) => {
                    let busy = || Problem::new(Code::FlowBusy, "the flow runs as many executions as it may; try again");
                    let freed = tokio::time::timeout(self.limits().admission_wait, freed).await.map_err(|_| busy())?;
                    freed.map_err(|_| Problem::new(Code::HostDraining, "the host is about to stop"))?
                }
            }),
        };
        Ok((self.admission().slot().await?, holding))
    }

    /// A new execution in memory.
    pub(crate) fn admit(&self, start: Start) -> Result<Live, Problem> {
        Live::new(start, self.admission().residents().clone(), self.secrets().clone(), self.now())
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
        let place = self.admission().queue_place()?;
        let live = Arc::new(self.admit(start)?);
        let id = live.id;
        let host = self.clone();
        // In a task of its own: what the store has taken must run, also if the caller leaves before the answer.
        let accepted = tokio::spawn(async move {
            live.record(host.store(), host.owner_id()).await?;
            host.enqueue(live, place, counted);
            Ok(id)
        });
        accepted.await.map_err(Problem::host)?
    }

    /// Commits an execution to the store, where it waits for somebody to resume it.
    pub(crate) async fn accept_paused(&self, start: Start) -> Result<RecordId, Problem> {
        if !self.count_paused_within(self.limits().queued) {
            return Err(Problem::new(Code::HostBusy, "too many paused executions wait for somebody to resume them"));
        }
        let live = self.admit(start)?;
        let mut execution = live.execution();
        execution.status = Status::Paused;
        execution.status_message = Some(INACTIVE.to_owned());
        let mut row = live.row(execution, self.owner_id());
        row.owner = None;
        let recorded = self.store().insert_execution(row).await;
        if recorded.is_err() {
            self.discount_paused();
        }
        Ok(recorded.map(|()| live.id)?)
    }

    /// Whether the user was active lately enough for executions in development mode.
    pub(crate) fn is_active(&self, user: Option<RecordId>) -> bool {
        let last = user.and_then(|user| self.last_activity(user));
        last.is_some_and(|last| last.saturating_add(self.limits().development) >= self.now())
    }

    /// The execution with this id, running or ended.
    pub async fn execution(&self, id: RecordId) -> Result<Execution, Problem> {
        // In this order: an execution leaves the registry only after its end is in the store.
        if let Some(live) = self.registry().get(id) {
            return Ok(live.execution());
        }
        self.store().execution(id).await?.ok_or_else(|| no_execution(id))
    }

    /// [`Host::execution`], if the identity may read it.
    pub async fn read_execution(&self, by: &Identity, id: RecordId) -> Result<Execution, Problem> {
        let execution = self.execution(id).await?;
        if by.access.may(Operation::Read, RecordType::Execution, execution.project_id) {
            Ok(execution)
        } else {
            Err(no_execution(id))
        }
    }

    /// The log of an execution, running or ended, from line `from` and at most `limit` lines.
    pub async fn execution_log(
        &self,
        by: &Identity,
        id: RecordId,
        from: u64,
        limit: u32,
    ) -> Result<Vec<LogLine>, Problem> {
        self.read_execution(by, id).await?;
        let Some(live) = self.registry().get(id) else { return Ok(self.store().execution_log(id, from, limit).await?) };
        // What it wrote before it left memory is in the store. A log is small.
        let mut lines = self.store().execution_log(id, 0, u32::MAX).await?;
        lines.extend(live.log.lines());
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        Ok(lines.into_iter().skip(from).take(limit as usize).collect())
    }

    /// A page of the executions that the store has and the identity may read, as they stand now; newest first unless asked
    /// for otherwise. A synchronous one is there once it ended or ran for a second.
    pub async fn list_executions(&self, by: &Identity, request: ListRequest) -> Result<List<Execution>, Problem> {
        let in_projects = match by.access.projects(Operation::Read, RecordType::Execution) {
            Reach::Everything => None,
            Reach::Projects(projects) => Some(projects),
            Reach::Nothing => Some(Vec::new()),
        };
        let query = ExecutionQuery {
            filter: request.filter(RecordType::Execution)?,
            order: request.order(RecordType::Execution)?,
            after: request.after.clone(),
            limit: request.limit(),
            in_projects,
        };
        if query.limit == 0 {
            return Ok(List { items: Vec::new(), next: None });
        }
        let page = self.store().query_executions(query).await?;
        let mut items = page.executions;
        for execution in items.iter_mut().filter(|execution| !execution.status.is_ended()) {
            if let Some(live) = self.registry().get(execution.id) {
                *execution = live.execution();
            } else if matches!(execution.status, Status::Scheduled | Status::Running)
                && let Some(left) = self.store().execution(execution.id).await?
            {
                // It may have left memory since the page was read.
                *execution = left;
            }
        }
        Ok(List { items, next: page.next })
    }

    /// Executions as the API shows them: what every record has, and their own. Input and outputs are the JSON text that was
    /// written.
    pub async fn execution_members(
        &self,
        executions: &[Execution],
    ) -> Result<Vec<IndexMap<String, Box<RawValue>>>, Problem> {
        let parents = executions.iter().flat_map(|execution| [execution.project_id, execution.bundle_id]);
        let parents = self.parents(parents).await?;
        executions.iter().map(|execution| self.members_with(execution, &parents)).collect()
    }

    fn members_with(
        &self,
        execution: &Execution,
        parents: &Parents,
    ) -> Result<IndexMap<String, Box<RawValue>>, Problem> {
        let (project, bundle) = (parents.get(execution.project_id), parents.get(execution.bundle_id));
        let definition = flowhost_model::definition(RecordType::Execution);
        let own = serde_json::to_string(execution).map_err(Problem::host)?;
        let mut own: IndexMap<String, Box<RawValue>> = serde_json::from_str(&own).map_err(Problem::host)?;
        let members =
            definition.all_properties().filter(|property| property.access != flowhost_model::Access::WriteOnly);
        members
            .map(|property| {
                let value = match property.name {
                    "name" => Value::String(execution.flow.name.clone()),
                    "flow_id" => Value::String(execution.flow.id.to_string()),
                    "webhook_id" => {
                        execution.webhook.as_ref().map_or(Value::Null, |webhook| Value::String(webhook.id.to_string()))
                    }
                    "record_type" | "identity_type" => Value::String(RecordType::Execution.as_str().to_owned()),
                    "schema_version" => Value::String(flowhost_model::SCHEMA_VERSION.to_owned()),
                    "workspace_id" => Value::String(self.workspace_id().to_string()),
                    "organization_id" => Value::String(self.organization_id().to_string()),
                    "modified_at" => {
                        let at = execution.ended_at.or(execution.started_at).unwrap_or(execution.created_at);
                        Value::String(at.to_string())
                    }
                    "is_deleted" => Value::Bool(false),
                    "project_name" => json!(project.map(|project| &project.name)),
                    "bundle_name" => json!(bundle.map(|bundle| &bundle.name)),
                    "is_project_readonly" => json!(project.is_some_and(|project| project.is_readonly)),
                    "is_bundle_readonly" => json!(bundle.is_some_and(|bundle| bundle.is_readonly)),
                    name => match own.shift_remove(name) {
                        Some(raw) => return Ok((name.to_owned(), raw)),
                        None => Value::Null,
                    },
                };
                let raw = serde_json::value::to_raw_value(&value).map_err(Problem::host)?;
                Ok((property.name.to_owned(), raw))
            })
            .collect()
    }

    async fn steerable(&self, by: &Identity, id: RecordId) -> Result<Execution, Problem> {
        let execution = self.read_execution(by, id).await?;
        self.permit(by, Operation::Update, RecordType::Execution, execution.project_id)?;
        Ok(execution)
    }

    /// Ends an execution that has not ended, and its children with it. Gives it as it stood when it was told.
    pub async fn cancel(&self, by: &Identity, id: RecordId) -> Result<Execution, Problem> {
        self.steerable(by, id).await?;
        let live = self.registry().get(id);
        self.end_cancelled(id).await?;
        match live {
            Some(live) => Ok(live.execution()),
            None => self.execution(id).await,
        }
    }

    /// Takes an execution out of memory, until somebody resumes it. What its flow was told is told again then; what it did
    /// since its last change of something outside is done again.
    ///
    /// Problem: `record.conflict` where it has ended.
    pub async fn pause(&self, by: &Identity, id: RecordId) -> Result<Execution, Problem> {
        self.steerable(by, id).await?;
        for _ in 0..PAUSES {
            self.pause_once(id).await?;
            let execution = self.execution(id).await?;
            match execution.status {
                Status::Paused => return Ok(execution),
                status if status.is_ended() => {
                    let detail = format!("the execution is {status}; only one that has not ended can be paused");
                    return Err(Problem::new(Code::RecordConflict, detail));
                }
                // It was on its way from one place to another.
                _ => tokio::task::yield_now().await,
            }
        }
        // Its end could not be kept, for instance.
        tracing::error!(execution = %id, "an execution that is to be paused is neither in memory nor ready to go on");
        Err(Problem::new(
            Code::RecordConflict,
            "the execution can be neither run nor paused before the host's next start",
        ))
    }

    async fn pause_once(&self, id: RecordId) -> Result<(), Problem> {
        self.queue().until_loaded(id).await;
        let queued = self.queue().remove(id);
        if let Some(live) = self.registry().get(id).filter(|_| queued.is_none()) {
            live.stop(StopReason::Pause);
            live.left().await;
            return Ok(());
        }
        match self.store().pause_execution(id, super::PAUSED.to_owned()).await {
            Ok(()) => {
                self.count_paused();
                drop(queued);
                self.superseded(id).await;
            }
            Err(flowhost_store::Error::NotFound) => {}
            Err(error) => {
                if let Some(queued) = queued {
                    self.queue().push(queued);
                }
                return Err(error.into());
            }
        }
        Ok(())
    }

    /// Lets a paused execution run.
    pub async fn resume(&self, by: &Identity, id: RecordId) -> Result<Execution, Problem> {
        self.refuse_if_draining()?;
        let execution = self.steerable(by, id).await?;
        if execution.status != Status::Paused {
            let detail = format!("the execution is {}, not PAUSED", execution.status);
            return Err(Problem::new(Code::RecordConflict, detail));
        }
        let place = self.admission().queue_place()?;
        let ticket = self.store().resume_execution(self.owner_id(), id).await?;
        self.discount_paused();
        // By hand, so whether or not its user was active.
        self.queue().push(super::Queued { place: Some(place), ..super::Queued::new(ticket, None) });
        self.execution(id).await
    }

    /// Starts the same flow with the same input, in its present version.
    pub async fn rerun(&self, by: &Identity, id: RecordId) -> Result<RecordId, Problem> {
        let execution = self.steerable(by, id).await?;
        let missing = || Problem::new(Code::FlowNotFound, "the flow of the execution is gone");
        let version = self.snapshot().active_version(&FlowTarget::Id(execution.flow.id)).ok_or_else(missing)?;
        self.refuse_if_draining()?;
        version.check_input(self, &execution.input_value).await?;
        let start = Start {
            flow: version.flow.clone(),
            webhook: execution.webhook,
            project_id: execution.project_id,
            bundle_id: execution.bundle_id,
            created_by: Some(by.user_id),
            user_id: Some(by.user_id),
            actor: Some(Actor { kind: ActorKind::PropagatedUser, id: by.user_id }),
            lineage: Lineage::default(),
            priority: execution.priority,
            concurrency: None,
            is_productive: execution.is_productive,
            input: execution.input_value,
            request: None,
            key: None,
            budget: self.limits().budget,
            is_durable: true,
        };
        self.accept(start, None).await
    }

    /// Switches an execution of development mode to productive; a paused one then runs.
    pub async fn set_productive(&self, by: &Identity, id: RecordId) -> Result<Execution, Problem> {
        let execution = self.steerable(by, id).await?;
        if execution.status != Status::Paused {
            if execution.is_productive {
                return Ok(execution);
            }
            let detail = "only an execution that is paused in development mode can be switched";
            return Err(Problem::new(Code::RecordConflict, detail));
        }
        if !execution.is_productive {
            self.store().set_productive(id, true).await?;
        }
        self.resume(by, id).await
    }
}
