//! Flows: deployed as versions that never change, callable as programs.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use flowhost_engine::{Engine, Program};
use flowhost_model::{
    Digest, Flow, FlowMetadata, FlowOptions, FlowRef, FlowVersion, Operation, RawValue, Record, RecordId, RecordType,
    bounded_line, json_memory,
};
use flowhost_store::{Expected, RecordWrite, Store, StoredRecord, Write};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::sync::OnceCell;

use crate::host::Host;
use crate::identity::Identity;
use crate::json_schema::{self, Schema};
use crate::outgoing::AllowList;
use crate::problem::{Code, Problem};
use crate::record::{Effect, RecordChange, RecordView, may_read};

/// The largest input, in bytes, that is held against its schema right where it is: what is larger may take long, and others
/// wait for the thread.
const CHECKED_AT_ONCE: usize = 16 << 10;

/// The memory, in bytes, that an input may take while it is held against its schema beside any others.
const MEMORY_AT_ONCE: usize = 16 << 20;

/// The longest reason that is told of what a flow says about itself, in bytes. It may repeat what the flow says.
const REASON_LIMIT: usize = 1_000;

/// What a deployment did.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Deployed {
    /// The flow, with its new active version.
    pub flow: Record<Flow>,
    /// The version that is active now.
    pub version: FlowVersion,
    /// Whether the flow was made by this deployment.
    pub is_new_flow: bool,
    /// Whether the same component was active before; then there is no new version.
    pub is_unchanged: bool,
}

/// What a flow says it needs and does not have yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Missing {
    /// Lines that the flow's `options.http_allow` lacks.
    pub hosts_of_flow: Vec<String>,
    /// Lines that the host's `http_allow` lacks.
    pub hosts_of_host: Vec<String>,
    /// Secrets that are not there, or may not be read.
    pub secrets: Vec<String>,
}

/// Refuses what a flow says about itself where nothing can come of it.
fn check_metadata(metadata: Option<&FlowMetadata>) -> Result<(), Problem> {
    let hosts = metadata.iter().flat_map(|metadata| &metadata.hosts);
    let wrong = |error| {
        let reason = bounded_line(format_args!("`hosts`: {error}"), REASON_LIMIT);
        flowhost_engine::InvalidComponent::Metadata(reason)
    };
    AllowList::new(hosts).map_err(wrong).map_err(flowhost_engine::CompileError::Invalid)?;
    let schemas = metadata
        .iter()
        .flat_map(|metadata| [("input_schema", &metadata.input_schema), ("output_schema", &metadata.output_schema)]);
    for (member, schema) in schemas {
        let wrong = |error| flowhost_engine::InvalidComponent::Metadata(format!("`{member}`: {error}"));
        let compiled = schema.as_ref().map(json_schema::compile).transpose().map_err(wrong);
        compiled.map_err(flowhost_engine::CompileError::Invalid)?;
    }
    Ok(())
}

/// The version of a flow that new executions run.
#[derive(Clone)]
pub(crate) struct ActiveVersion {
    pub(crate) flow: FlowRef,
    pub(crate) project_id: Option<RecordId>,
    pub(crate) bundle_id: Option<RecordId>,
    /// How its executions are queued and limited.
    pub(crate) options: FlowOptions,
    /// Where its executions may send requests, as far as the host permits it.
    pub(crate) http_allow: Arc<AllowList>,
    /// How its input is checked before it runs.
    pub(crate) input_check: InputCheck,
    /// Loaded at its first use, or before.
    pub(crate) program: Arc<OnceCell<Program>>,
}

/// How the input of a flow is checked before the flow runs.
#[derive(Clone)]
pub(crate) enum InputCheck {
    /// The flow's options do not ask for it.
    Unchecked,
    /// The input must fit this schema.
    Against(Arc<Schema>),
    /// The options ask for it, and an earlier version of the host took a schema that this one does not. No input is let in:
    /// the flow relies on the check.
    Impossible,
}

impl InputCheck {
    /// Returns the check that the options and the schema of a version ask for. If there can be none, the log says why.
    pub(crate) fn of(flow: &str, options: &FlowOptions, metadata: Option<FlowMetadata>) -> Self {
        let schema = metadata.and_then(|metadata| metadata.input_schema);
        let Some(schema) = schema.filter(|_| options.validate_input == Some(true)) else { return Self::Unchecked };
        match json_schema::compile(&schema) {
            Ok(schema) => Self::Against(Arc::new(schema)),
            Err(error) => {
                let advice = "deploy a version with a schema that this host can use, or clear `options.validate_input`";
                tracing::warn!(flow, error, advice, "calls of the flow are refused: its `input_schema` cannot be used");
                Self::Impossible
            }
        }
    }
}

impl ActiveVersion {
    /// Refuses the payload of a webhook call that does not fit, where the flow's options want it checked.
    ///
    /// Problem: `flow.invalid-input`, with the places and reasons; `flow.invalid-schema` if the host cannot check any input;
    /// `host.busy` where a large one does not get its turn.
    pub(crate) async fn check_payload(&self, host: &Host, payload: &RawValue) -> Result<(), Problem> {
        self.check(host, payload, |payload| payload).await
    }

    /// [`Self::check_payload`] of another start's input. What a webhook call gave, for example to an execution that is cloned,
    /// is checked by its payload.
    pub(crate) async fn check_input(&self, host: &Host, input: &RawValue) -> Result<(), Problem> {
        fn payload_of(input: &Value) -> &Value {
            let is_of_webhook = ["headers", "method", "path", "query"].iter().all(|member| input.get(member).is_some());
            input.get("json").filter(|_| is_of_webhook).unwrap_or(input)
        }
        self.check(host, input, payload_of).await
    }

    async fn check(&self, host: &Host, input: &RawValue, checked: fn(&Value) -> &Value) -> Result<(), Problem> {
        let schema = match &self.input_check {
            InputCheck::Unchecked => return Ok(()),
            InputCheck::Against(schema) => schema.clone(),
            InputCheck::Impossible => {
                let detail = "the flow's input cannot be checked, so the flow did not run; the host's log says why";
                return Err(Problem::new(Code::FlowInvalidSchema, detail));
            }
        };
        let what = format!("the input does not fit the flow `{}`", self.flow.name);
        let size = input.get().len();
        if size <= CHECKED_AT_ONCE && schema.is_quick(size) {
            return check(&schema, &what, input, checked);
        }
        let is_large = json_memory(input.get().as_bytes()) > MEMORY_AT_ONCE;
        let room = if is_large { Some(host.admission().large_check(self.flow.id).await?) } else { None };
        let input = input.to_owned();
        let check = move || {
            // With the check, which goes on after its caller has left.
            let _room = room;
            check(&schema, &what, &input, checked)
        };
        host.run_blocking(self.flow.id, check).await?
    }
}

fn check(schema: &Schema, what: &str, input: &RawValue, checked: fn(&Value) -> &Value) -> Result<(), Problem> {
    let input: Value = serde_json::from_str(input.get())
        .map_err(|error| Problem::new(Code::FlowInvalidInput, format!("{what}: it cannot be checked: {error}")))?;
    let violations = schema.violations(checked(&input));
    if violations.is_empty() { Ok(()) } else { Err(Problem::invalid(Code::FlowInvalidInput, what, violations)) }
}

/// Programs by the digest of their component: two flows of the same bytes share one.
#[derive(Clone)]
pub(crate) struct Programs {
    engine: Engine,
    store: Arc<dyn Store>,
    cells: Arc<Mutex<HashMap<Digest, Arc<OnceCell<Program>>>>>,
}

impl Programs {
    pub(crate) fn new(engine: Engine, store: Arc<dyn Store>) -> Self {
        Self { engine, store, cells: Arc::default() }
    }

    /// The place of a program, whether or not it is loaded.
    pub(crate) fn cell(&self, digest: Digest) -> Arc<OnceCell<Program>> {
        let mut cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that only this map holds belong to versions that are no longer active.
        if cells.len() >= 64 && cells.len().is_power_of_two() {
            cells.retain(|_, cell| Arc::strong_count(cell) > 1);
        }
        cells.entry(digest).or_default().clone()
    }

    /// The program: at hand, or loaded from its artifact, or compiled anew.
    pub(crate) async fn get(&self, digest: Digest, cell: &OnceCell<Program>) -> Result<Program, Problem> {
        cell.get_or_try_init(|| async {
            if let Some(program) = self.engine.load(digest).await? {
                return Ok(program);
            }
            let component = self.store.component(digest).await?;
            let missing = || Problem::new(Code::FlowNotFound, format!("the component {digest} is gone"));
            let component = component.ok_or_else(missing)?;
            Ok(self.engine.compile(digest, component).await?)
        })
        .await
        .cloned()
    }
}

impl Host {
    /// Makes a component the active version of the flow of this name, which is made if there is none.
    ///
    /// The component is checked and compiled first; nothing is kept of one that is refused, and the former version stays
    /// active. Calls under way end with the version that they began with.
    pub async fn deploy(&self, name: &str, component: Vec<u8>) -> Result<Deployed, Problem> {
        self.deploy_as(&self.admin(), name, component, None).await
    }

    /// [`Host::deploy`] in the name of a user, who may say why.
    pub async fn deploy_as(
        &self,
        by: &Identity,
        name: &str,
        component: Vec<u8>,
        commit_message: Option<String>,
    ) -> Result<Deployed, Problem> {
        let name = &*flowhost_model::normalize_name(name)?;
        // What may not be done is refused before anything is compiled for it.
        let former = self.store().record_by_name(RecordType::Flow, name).await?;
        match &former {
            Some(former) if may_read(by, former) => {
                self.permit(by, Operation::Update, RecordType::Flow, former.meta.project_id)?;
            }
            // As for any record that is made under a name that is taken.
            Some(_) => {
                self.permit(by, Operation::Create, RecordType::Flow, Some(self.default_project()))?;
                return Err(Problem::new(Code::NameTaken, format!("there is a FLOW named `{name}` already")));
            }
            None => self.permit(by, Operation::Create, RecordType::Flow, Some(self.default_project()))?,
        }
        let size = component.len() as u64;
        let (component, digest, metadata) = self.examine(component).await?;
        let cell = self.programs().cell(digest);
        cell.get_or_try_init(|| async {
            if let Some(program) = self.engine().load(digest).await? {
                return Ok::<_, flowhost_engine::CompileError>(program);
            }
            let _turn = self.compiling_turn(by).await;
            self.engine().compile(digest, component.clone()).await
        })
        .await?;

        let _writing = self.writing(by.user_id).await;
        let former = self.store().record_by_name(RecordType::Flow, name).await?;
        let is_new_flow = former.is_none();
        let (mut flow, expected) = match former {
            Some(stored) => {
                self.permit(by, Operation::Update, RecordType::Flow, stored.meta.project_id)?;
                self.refuse_guarded(&stored).await?;
                let expected = Expected::Revision(stored.revision);
                (stored.into_record::<Flow>()?, expected)
            }
            None => {
                let mut flow = Record::new(name, Some(by.user_id), Flow::default(), self.now())?;
                flow.meta.project_id = Some(self.default_project());
                self.refuse_readonly_parent(&flow.meta).await?;
                (flow, Expected::Absent)
            }
        };
        if let Some(active) = flow.body.active_version.filter(|_| flow.body.digest == Some(digest)) {
            let version = self.flow_version(flow.meta.id, active).await?;
            return Ok(Deployed { version, flow, is_new_flow: false, is_unchanged: true });
        }
        let newest = self.store().last_flow_version(flow.meta.id).await?;
        let version = FlowVersion {
            flow_id: flow.meta.id,
            version: newest.unwrap_or(0) + 1,
            digest,
            size,
            created_at: self.now(),
            created_by: Some(by.user_id),
            metadata,
        };
        let added = Write::FlowVersion { version: version.clone(), component };
        let bound = match expected {
            Expected::Absent => self.bind_webhooks(by, flow.meta.id, name).await?,
            Expected::Revision(_) => RecordChange::default(),
        };
        self.activate(by, &mut flow, &version, expected, Some(added), commit_message, bound).await?;
        Ok(Deployed { flow, version, is_new_flow, is_unchanged: false })
    }

    /// Checks a component and reads what it says about itself. Returns it with both.
    async fn examine(&self, component: Vec<u8>) -> Result<(Vec<u8>, Digest, Option<FlowMetadata>), Problem> {
        let engine = self.engine().clone();
        // It is as large as its author likes, and calls need the thread that this is called on.
        let examined = tokio::task::spawn_blocking(move || -> Result<_, Problem> {
            engine.check(&component).map_err(flowhost_engine::CompileError::Invalid)?;
            let metadata = engine.metadata(&component).map_err(flowhost_engine::CompileError::Invalid)?;
            check_metadata(metadata.as_ref())?;
            let digest = Digest(Sha256::digest(&component).into());
            Ok((component, digest, metadata))
        });
        examined.await.map_err(Problem::host)?
    }

    /// Makes an earlier version of a flow the active one again.
    pub async fn activate_version(
        &self,
        by: &Identity,
        flow: RecordId,
        version: u32,
        commit_message: Option<String>,
    ) -> Result<Deployed, Problem> {
        let readable = self.readable(by, RecordType::Flow, flow).await?;
        self.permit(by, Operation::Update, RecordType::Flow, readable.meta.project_id)?;
        let version = self.flow_version(flow, version).await?;
        let cell = self.programs().cell(version.digest);
        self.programs().get(version.digest, &cell).await?;

        let _writing = self.writing(by.user_id).await;
        let stored = self.readable(by, RecordType::Flow, flow).await?;
        self.permit(by, Operation::Update, RecordType::Flow, stored.meta.project_id)?;
        self.refuse_guarded(&stored).await?;
        let expected = Expected::Revision(stored.revision);
        let mut flow = stored.into_record::<Flow>()?;
        let is_unchanged = flow.body.active_version == Some(version.version);
        if !is_unchanged {
            let others = RecordChange::default();
            self.activate(by, &mut flow, &version, expected, None, commit_message, others).await?;
        }
        Ok(Deployed { flow, version, is_new_flow: false, is_unchanged })
    }

    /// A flow as it is read, for the user who has just changed it.
    pub async fn view_deployed(&self, deployed: &Deployed) -> Result<RecordView, Problem> {
        let id = deployed.flow.meta.id;
        let stored = self.store().record(id).await?;
        self.view(stored.ok_or_else(|| Problem::new(Code::RecordNotFound, format!("there is no flow `{id}`")))?).await
    }

    #[allow(clippy::too_many_arguments)] // The parts of one change.
    async fn activate(
        &self,
        by: &Identity,
        flow: &mut Record<Flow>,
        version: &FlowVersion,
        expected: Expected,
        added: Option<Write>,
        commit_message: Option<String>,
        others: RecordChange,
    ) -> Result<(), Problem> {
        flow.body.active_version = Some(version.version);
        flow.body.digest = Some(version.digest);
        flow.body.metadata = version.metadata.clone();
        flow.meta.modified_at = self.now();
        flow.meta.modified_by = Some(by.user_id);
        let record = StoredRecord::from_record(flow)?;
        let write = RecordWrite { record: record.clone(), expected, commit_message, is_remembered: true };
        let writes = std::iter::once(Write::Record(write)).chain(added).collect();
        let mut change = RecordChange { writes, effects: vec![Effect::Written(record)] };
        change.extend(others);
        self.commit(change).await?;
        Ok(())
    }

    /// What a deployed version says it needs, and does not have yet as far as the identity can see.
    pub fn missing(&self, by: &Identity, deployed: &Deployed) -> Missing {
        let Some(metadata) = &deployed.version.metadata else { return Missing::default() };
        let of_flow = deployed.flow.body.options.as_ref().and_then(|options| options.http_allow.as_deref());
        let of_flow = AllowList::new(of_flow.unwrap_or_default()).unwrap_or_default();
        let of_host = self.outgoing().allow();
        let lacks = |list: &AllowList| -> Vec<String> {
            metadata.hosts.iter().filter(|line| !list.covers(line)).cloned().collect()
        };
        let secrets = metadata.secrets.iter().filter(|name| self.secrets().find(by, name).is_err()).cloned().collect();
        Missing { hosts_of_flow: lacks(&of_flow), hosts_of_host: lacks(of_host), secrets }
    }

    /// The versions of a flow, newest first.
    pub async fn flow_versions(&self, by: &Identity, flow: RecordId) -> Result<Vec<FlowVersion>, Problem> {
        self.readable(by, RecordType::Flow, flow).await?;
        Ok(self.store().flow_versions(flow).await?)
    }

    /// The component of one version of a flow.
    pub async fn component(&self, by: &Identity, flow: RecordId, version: u32) -> Result<Vec<u8>, Problem> {
        self.readable(by, RecordType::Flow, flow).await?;
        let version = self.flow_version(flow, version).await?;
        let component = self.store().component(version.digest).await?;
        component.ok_or_else(|| Problem::host(format!("the component {} is gone", version.digest)))
    }

    async fn flow_version(&self, flow: RecordId, version: u32) -> Result<FlowVersion, Problem> {
        let missing = || Problem::new(Code::RecordNotFound, format!("the flow has no version {version}"));
        self.store().flow_version(flow, version).await?.ok_or_else(missing)
    }

    /// The version's program, ready to be called.
    pub(crate) async fn program(&self, version: &ActiveVersion) -> Result<Program, Problem> {
        match version.program.get() {
            Some(program) => Ok(program.clone()),
            None => {
                let digest = version.flow.digest;
                let program = self.programs().get(digest, &version.program).await;
                match &program {
                    Ok(_) => {
                        self.unusable().remove(&digest);
                    }
                    // Of a host without memory nothing follows for the component.
                    Err(problem) if problem.code == Code::HostBusy => {}
                    Err(_) => {
                        self.unusable().insert(digest);
                    }
                }
                // It was valid when it was uploaded: that it is not any more is nothing a caller can mend.
                program.map_err(|problem| match problem.code {
                    Code::ComponentInvalid | Code::FlowNotFound => Problem::host(problem.detail),
                    _ => problem,
                })
            }
        }
    }
}
