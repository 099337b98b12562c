//! Executions as they are shown: those in memory as they stand, the others as the store has them.

use flowhost_model::{Execution, LogLine, Operation, RawValue, RecordId, RecordType, Status};
use flowhost_store::ExecutionQuery;
use indexmap::IndexMap;
use serde_json::{Value, json};

use crate::access::Reach;
use crate::host::Host;
use crate::identity::Identity;
use crate::problem::{Code, Problem};
use crate::record::{List, ListRequest, Parents};

fn no_execution(id: RecordId) -> Problem {
    Problem::new(Code::RecordNotFound, format!("there is no execution `{id}`"))
}

impl Host {
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
        // Held, so that no line is on its way to the store.
        let _recorded = live.recorded().lock().await;
        // What it wrote before it left memory is there. A log is small.
        let mut lines = self.store().execution_log(id, 0, u32::MAX).await?;
        let is_whole = live.has_left() || self.store().execution(id).await?.is_some_and(|kept| kept.status.is_ended());
        if !is_whole {
            lines.extend(live.log.lines());
        }
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
            page_bytes: request.page_bytes,
            in_projects,
        };
        if query.limit == 0 {
            return Ok(List { items: Vec::new(), next: None });
        }
        let page = {
            let _turn = self.reading_turn(by).await;
            self.store().query_executions(query).await?
        };
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
}
