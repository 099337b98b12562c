//! Executions as they are shown: those in memory as they stand, the others as the store has them.

use flowhost_model::{Access, Execution, LogLine, Operation, RawValue, RecordId, RecordType, Status, definition};
use flowhost_store::{ExecutionParts, ExecutionQuery};
use indexmap::IndexMap;
use serde_json::{Value, json};

use crate::access::Reach;
use crate::host::Host;
use crate::identity::Identity;
use crate::problem::{Code, Problem};
use crate::record::{List, ListRequest, Parents, one_of};

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
    ///
    /// Where the request names its fields and `input_value`, `output_value` or `failure` is not among them, that is not read:
    /// the input is `null`, the outputs are empty, the failure is none.
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
            parts: ExecutionParts {
                input: request.shows("input_value"),
                output: request.shows("output_value"),
                failure: request.shows("failure"),
            },
            in_projects,
        };
        if query.limit == 0 {
            return Ok(List { items: Vec::new(), next: None });
        }
        let page = self.store().query_executions(query.clone()).await?;
        let mut list = List { items: page.executions, next: page.next };
        self.bring_up_to_date(&mut list.items, query.parts).await?;
        self.end_page(&mut list, query).await?;
        Ok(list)
    }

    /// Puts executions of a page as they stand now in the place of those that the store had.
    async fn bring_up_to_date(&self, page: &mut [Execution], parts: ExecutionParts) -> Result<(), Problem> {
        let mut left = Vec::new();
        for (place, execution) in page.iter_mut().enumerate().filter(|(_, execution)| !execution.status.is_ended()) {
            if let Some(live) = self.registry().get(execution.id) {
                *execution = live.execution_with(parts);
            } else if matches!(execution.status, Status::Scheduled | Status::Running) {
                // It may have left memory since the page was read.
                left.push((place, execution.id));
            }
        }
        if left.is_empty() {
            return Ok(());
        }
        let filter = Some(one_of(left.iter().map(|(_, id)| *id)));
        let limit = u32::try_from(left.len()).unwrap_or(u32::MAX);
        let query = ExecutionQuery { filter, limit, parts, ..ExecutionQuery::default() };
        for execution in self.store().query_executions(query).await?.executions {
            if let Some((place, _)) = left.iter().find(|(_, id)| *id == execution.id) {
                page[*place] = execution;
            }
        }
        Ok(())
    }

    /// Ends a page where it has as many bytes as it may have: those that are in memory may have more than the store knew.
    async fn end_page(&self, list: &mut List<Execution>, query: ExecutionQuery) -> Result<(), Problem> {
        let Some(mut room) = query.page_bytes else { return Ok(()) };
        let fitting = list.items.iter().take_while(|execution| {
            let has_room = room > 0;
            let bytes = execution.input_value.get().len() + execution.output_value.get().len();
            room = room.saturating_sub(bytes);
            has_room
        });
        let fitting = fitting.count();
        let Some(beyond) = list.items.get(fitting) else { return Ok(()) };
        // The place between the two, in the order of the list.
        let around = list.items[..fitting].iter().chain([beyond]).map(|execution| execution.id);
        let query = ExecutionQuery {
            filter: Some(one_of(around)),
            after: None,
            limit: u32::try_from(fitting).unwrap_or(u32::MAX),
            page_bytes: None,
            parts: ExecutionParts::NONE,
            ..query
        };
        list.next = self.store().query_executions(query).await?.next;
        list.items.truncate(fitting);
        Ok(())
    }

    /// Executions as the API shows them: what every record has, and their own; of these the `fields`, or all of them. Input
    /// and outputs are the JSON text that was written.
    pub async fn execution_members(
        &self,
        executions: &[Execution],
        fields: Option<&[String]>,
    ) -> Result<Vec<IndexMap<String, Box<RawValue>>>, Problem> {
        let parents = executions.iter().flat_map(|execution| [execution.project_id, execution.bundle_id]);
        let parents = self.parents(parents).await?;
        executions.iter().map(|execution| self.members_with(execution, fields, &parents)).collect()
    }

    fn members_with(
        &self,
        execution: &Execution,
        fields: Option<&[String]>,
        parents: &Parents,
    ) -> Result<IndexMap<String, Box<RawValue>>, Problem> {
        let (project, bundle) = (parents.get(execution.project_id), parents.get(execution.bundle_id));
        let own = serde_json::to_string(execution).map_err(Problem::host)?;
        let mut own: IndexMap<String, Box<RawValue>> = serde_json::from_str(&own).map_err(Problem::host)?;
        let is_shown = |name: &str| fields.is_none_or(|fields| fields.iter().any(|field| field == name));
        let members = definition(RecordType::Execution)
            .all_properties()
            .filter(|property| property.access != Access::WriteOnly && is_shown(property.name));
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
