//! Executions as they are started, read and steered.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use flowhost_model::{Execution, LogLine, Operation, RawValue, RecordId, RecordType, Status, Timestamp};
use flowhost_store::{ExecutionQuery, ExecutionRow};
use indexmap::IndexMap;
use serde::Serialize;
use serde_json::{Value, json};

use super::{Counted, Live, Start, launch, launch_queued};
use crate::access::Reach;
use crate::flow::ActiveVersion;
use crate::host::Host;
use crate::identity::Identity;
use crate::problem::{Code, Problem};
use crate::record::{List, ListRequest, Parents};
use crate::webhook::FlowTarget;

fn no_execution(id: RecordId) -> Problem {
    Problem::new(Code::RecordNotFound, format!("there is no execution `{id}`"))
}

impl Host {
    /// Runs a flow and waits for its end. `input` is what the flow is given.
    ///
    /// An execution that did not succeed is a problem that carries it.
    pub async fn call(&self, flow: &str, input: impl Serialize) -> Result<Execution, Problem> {
        let (start, version) = self.start(&self.admin(), flow, input, false)?;
        let program = self.program(&version).await?;
        let slot = self.launch_context().admission.slot().await?;
        let live = Arc::new(Live::new(start)?);
        let ended = launch(self.launch_context(), live.clone(), program, slot, None);
        self.wait_for(live, ended, self.limits().wait).await
    }

    /// Accepts an execution durably, lets it run by itself, and gives its id.
    pub async fn call_async(&self, flow: &str, input: impl Serialize) -> Result<RecordId, Problem> {
        let (start, version) = self.start(&self.admin(), flow, input, true)?;
        self.accept(start, &version, None).await
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
            is_productive: true,
            input,
            request: None,
            budget: self.limits().budget,
            is_durable,
        };
        Ok((start, version))
    }

    /// Commits an execution to the store and lets it run when there is a slot.
    pub(crate) async fn accept(
        &self,
        start: Start,
        version: &ActiveVersion,
        counted: Option<Counted>,
    ) -> Result<RecordId, Problem> {
        let context = self.launch_context();
        let place = context.admission.queue_place()?;
        let live = Arc::new(Live::new(start)?);
        let id = live.id;
        let (context, program) = (context.clone(), version.program.clone());
        // In a task of its own: what the store has taken must run, also if the caller leaves before the answer.
        let accepted = tokio::spawn(async move {
            live.record(&*context.store).await?;
            launch_queued(&context, live, program, Some(place), counted);
            Ok(id)
        });
        accepted.await.map_err(Problem::host)?
    }

    /// Commits an execution to the store, where it waits for somebody to resume it.
    pub(crate) async fn accept_paused(&self, start: Start) -> Result<RecordId, Problem> {
        let paused = self.paused();
        let limit = self.limits().queued;
        let counted =
            paused.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| (count < limit).then_some(count + 1));
        if counted.is_err() {
            return Err(Problem::new(Code::HostBusy, "too many paused executions wait for somebody to resume them"));
        }
        let live = Live::new(start)?;
        let recorded = live.record_paused(&*self.launch_context().store).await;
        if recorded.is_err() {
            paused.fetch_sub(1, Ordering::Relaxed);
        }
        recorded.map(|()| live.id)
    }

    /// Whether the user was active lately enough for executions in development mode.
    pub(crate) fn is_active(&self, user: Option<RecordId>) -> bool {
        let last = user.and_then(|user| self.last_activity(user));
        last.is_some_and(|last| last.saturating_add(self.limits().development) >= Timestamp::now())
    }

    /// The execution with this id, running or ended.
    pub async fn execution(&self, id: RecordId) -> Result<Execution, Problem> {
        // In this order: an execution leaves the registry only after its end is in the store.
        if let Some(live) = self.launch_context().registry.get(id) {
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
        if let Some(live) = self.launch_context().registry.get(id) {
            let from = usize::try_from(from).unwrap_or(usize::MAX);
            return Ok(live.log.lines().into_iter().skip(from).take(limit as usize).collect());
        }
        Ok(self.store().execution_log(id, from, limit).await?)
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
            if let Some(live) = self.launch_context().registry.get(execution.id) {
                *execution = live.execution();
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

    /// Ends an execution that has not ended. Gives it as it stood when it was told.
    pub async fn cancel(&self, by: &Identity, id: RecordId) -> Result<Execution, Problem> {
        let mut execution = self.steerable(by, id).await?;
        if let Some(live) = self.launch_context().registry.get(id) {
            live.cancelled.cancel();
            return Ok(live.execution());
        }
        if execution.status.is_ended() {
            return Ok(execution);
        }
        if execution.status == Status::Paused && self.take_paused(id).await.is_err() {
            // Somebody else resumed it.
            if let Some(live) = self.launch_context().registry.get(id) {
                live.cancelled.cancel();
            }
            return self.execution(id).await;
        }
        execution.status = Status::EndedCancelled;
        execution.status_message = Some("cancelled".into());
        execution.ended_at = Some(Timestamp::now());
        match self.store().end_execution(execution.clone(), Vec::new(), true).await {
            // It ended meanwhile.
            Err(flowhost_store::Error::NotFound) => self.execution(id).await,
            Err(error) => Err(error.into()),
            Ok(()) => Ok(execution),
        }
    }

    /// Takes a paused execution, which nobody else can take then.
    async fn take_paused(&self, id: RecordId) -> Result<ExecutionRow, Problem> {
        let row = self.store().take_execution(id).await?;
        self.paused().fetch_sub(1, Ordering::Relaxed);
        Ok(row)
    }

    /// Lets a paused execution run.
    pub async fn resume(&self, by: &Identity, id: RecordId) -> Result<Execution, Problem> {
        self.refuse_if_draining()?;
        let execution = self.steerable(by, id).await?;
        if execution.status != Status::Paused {
            let detail = format!("the execution is {}, not PAUSED", execution.status);
            return Err(Problem::new(Code::RecordConflict, detail));
        }
        let context = self.launch_context();
        let place = context.admission.queue_place()?;
        let row = self.take_paused(id).await?;
        let live = Arc::new(Live::recovered(row, self.limits().budget));
        let program = self.programs().cell(live.flow.digest);
        launch_queued(context, live.clone(), program, Some(place), None);
        Ok(live.execution())
    }

    /// Starts the same flow with the same input, in its present version.
    pub async fn rerun(&self, by: &Identity, id: RecordId) -> Result<RecordId, Problem> {
        let execution = self.steerable(by, id).await?;
        let missing = || Problem::new(Code::FlowNotFound, "the flow of the execution is gone");
        let version = self.snapshot().active_version(&FlowTarget::Id(execution.flow.id)).ok_or_else(missing)?;
        self.refuse_if_draining()?;
        let start = Start {
            flow: version.flow.clone(),
            webhook: execution.webhook,
            project_id: execution.project_id,
            bundle_id: execution.bundle_id,
            created_by: Some(by.user_id),
            user_id: Some(by.user_id),
            is_productive: execution.is_productive,
            input: execution.input_value,
            request: None,
            budget: self.limits().budget,
            is_durable: true,
        };
        self.accept(start, &version, None).await
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
