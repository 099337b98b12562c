//! The host: built once, shared by clones.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use flowhost_engine::{Clock, Compiler, Engine, Pooling, SystemClock};
use flowhost_model::{Digest, RecordId, RecordType, Timestamp, normalize_name};
use flowhost_store::sqlite::{SqliteOptions, SqliteStore};
use flowhost_store::{OwnerId, Recovered, Store, StoreStats, StoredRecord};
use serde::Serialize;
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::activity::{Activities, Deed};
use crate::audit::Audit;
use crate::bootstrap::{self, Foundations};
use crate::budgets::MemoryBudgets;
use crate::caller::CallerNetwork;
use crate::capability::{self, Capability};
use crate::data_folder;
use crate::execution::{Admission, Ends, Events, LEASE, Outage, Paused, Queue, Registry, Residents, StopReason, Waker};
use crate::flow::Programs;
use crate::identity::{ADMIN, Identity, Lockouts, Passwords, Sessions};
use crate::limits::Limits;
use crate::lock::Deciding;
use crate::outgoing::{HttpPolicy, Outgoing};
use crate::pool::{Place, Pool};
use crate::problem::{Code, Problem};
use crate::record::all_secrets;
use crate::secret::{CalledKeys, SecretKeys, Secrets};
use crate::snapshot::Snapshot;
use crate::ticket::Tickets;
use crate::webhook::{Address, Guesses, Route};

/// Where compiled components are kept, in the data folder.
const ARTIFACTS: &str = "artifacts";

/// Lists that are read for users at once: as many as the store has connections for lists.
const READING: usize = 2;

/// Requests to read something, be it a list or a record, that are worked on at once.
const LOOKING: usize = 8;

/// How often the store is told who was active.
const SAVE_ACTIVITY: Duration = Duration::from_secs(60);

/// How long those that were told to leave when the host stops may take to: a commit, on whatever disk.
const LEAVE_WITHIN: Duration = Duration::from_secs(10);

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
    clock: Arc<dyn Clock>,
    capabilities: Vec<Box<dyn Capability>>,
    programs: Programs,
    /// The owner of the executions that this host runs.
    owner: OwnerId,
    registry: Registry,
    called_keys: CalledKeys,
    admission: Admission,
    queue: Queue,
    ends: Ends,
    events: Events,
    deciding: Deciding,
    waker: Waker,
    outage: Outage,
    snapshot: ArcSwap<Snapshot>,
    secrets: Arc<Secrets>,
    /// Held while a record is read, changed and written, so that snapshots follow the writes in their order.
    writing: Arc<Mutex<()>>,
    /// Whose turn it is to change a record: that of one user or flow after the other.
    changing: Pool<RecordId>,
    tickets: Tickets,
    sessions: Sessions,
    lockouts: Lockouts,
    passwords: Passwords,
    guesses: Guesses,
    audit: Audit,
    activities: Activities,
    /// Lists that are read for users.
    reading: Pool<RecordId>,
    /// Requests that read.
    looking: Pool<Reader>,
    /// Components that are compiled for users.
    compiling: Pool<RecordId>,
    outgoing: Outgoing,
    foundations: Foundations,
    paused: Paused,
    /// Components that this host could not make callable.
    unusable: std::sync::Mutex<HashSet<Digest>>,
    is_draining: AtomicBool,
}

/// The right to change records, which one user or flow has at a time.
pub(crate) struct Writing {
    // In this order: the next in turn finds the lock open.
    _guard: OwnedMutexGuard<()>,
    _turn: Option<Place<RecordId>>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        // Its tasks end, also where nobody has shut it down.
        self.queue.close();
        self.admission.close();
    }
}

/// For whom a request reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reader {
    /// A user, however many requests of the user there are.
    User(RecordId),
    /// Callers of a network who show no token.
    Network(CallerNetwork),
}

/// A turn to read something, until it is dropped.
#[derive(Debug)]
pub struct LookingTurn {
    _place: Option<Place<Reader>>,
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
    /// Executions that the process before it left behind and that are run again.
    pub recovered: u64,
    /// Executions that the process before it left behind and that are not run again.
    pub interrupted: u64,
    /// Executions that wait in the store, and go on when their event comes.
    pub waiting: u64,
    /// What the host may take of the machine's memory.
    #[serde(skip)]
    pub memory: MemoryBudgets,
}

/// What a host is made of.
pub struct HostBuilder {
    data: PathBuf,
    workspace: String,
    limits: Limits,
    http: HttpPolicy,
    compiler: Compiler,
    pooling: Pooling,
    secret_keys: SecretKeys,
    capabilities: Vec<Box<dyn Capability>>,
    clock: Arc<dyn Clock>,
    abort_after_commits: Option<u64>,
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

    /// Where its flows may send requests. Nowhere unless set.
    pub fn http(mut self, policy: HttpPolicy) -> Self {
        self.http = policy;
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

    /// The keys that secrets are sealed with. Without any, no secret can be kept or used.
    pub fn secret_keys(mut self, keys: SecretKeys) -> Self {
        self.secret_keys = keys;
        self
    }

    /// What tells the time; the clock of the machine unless set.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Aborts the process right after its store has made so many commits: for tests of what a crash leaves behind.
    #[doc(hidden)]
    pub fn abort_after_commits(mut self, commits: Option<u64>) -> Self {
        self.abort_after_commits = commits;
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
    ///
    /// The detail of a problem says all of what is wrong, where, and what to do, in one line: the person who builds a host can
    /// mend it.
    pub async fn build(self) -> Result<Host, Problem> {
        let folder = self.data.clone();
        self.build_or_fail().await.map_err(|problem| match (problem.code, problem.reason()) {
            (Code::HostStorageFull, _) => {
                Problem::new(problem.code, start_failure(&folder, &flowhost_store::Error::Full))
            }
            (code, Some(reason)) => Problem::new(
                code,
                format!(
                    "data folder `{}`: {reason}; check its disk, or restore a backup of the folder, as docs/operating.md \
                     says under \"The data folder\"",
                    folder.display()
                ),
            ),
            _ => problem,
        })
    }

    async fn build_or_fail(self) -> Result<Host, Problem> {
        let workspace = normalize_name(&self.workspace)?.into_owned();
        let budgets = MemoryBudgets::new(&self.limits);
        let options = SqliteOptions {
            max_bytes: self.limits.data_bytes,
            list_limit: self.limits.list,
            abort_after_commits: self.abort_after_commits,
            ..SqliteOptions::default()
        };
        data_folder::check(&self.data)?;
        let store = open_store(&self.data, options).await?;
        let mut builder = Engine::builder(self.pooling, self.limits.executions).map_err(unusable)?;
        let mut capabilities = capability::own();
        capabilities.extend(self.capabilities);
        for capability in &capabilities {
            builder.link(capability.interfaces(), |linker| capability.link(linker)).map_err(unusable)?;
        }
        builder.guest_bytes(budgets.guests);
        let engine = builder.build(&self.data.join(ARTIFACTS), self.compiler, self.limits.compile).map_err(unusable)?;

        let foundations = bootstrap::ensure(&*store, &self.data, &workspace, self.clock.now()).await?;
        let programs = Programs::new(engine.clone(), store.clone());
        let mut snapshot = Snapshot::default();
        // There may be millions of messages.
        let elsewhere = [RecordType::Execution, RecordType::Message, RecordType::Secret];
        for record_type in RecordType::ALL.into_iter().filter(|record_type| !elsewhere.contains(record_type)) {
            for stored in store.records(record_type).await? {
                snapshot.apply(stored, &programs)?;
            }
        }
        let secrets = Secrets::open(self.secret_keys, all_secrets(&*store).await?)?;
        let ticket_key = signing_key(&*store, "ticket-key").await?;
        let session_key = signing_key(&*store, "session-key").await?;
        let activities = Activities::new(store.activities().await?);
        let Recovered { again, interrupted, given_up, waiting, paused_of, .. } =
            store.recover(self.clock.now()).await?;
        if given_up > 0 {
            tracing::error!(
                executions = given_up,
                "the host died three times in a row while these executions ran; they ended as `execution.host-died`"
            );
        }
        let owner = store.hold_lease(None, self.clock.now().saturating_add(LEASE)).await?;

        let limits = self.limits;
        let shared = Shared {
            info: HostInfo {
                workspace,
                data: self.data,
                is_pooled: engine.is_pooled(),
                recovered: again,
                interrupted: interrupted + given_up,
                waiting,
                memory: budgets,
            },
            admission: Admission::new(&limits, Residents::new(limits.unload)),
            registry: Registry::default(),
            called_keys: CalledKeys::default(),
            queue: Queue::default(),
            ends: Ends::default(),
            events: Events::default(),
            deciding: Deciding::default(),
            waker: Waker::new(&*self.clock, store.shifted().await?),
            outage: Outage::default(),
            clock: self.clock,
            capabilities,
            programs,
            owner,
            tickets: Tickets::new(ticket_key, limits.ticket),
            sessions: Sessions::new(session_key, limits.session),
            lockouts: Lockouts::default(),
            passwords: Passwords::default(),
            guesses: Guesses::default(),
            audit: Audit::default(),
            activities,
            reading: Pool::new(READING),
            looking: Pool::new(LOOKING),
            compiling: Pool::new(limits.compile.parallel.max(1)),
            outgoing: Outgoing::new(self.http, limits.http.clone()),
            foundations,
            paused: Paused::new(limits.queued, paused_of),
            unusable: std::sync::Mutex::default(),
            limits,
            store,
            engine,
            snapshot: ArcSwap::from_pointee(snapshot),
            secrets: Arc::new(secrets),
            writing: Arc::default(),
            changing: Pool::new(1),
            is_draining: AtomicBool::new(false),
        };
        let host = Host { shared: Arc::new(shared) };
        let HostInfo { recovered, interrupted, waiting, .. } = host.info();
        if recovered + interrupted > 0 {
            tracing::info!(
                recovered,
                interrupted,
                "executions were cut off: those recovered run again, those interrupted have ended"
            );
        }
        if *waiting > 0 {
            tracing::info!(waiting, "executions wait and go on when their time has come");
        }
        host.start_dispatch().await;
        host.start_waker();
        host.start_sweep();
        host.compile_missing();
        host.keep_activity();
        host.keep_audit();
        Ok(host)
    }
}

fn unusable(error: flowhost_engine::EngineError) -> Problem {
    Problem::new(Code::HostError, error.to_string())
}

async fn open_store(folder: &Path, options: SqliteOptions) -> Result<Arc<dyn Store>, Problem> {
    let opening = folder.to_owned();
    let opened = tokio::task::spawn_blocking(move || SqliteStore::open(&opening, options)).await;
    let store = opened.map_err(Problem::host)?;
    Ok(Arc::new(store.map_err(|error| Problem::new(Code::HostError, start_failure(folder, &error)))?))
}

/// Why the data cannot be opened and what to do, in one line with the path.
fn start_failure(folder: &Path, error: &flowhost_store::Error) -> String {
    use flowhost_store::Error;
    let folder = folder.display();
    match error {
        Error::Full => format!("data folder `{folder}`: the disk is full; make room on it and start again"),
        Error::Damaged(reason) => format!(
            "data folder `{folder}`: the database is damaged ({reason}); restore a backup of the folder, as \
             docs/operating.md says under \"The data folder\", and check the disk"
        ),
        Error::Storage(reason) => format!(
            "data folder `{folder}`: {reason}; check that the folder is on a disk that works and that the user of this \
             process may write to it and to what is in it, or choose another folder with --data"
        ),
        // They have path and advice.
        other => other.to_string(),
    }
}

/// A key of the host's own, made at the first start.
async fn signing_key(store: &dyn Store, name: &str) -> Result<[u8; 32], Problem> {
    let mut key = [0; 32];
    getrandom::fill(&mut key).map_err(Problem::host)?;
    let kept = store.host_value_or_insert(name, key.to_vec()).await?;
    kept.try_into().map_err(|_| Problem::host(format!("the {name} in the store is damaged")))
}

/// A host as its own tasks hold it, which do not keep it alive.
#[derive(Clone)]
pub(crate) struct WeakHost(Weak<Shared>);

impl WeakHost {
    pub(crate) fn upgrade(&self) -> Option<Host> {
        self.0.upgrade().map(|shared| Host { shared })
    }
}

impl Host {
    /// Begins a host with default limits and its data in `./flowhost-data`.
    pub fn builder() -> HostBuilder {
        HostBuilder {
            data: PathBuf::from("./flowhost-data"),
            workspace: "default".into(),
            limits: Limits::default(),
            http: HttpPolicy::default(),
            compiler: Compiler::InProcess,
            pooling: Pooling::Auto,
            secret_keys: SecretKeys::default(),
            capabilities: Vec::new(),
            clock: Arc::new(SystemClock),
            abort_after_commits: None,
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

    /// The user in whose name the embedding program acts: `admin`, who may do everything.
    pub fn admin(&self) -> Identity {
        Identity {
            user_id: self.shared.foundations.admin_id,
            user_name: ADMIN.to_owned(),
            access: crate::access::Access::all(),
            token: None,
        }
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

    /// Runs work that may compute for long, such as parsing megabytes, on a thread that serves nothing else. As much of it runs
    /// at once as there are processors, of which the user, webhook or flow that it is for takes half while others want them.
    ///
    /// # Errors
    /// `host.busy` if too much of it waits already.
    pub async fn run_blocking<T: Send + 'static>(
        &self,
        taker: RecordId,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let turn = self.admission().check_turn(taker).await?;
        // With its turn, since it goes on after its caller has left.
        let running = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work()
        });
        running.await.map_err(Problem::host)
    }

    /// Whether this ticket lets its bearer read this execution.
    pub fn ticket_is_valid(&self, ticket: &str, id: RecordId) -> bool {
        self.shared.tickets.is_valid(ticket, id, self.now())
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
    /// What is durable and has not ended then goes on after the next start, from where its journal ends. Other executions
    /// that are still running then are cancelled.
    pub async fn shutdown(&self) {
        self.shutdown_within(Duration::from_secs(10)).await;
    }

    /// [`Host::shutdown`], with another time for running executions.
    pub async fn shutdown_within(&self, grace: Duration) {
        self.drain();
        let Shared { registry, admission, queue, ends, events, .. } = &*self.shared;
        admission.close();
        queue.close();
        // Whoever waits for something, and whom nobody waits for, may wait elsewhere.
        for live in registry.all().into_iter().filter(|live| live.is_waiting() && live.is_durable()) {
            if !ends.has_caller(live.id) && !live.has_caller() {
                live.stop(StopReason::HandBack);
            }
        }
        for live in registry.wait_until_none(grace, |_| true).await {
            live.stop(StopReason::HandBack);
        }
        registry.wait_until_none(LEAVE_WITHIN, |_| true).await;
        ends.close();
        events.close();
        self.save_activity().await;
        self.shared.audit.flush();
        if let Err(error) = self.shared.store.release_owner(self.shared.owner).await {
            tracing::warn!(%error, "the executions of this host could not be released; the next start takes them over");
        }
        if let Err(error) = self.shared.store.close().await {
            tracing::warn!(%error, "the store was not closed as it should be");
        }
    }

    /// Whether new calls are taken, and can be kept. Makes no query.
    pub fn is_ready(&self) -> bool {
        self.check_ready().is_ok()
    }

    /// [`is_ready`](Self::is_ready), with the reason.
    ///
    /// Problem: `host.draining`, `host.storage-full`, `host.storage-unavailable`.
    pub fn check_ready(&self) -> Result<(), Problem> {
        self.refuse_if_draining()?;
        self.shared.store.health().map_err(|error| match error {
            flowhost_store::Error::Full => error.into(),
            _ => Problem::new(Code::HostStorageUnavailable, "the host cannot write to its storage; its log says more"),
        })
    }

    fn is_draining(&self) -> bool {
        self.shared.is_draining.load(Ordering::Relaxed)
    }

    pub(crate) fn refuse_if_draining(&self) -> Result<(), Problem> {
        if self.is_draining() {
            return Err(Problem::new(Code::HostDraining, "the host is about to stop; try again in a moment"));
        }
        Ok(())
    }

    pub(crate) fn sessions(&self) -> &Sessions {
        &self.shared.sessions
    }

    pub(crate) fn passwords(&self) -> &Passwords {
        &self.shared.passwords
    }

    pub(crate) fn lockouts(&self) -> &Lockouts {
        &self.shared.lockouts
    }

    /// The audit log.
    pub fn audit(&self) -> &Audit {
        &self.shared.audit
    }

    /// Whether there is a user of this name, who can log in or not.
    pub fn is_user(&self, name: &str) -> bool {
        self.snapshot().user_named(name).is_some()
    }

    pub(crate) fn guesses(&self) -> &Guesses {
        &self.shared.guesses
    }

    pub(crate) fn is_locked_out(&self, user_name: &str) -> bool {
        self.shared.lockouts.is_locked(user_name, self.now())
    }

    /// The paused executions of the store.
    pub(crate) fn paused(&self) -> &Paused {
        &self.shared.paused
    }

    pub(crate) fn workspace_id(&self) -> RecordId {
        self.shared.foundations.workspace_id
    }

    pub(crate) fn organization_id(&self) -> RecordId {
        self.shared.foundations.organization_id
    }

    pub(crate) fn default_project(&self) -> RecordId {
        self.shared.foundations.default_project
    }

    /// Notes that an identity is active now.
    pub(crate) fn note_activity(&self, identity: RecordId) {
        self.shared.activities.note(Deed::Any, identity, self.now());
    }

    pub(crate) fn activities(&self) -> &Activities {
        &self.shared.activities
    }

    pub(crate) fn last_activity(&self, identity: RecordId) -> Option<Timestamp> {
        self.shared.activities.last(Deed::Any, identity)
    }

    /// Whether the component could not be made callable when it was last tried.
    pub(crate) fn is_unusable(&self, digest: Digest) -> bool {
        self.unusable().contains(&digest)
    }

    /// Components that could not be made callable when it was last tried.
    pub(crate) fn unusable(&self) -> std::sync::MutexGuard<'_, HashSet<Digest>> {
        self.shared.unusable.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    async fn save_activity(&self) {
        let unsaved = self.shared.activities.take_unsaved();
        if unsaved.is_empty() {
            return;
        }
        if let Err(error) = self.shared.store.save_activity(unsaved.clone()).await {
            tracing::warn!(%error, "who was active could not be saved; it is tried again");
            self.shared.activities.put_back(unsaved);
        }
    }

    /// Tells the store who was active, as long as the host lives.
    fn keep_activity(&self) {
        let shared = Arc::downgrade(&self.shared);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(SAVE_ACTIVITY).await;
                match shared.upgrade().map(|shared| Host { shared }) {
                    Some(host) if !host.is_draining() => host.save_activity().await,
                    _ => break,
                }
            }
        });
    }

    pub(crate) fn ticket(&self, id: RecordId) -> String {
        self.shared.tickets.issue(id, self.now())
    }

    pub(crate) fn store(&self) -> &dyn Store {
        &*self.shared.store
    }

    /// A turn of a user to read a list from the store.
    pub(crate) async fn reading_turn(&self, by: &Identity) -> Option<Place<RecordId>> {
        self.shared.reading.take([by.user_id]).await
    }

    /// Waits for a turn to read something for a request: for a user, or for callers of a network without a login. Turns go
    /// around them.
    pub async fn looking_turn(&self, reader: Reader) -> LookingTurn {
        LookingTurn { _place: self.shared.looking.take([reader]).await }
    }

    /// A turn of a user to have a component compiled.
    pub(crate) async fn compiling_turn(&self, by: &Identity) -> Option<Place<RecordId>> {
        self.shared.compiling.take([by.user_id]).await
    }

    pub(crate) fn outgoing(&self) -> &Outgoing {
        &self.shared.outgoing
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.shared.engine
    }

    pub(crate) fn programs(&self) -> &Programs {
        &self.shared.programs
    }

    pub(crate) fn capabilities(&self) -> &[Box<dyn Capability>] {
        &self.shared.capabilities
    }

    pub(crate) fn called_keys(&self) -> &CalledKeys {
        &self.shared.called_keys
    }

    pub(crate) fn registry(&self) -> &Registry {
        &self.shared.registry
    }

    pub(crate) fn admission(&self) -> &Admission {
        &self.shared.admission
    }

    pub(crate) fn queue(&self) -> &Queue {
        &self.shared.queue
    }

    pub(crate) fn ends(&self) -> &Ends {
        &self.shared.ends
    }

    pub(crate) fn events(&self) -> &Events {
        &self.shared.events
    }

    pub(crate) fn deciding(&self) -> &Deciding {
        &self.shared.deciding
    }

    pub(crate) fn waker(&self) -> &Waker {
        &self.shared.waker
    }

    pub(crate) fn outage(&self) -> &Outage {
        &self.shared.outage
    }

    pub(crate) fn owner_id(&self) -> OwnerId {
        self.shared.owner
    }

    /// Returns what tells the host the time.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.shared.clock
    }

    /// The present.
    pub(crate) fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    pub(crate) fn downgrade(&self) -> WeakHost {
        WeakHost(Arc::downgrade(&self.shared))
    }

    pub(crate) fn snapshot(&self) -> Guard<Arc<Snapshot>> {
        self.shared.snapshot.load()
    }

    pub(crate) fn secrets(&self) -> &Arc<Secrets> {
        &self.shared.secrets
    }

    /// To be held from reading a record to [`Host::apply`] of its change, by a user or a flow.
    pub(crate) async fn writing(&self, taker: RecordId) -> Writing {
        let turn = self.shared.changing.take([taker]).await;
        let guard = self.shared.writing.clone().lock_owned().await;
        Writing { _guard: guard, _turn: turn }
    }

    /// Makes a record's change effective for the next call.
    pub(crate) fn apply(&self, record: StoredRecord) -> Result<(), Problem> {
        if record.record_type == RecordType::Secret {
            return self.shared.secrets.apply(record);
        }
        if !self.snapshot().concerns(&record) {
            return Ok(());
        }
        let mut next = Snapshot::clone(&self.snapshot());
        next.apply(record, self.programs())?;
        self.shared.snapshot.store(Arc::new(next));
        Ok(())
    }

    /// Makes a record's deletion effective for the next call.
    pub(crate) fn forget(&self, record: &StoredRecord) {
        if record.record_type == RecordType::Secret {
            self.shared.secrets.forget(record.meta.id);
        }
        if !self.snapshot().concerns(record) {
            return;
        }
        let mut next = Snapshot::clone(&self.snapshot());
        next.remove(record.meta.id);
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

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn change_of_one_user_does_not_wait_behind_the_many_of_another() {
        let folder = tempfile::tempdir().unwrap();
        let host = Host::builder().data(folder.path()).build().await.unwrap();
        let (flood, other) = (RecordId::new(), RecordId::new());
        let first = host.writing(flood).await;
        let mut many: Vec<_> = (0..3).map(|_| Box::pin(host.writing(flood))).collect();
        assert!(many.iter_mut().all(|change| change.now_or_never().is_none()));
        let mut late = Box::pin(host.writing(other));
        assert!((&mut late).now_or_never().is_none());
        drop(first);
        let second = (&mut many[0]).now_or_never().unwrap();
        assert!((&mut late).now_or_never().is_none());
        drop(second);
        assert!((&mut many[1]).now_or_never().is_none() && late.now_or_never().is_some());
    }
}
