//! The host: built once, shared by clones.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use data_encoding::BASE64URL_NOPAD;
use flowhost_engine::{Compiler, Engine, Pooling};
use flowhost_model::{
    Execution, LogLine, RawValue, Record, RecordId, RecordType, Timestamp, User, Workspace, normalize_name,
};
use flowhost_store::sqlite::{SqliteOptions, SqliteStore};
use flowhost_store::{ExecutionFilter, Expected, Page, RecordWrite, Recovered, Store, StoreStats, StoredRecord, Write};
use serde::Serialize;
use tokio::sync::{Mutex, MutexGuard};

use crate::capability::{Capability, ExecutionCapability, RequestCapability};
use crate::execution::{Admission, Launch, Live, Registry, Start, launch, launch_queued};
use crate::flow::Programs;
use crate::identity::{ADMIN, Identity, token_digest};
use crate::limits::Limits;
use crate::problem::{Code, Problem};
use crate::snapshot::Snapshot;
use crate::ticket::Tickets;
use crate::webhook::{Address, FlowTarget, Route};

/// Where a host's first token is written, in its data folder.
const OPERATOR_TOKEN: &str = "operator-token";

/// Where compiled components are kept, in the data folder.
const ARTIFACTS: &str = "artifacts";

/// A host. Cheap to clone; all clones are the same host.
#[derive(Clone)]
pub struct Host {
    shared: Arc<Shared>,
}

struct Shared {
    info: HostInfo,
    limits: Limits,
    store: Arc<dyn Store>,
    engine: Engine,
    launch: Launch,
    snapshot: ArcSwap<Snapshot>,
    /// Held while a record is read, changed and written, so that snapshots follow the writes in their order.
    writing: Mutex<()>,
    tickets: Tickets,
    admin: Identity,
    is_draining: AtomicBool,
}

/// What a host says about itself.
#[derive(Clone, Debug, Serialize)]
pub struct HostInfo {
    /// The workspace's name: the client in the addresses of the setting form.
    pub workspace: String,
    /// Where its data are.
    pub data: PathBuf,
    /// Whether instances come from a pool.
    pub is_pooled: bool,
    /// What it found of the process before it.
    pub recovered: u64,
    /// Executions that the process before it left behind and that are not run again.
    pub interrupted: u64,
}

/// What a host is made of.
pub struct HostBuilder {
    data: PathBuf,
    workspace: String,
    limits: Limits,
    compiler: Compiler,
    pooling: Pooling,
    capabilities: Vec<Box<dyn Capability>>,
}

impl HostBuilder {
    /// The folder of the data. It is made if it is not there. `./flowhost-data` unless set.
    pub fn data(mut self, folder: impl Into<PathBuf>) -> Self {
        self.data = folder.into();
        self
    }

    /// The workspace's name. `default` unless set.
    pub fn workspace(mut self, name: impl Into<String>) -> Self {
        self.workspace = name.into();
        self
    }

    /// The limits.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Where components are compiled. In this process unless set; a program that takes flows from strangers should let
    /// itself be started as the compiler, with [`worker_main`](crate::worker_main).
    pub fn compiler(mut self, compiler: Compiler) -> Self {
        self.compiler = compiler;
        self
    }

    /// How instances get their memory.
    pub fn pooling(mut self, pooling: Pooling) -> Self {
        self.pooling = pooling;
        self
    }

    /// Offers flows what this capability links.
    pub fn capability(mut self, capability: impl Capability) -> Self {
        self.capabilities.push(Box::new(capability));
        self
    }

    /// Opens the data, starts the engine, and goes on with the executions that a former process left behind.
    ///
    /// At the first start this makes the workspace and the user `admin`, and writes a token of that user to the file
    /// `operator-token` in the data folder, which only the owner of the process may read.
    pub async fn build(self) -> Result<Host, Problem> {
        let workspace = normalize_name(&self.workspace)?.to_owned();
        let options = SqliteOptions { max_bytes: self.limits.data_bytes, ..SqliteOptions::default() };
        let store = open_store(&self.data, options).await?;
        let mut builder = Engine::builder(self.pooling, self.limits.executions).map_err(unusable)?;
        let mut capabilities: Vec<Box<dyn Capability>> =
            vec![Box::new(ExecutionCapability), Box::new(RequestCapability)];
        capabilities.extend(self.capabilities);
        for capability in &capabilities {
            builder.link(capability.interfaces(), |linker| capability.link(linker)).map_err(unusable)?;
        }
        let engine = builder.build(&self.data.join(ARTIFACTS), self.compiler, self.limits.compile).map_err(unusable)?;

        let programs = Programs::new(engine.clone(), store.clone());
        let mut snapshot = Snapshot::default();
        for record_type in [RecordType::Flow, RecordType::Webhook, RecordType::Setting, RecordType::User] {
            for stored in store.records(record_type).await? {
                snapshot.apply(stored, &programs)?;
            }
        }
        ensure_workspace(&*store, &workspace).await?;
        let admin = ensure_admin(&*store, &self.data, &mut snapshot, &programs).await?;
        let key = ticket_key(&*store).await?;
        let Recovered { again, interrupted } = store.recover(Timestamp::now()).await?;

        let limits = self.limits;
        let shared = Shared {
            info: HostInfo {
                workspace,
                data: self.data,
                is_pooled: engine.is_pooled(),
                recovered: again.len() as u64,
                interrupted,
            },
            launch: Launch {
                store: store.clone(),
                registry: Registry::default(),
                admission: Admission::new(limits.executions, limits.queued, limits.admission_wait),
                capabilities: capabilities.into(),
                programs,
            },
            tickets: Tickets::new(key, limits.ticket),
            limits,
            store,
            engine,
            snapshot: ArcSwap::from_pointee(snapshot),
            writing: Mutex::new(()),
            admin,
            is_draining: AtomicBool::new(false),
        };
        let host = Host { shared: Arc::new(shared) };
        for row in again {
            let live = Arc::new(Live::recovered(row, host.shared.limits.budget));
            let program = host.programs().cell(live.flow.digest);
            launch_queued(host.launch_context(), live, program, None, None);
        }
        host.compile_missing();
        Ok(host)
    }
}

fn unusable(error: flowhost_engine::EngineError) -> Problem {
    Problem::new(Code::HostError, error.to_string())
}

async fn open_store(folder: &Path, options: SqliteOptions) -> Result<Arc<dyn Store>, Problem> {
    let folder = folder.to_owned();
    let opened = tokio::task::spawn_blocking(move || SqliteStore::open(&folder, options)).await;
    let store = opened.map_err(Problem::host)?;
    // Whoever builds a host is told all of it: that is who can mend it.
    Ok(Arc::new(store.map_err(|error| Problem::new(Code::HostError, error.to_string()))?))
}

async fn ensure_workspace(store: &dyn Store, name: &str) -> Result<(), Problem> {
    if store.records(RecordType::Workspace).await?.is_empty() {
        let record = StoredRecord::from_record(&Record::new(name, None, Workspace {})?)?;
        store.write(vec![Write::Record(RecordWrite { record, expected: Expected::Absent })]).await?;
    }
    Ok(())
}

/// Makes sure that there is a user `admin` with a token in the data folder. Whoever owns the folder owns the host, so that
/// a token whose file is gone is replaced.
async fn ensure_admin(
    store: &dyn Store,
    folder: &Path,
    snapshot: &mut Snapshot,
    programs: &Programs,
) -> Result<Identity, Problem> {
    let file = folder.join(OPERATOR_TOKEN);
    let former = store.record_by_name(RecordType::User, ADMIN).await?;
    let (mut admin, expected): (Record<User>, _) = match former {
        Some(stored) => {
            let expected = Expected::Revision(stored.revision);
            (stored.into_record()?, expected)
        }
        None => {
            let body = User { is_enabled: true, token_digests: Vec::new() };
            (Record::new(ADMIN, None, body)?, Expected::Absent)
        }
    };
    let identity = Identity { user_id: admin.meta.id, user_name: ADMIN.to_owned() };
    let unreadable = |error: std::io::Error| Problem::new(Code::HostError, format!("{}: {error}", file.display()));
    if expected == Expected::Absent || !file.try_exists().map_err(unreadable)? {
        let token = new_token()?;
        write_token(&file, &token).map_err(unreadable)?;
        admin.body.token_digests = vec![token_digest(&token)];
        let record = StoredRecord::from_record(&admin)?;
        store.write(vec![Write::Record(RecordWrite { record: record.clone(), expected })]).await?;
        snapshot.apply(record, programs)?;
    }
    Ok(identity)
}

fn new_token() -> Result<String, Problem> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(Problem::host)?;
    Ok(format!("fh_{}", BASE64URL_NOPAD.encode(&bytes)))
}

fn write_token(file: &Path, token: &str) -> std::io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    writeln!(file, "{token}")?;
    file.sync_all()
}

async fn ticket_key(store: &dyn Store) -> Result<[u8; 32], Problem> {
    let mut key = [0; 32];
    getrandom::fill(&mut key).map_err(Problem::host)?;
    let kept = store.host_value_or_insert("ticket-key", key.to_vec()).await?;
    kept.try_into().map_err(|_| Problem::host("the ticket key in the store is damaged"))
}

impl Host {
    /// Begins a host with default limits and its data in `./flowhost-data`.
    pub fn builder() -> HostBuilder {
        HostBuilder {
            data: PathBuf::from("./flowhost-data"),
            workspace: "default".into(),
            limits: Limits::default(),
            compiler: Compiler::InProcess,
            pooling: Pooling::Auto,
            capabilities: Vec::new(),
        }
    }

    /// What the host says about itself.
    pub fn info(&self) -> &HostInfo {
        &self.shared.info
    }

    /// The limits.
    pub fn limits(&self) -> &Limits {
        &self.shared.limits
    }

    /// The user in whose name the embedding program acts: `admin`.
    pub fn admin(&self) -> Identity {
        self.shared.admin.clone()
    }

    /// Runs a flow and waits for its end. `input` is what the flow is given.
    ///
    /// An execution that did not succeed is a problem that carries it.
    pub async fn call(&self, flow: &str, input: impl Serialize) -> Result<Execution, Problem> {
        let (start, version) = self.start(flow, input, false)?;
        let program = self.program(&version).await?;
        let slot = self.launch_context().admission.slot().await?;
        let live = Arc::new(Live::new(start)?);
        let ended = launch(self.launch_context(), live.clone(), program, slot, None);
        self.wait_for(live, ended, self.shared.limits.wait).await
    }

    /// Accepts an execution durably, lets it run by itself, and gives its id.
    pub async fn call_async(&self, flow: &str, input: impl Serialize) -> Result<RecordId, Problem> {
        let (start, version) = self.start(flow, input, true)?;
        self.accept(start, &version, None).await
    }

    fn start(
        &self,
        flow: &str,
        input: impl Serialize,
        is_durable: bool,
    ) -> Result<(Start, crate::flow::ActiveVersion), Problem> {
        self.refuse_if_draining()?;
        let target = FlowTarget::Name(flow.to_owned());
        let missing = || Problem::new(Code::FlowNotFound, format!("there is no flow named `{flow}`"));
        let version = self.snapshot().active_version(&target).ok_or_else(missing)?;
        let input: Box<RawValue> = serde_json::value::to_raw_value(&input)
            .map_err(|error| Problem::new(Code::Malformed, format!("the input is not JSON: {error}")))?;
        let start = Start {
            flow: version.flow.clone(),
            webhook: None,
            is_productive: true,
            input,
            request: None,
            budget: self.shared.limits.budget,
            is_durable,
        };
        Ok((start, version))
    }

    /// The execution with this id, running or ended.
    pub async fn execution(&self, id: RecordId) -> Result<Execution, Problem> {
        // In this order: an execution leaves the registry only after its end is in the store.
        if let Some(live) = self.shared.launch.registry.get(id) {
            return Ok(live.execution());
        }
        self.shared.store.execution(id).await?.ok_or_else(|| no_execution(id))
    }

    /// The log of an execution, running or ended, from line `from` and at most `limit` lines.
    pub async fn execution_log(&self, id: RecordId, from: u64, limit: u32) -> Result<Vec<LogLine>, Problem> {
        if let Some(live) = self.shared.launch.registry.get(id) {
            let from = usize::try_from(from).unwrap_or(usize::MAX);
            return Ok(live.log.lines().into_iter().skip(from).take(limit as usize).collect());
        }
        let log = self.shared.store.execution_log(id, from, limit).await?;
        if log.is_empty() {
            self.execution(id).await?;
        }
        Ok(log)
    }

    /// Executions that the store has, newest first, as they stand now. A synchronous one is there once it ended or ran for
    /// a second.
    pub async fn executions(&self, filter: ExecutionFilter, page: Page) -> Result<Vec<Execution>, Problem> {
        let mut executions = self.shared.store.executions(filter, page).await?;
        for execution in executions.iter_mut().filter(|execution| !execution.status.is_ended()) {
            if let Some(live) = self.shared.launch.registry.get(execution.id) {
                *execution = live.execution();
            }
        }
        Ok(executions)
    }

    /// Ends an execution that has not ended. Gives it as it stood when it was told.
    pub async fn cancel(&self, id: RecordId) -> Result<Execution, Problem> {
        if let Some(live) = self.shared.launch.registry.get(id) {
            live.cancelled.cancel();
            return Ok(live.execution());
        }
        self.execution(id).await
    }

    /// The webhook that can be called at this address.
    ///
    /// Problem: `webhook.not-found`, whether there is none, it is disabled, or its flow does not exist.
    pub fn webhook_route(&self, address: &Address) -> Result<Arc<Route>, Problem> {
        let not_found = || Problem::new(Code::WebhookNotFound, "no webhook can be called at this address");
        if let Address::Setting { client, .. } = address
            && *client != self.shared.info.workspace
        {
            return Err(not_found());
        }
        let snapshot = self.snapshot();
        let route = snapshot.route(address).ok_or_else(not_found)?;
        // Before anything of the request is looked at: an answer about it would tell that there is a webhook.
        snapshot.active_version(&route.flow).ok_or_else(not_found)?;
        Ok(route.clone())
    }

    /// The largest body that a call of this webhook may have, in bytes.
    pub fn webhook_body_limit(&self, route: &Route) -> u64 {
        route.body_limit(&self.shared.limits)
    }

    /// Whether this ticket lets its bearer read this execution.
    pub fn ticket_is_valid(&self, ticket: &str, id: RecordId) -> bool {
        self.shared.tickets.is_valid(ticket, id, Timestamp::now())
    }

    /// Sizes and waits of the store.
    pub async fn store_stats(&self) -> Result<StoreStats, Problem> {
        Ok(self.shared.store.stats().await?)
    }

    /// Refuses new calls from now on, as `host.draining`.
    pub fn drain(&self) {
        self.shared.is_draining.store(true, Ordering::Relaxed);
    }

    /// Stops the host: refuses new calls, lets running executions end for up to ten seconds, and closes the store.
    ///
    /// What was accepted asynchronously and has not ended is in the store and runs after the next start. Other executions
    /// that are still running then are cancelled.
    pub async fn shutdown(&self) {
        self.shutdown_within(Duration::from_secs(10)).await;
    }

    /// [`Host::shutdown`], with another time for running executions.
    pub async fn shutdown_within(&self, grace: Duration) {
        self.drain();
        let launch = &self.shared.launch;
        launch.admission.close();
        if launch.registry.wait_until_empty(grace).await > 0 {
            for live in launch.registry.all().into_iter().filter(|live| !live.is_durable) {
                live.cancelled.cancel();
            }
            launch.registry.wait_until_empty(Duration::from_secs(1)).await;
        }
        if let Err(error) = self.shared.store.close().await {
            tracing::warn!(%error, "the store was not closed as it should be");
        }
    }

    pub(crate) fn refuse_if_draining(&self) -> Result<(), Problem> {
        if self.shared.is_draining.load(Ordering::Relaxed) {
            return Err(Problem::new(Code::HostDraining, "the host is about to stop; try again in a moment"));
        }
        Ok(())
    }

    pub(crate) fn ticket(&self, id: RecordId) -> String {
        self.shared.tickets.issue(id, Timestamp::now())
    }

    pub(crate) fn store(&self) -> &dyn Store {
        &*self.shared.store
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.shared.engine
    }

    pub(crate) fn programs(&self) -> &Programs {
        &self.shared.launch.programs
    }

    pub(crate) fn launch_context(&self) -> &Launch {
        &self.shared.launch
    }

    pub(crate) fn snapshot(&self) -> Guard<Arc<Snapshot>> {
        self.shared.snapshot.load()
    }

    /// To be held from reading a record to [`Host::apply`] of its change.
    pub(crate) async fn writing(&self) -> MutexGuard<'_, ()> {
        self.shared.writing.lock().await
    }

    /// Makes a record's change effective for the next call.
    pub(crate) fn apply(&self, record: StoredRecord) -> Result<(), Problem> {
        let mut next = Snapshot::clone(&self.snapshot());
        next.apply(record, self.programs())?;
        self.shared.snapshot.store(Arc::new(next));
        Ok(())
    }

    /// Makes a record's deletion effective for the next call.
    pub(crate) fn forget(&self, id: RecordId) {
        let mut next = Snapshot::clone(&self.snapshot());
        next.remove(id);
        self.shared.snapshot.store(Arc::new(next));
    }

    /// Compiles what has no artifact (after an upgrade, for example), so that first calls need not. What has one is loaded
    /// at its first call: that takes half a millisecond, and flows that nobody calls take no memory.
    fn compile_missing(&self) {
        let versions: Vec<_> = self.snapshot().active_versions().cloned().collect();
        let host = self.clone();
        tokio::spawn(async move {
            for version in versions {
                let (engine, digest) = (host.engine().clone(), version.flow.digest);
                let is_compiled = tokio::task::spawn_blocking(move || engine.is_compiled(digest)).await;
                if host.refuse_if_draining().is_err() {
                    break;
                }
                if is_compiled.unwrap_or(false) {
                    continue;
                }
                if let Err(problem) = host.program(&version).await {
                    tracing::error!(flow = %version.flow.name, version = version.flow.version, detail = %problem.detail, "a flow cannot be called");
                }
            }
        });
    }
}

fn no_execution(id: RecordId) -> Problem {
    Problem::new(Code::RecordNotFound, format!("there is no execution {id}"))
}
