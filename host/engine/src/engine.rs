//! The engine: one per host.

use std::path::Path;
use std::sync::Arc;

use flowhost_model::{Digest, FlowMetadata, bounded_line};
use tokio::sync::Semaphore;
use wasmtime::component::{Component, Linker};

use crate::artifact::ArtifactCache;
use crate::bindings::FlowPre;
use crate::compile::{CompileLimits, Compiler};
use crate::config::{self, Pooling};
use crate::contract::Contract;
use crate::error::{CompileError, EngineError, InvalidComponent};
use crate::guest_threads::{GuestThreads, Pace};
use crate::memory::{FlowMemory, GuestMemory};
use crate::{State, handler, host_memory, metadata, names, ticker, wasi};

/// Instances beyond the executions that a host admits. A slot is free again only after its store is dropped, a moment
/// after the execution has ended.
const SPARE_INSTANCES: u32 = 16;

/// The longest reason that is told of a component that does not link, in bytes.
const REASON_LIMIT: usize = 2_000;

/// Compiles flows and makes them callable. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

struct Shared {
    engine: wasmtime::Engine,
    linker: Linker<State>,
    contract: Contract,
    cache: ArtifactCache,
    compiler: Compiler,
    limits: CompileLimits,
    compilations: Semaphore,
    threads: Arc<GuestThreads>,
    guests: Arc<GuestMemory>,
    is_pooled: bool,
}

/// What an engine is made of.
pub struct EngineBuilder {
    engine: wasmtime::Engine,
    linker: Linker<State>,
    contract: Contract,
    instances: u32,
    guest_bytes: u64,
    is_pooled: bool,
}

/// A flow version, ready to be called: compiled, linked and checked once.
#[derive(Clone)]
pub struct Program {
    pub(crate) engine: wasmtime::Engine,
    pub(crate) flow: FlowPre<State>,
    pub(crate) threads: Arc<GuestThreads>,
    pub(crate) pace: Arc<Pace>,
    pub(crate) memory: Arc<FlowMemory>,
}

impl Engine {
    /// Begins an engine for `instances` calls at once, with WASI linked.
    pub fn builder(pooling: Pooling, instances: u32) -> Result<EngineBuilder, EngineError> {
        let refused = |error: wasmtime::Error| EngineError::Engine(format!("{error:#}"));
        let pooled = match pooling {
            Pooling::Auto => wasmtime::Engine::new(&config::pooled(instances.saturating_add(SPARE_INSTANCES)))
                .inspect_err(
                    |error| tracing::warn!(%error, "no address space for a pool of instances; calls are slower"),
                )
                .ok(),
            Pooling::Never => None,
        };
        let is_pooled = pooled.is_some();
        let engine = pooled.map_or_else(|| wasmtime::Engine::new(&config::base()), Ok).map_err(refused)?;
        let mut linker = Linker::new(&engine);
        wasi::add_to_linker(&mut linker).map_err(refused)?;
        let (contract, guest_bytes) = (Contract::default(), u64::MAX);
        Ok(EngineBuilder { engine, linker, contract, instances, guest_bytes, is_pooled })
    }

    /// Whether instances come from a pool.
    pub fn is_pooled(&self) -> bool {
        self.shared.is_pooled
    }

    /// Checks that a component's surface fits the contract. Does not compile it.
    pub fn check(&self, component: &[u8]) -> Result<(), InvalidComponent> {
        let (size, limit) = (component.len() as u64, self.shared.limits.component_bytes);
        if size > limit {
            return Err(InvalidComponent::TooLarge { size, limit });
        }
        self.shared.contract.check(component)?;
        names::check(component)
    }

    /// What a checked component says about itself; none where it says nothing.
    pub fn metadata(&self, component: &[u8]) -> Result<Option<FlowMetadata>, InvalidComponent> {
        metadata::read(component)
    }

    /// Whether [`Engine::load`] will find an artifact. Looks at the file system.
    pub fn is_compiled(&self, digest: Digest) -> bool {
        self.shared.cache.contains(digest)
    }

    /// The program of a component that was compiled before; none where its artifact is not at hand.
    pub async fn load(&self, digest: Digest) -> Result<Option<Program>, CompileError> {
        let engine = self.clone();
        let loaded = tokio::task::spawn_blocking(move || {
            let component = engine.shared.cache.load(&engine.shared.engine, digest)?;
            component.map(|component| engine.link(&component)).transpose()
        });
        loaded.await.map_err(|error| CompileError::Host(error.to_string()))?
    }

    /// Checks a component, compiles it, keeps the artifact, and links it. Nothing is kept of one that is refused.
    ///
    /// Blocks no async worker. Waits for other compilations where too many are under way.
    pub async fn compile(&self, digest: Digest, component: Vec<u8>) -> Result<Program, CompileError> {
        self.check(&component)?;
        if let Some(program) = self.load(digest).await? {
            return Ok(program);
        }
        let shared = &self.shared;
        let permit = shared.compilations.acquire().await.map_err(|error| CompileError::Host(error.to_string()))?;
        let compiled = shared.compiler.compile(&shared.engine, component, shared.limits).await?;
        drop(permit);
        let engine = self.clone();
        let linked = tokio::task::spawn_blocking(move || engine.adopt(digest, &compiled)).await;
        linked.map_err(|error| CompileError::Host(error.to_string()))?
    }

    fn adopt(&self, digest: Digest, artifact: &[u8]) -> Result<Program, CompileError> {
        let shared = &self.shared;
        if wasmtime::Engine::detect_precompiled(artifact) != Some(wasmtime::Precompiled::Component) {
            return Err(CompileError::Host("the compiler left without an artifact".into()));
        }
        // SAFETY: the bytes come from this program's own compiler, with the same settings.
        #[allow(unsafe_code)]
        let component = unsafe { Component::deserialize(&shared.engine, artifact) };
        // What was just compiled is in order; it does not load where it does not fit into an instance's place in the pool.
        let component = component.map_err(|error| refused(&error, InvalidComponent::BeyondSandbox))?;
        let program = self.link(&component)?;
        // A flow runs without its artifact on disk; the next start then compiles it again.
        shared.cache.store(digest, artifact);
        Ok(program)
    }

    fn link(&self, component: &Component) -> Result<Program, CompileError> {
        let shared = &self.shared;
        check_resources(component)?;
        let instance =
            shared.linker.instantiate_pre(component).map_err(|error| refused(&error, InvalidComponent::WrongImport))?;
        let flow = FlowPre::new(instance).map_err(|error| refused(&error, InvalidComponent::WrongExport))?;
        handler::check(component)?;
        let (engine, threads) = (shared.engine.clone(), shared.threads.clone());
        let memory = Arc::new(FlowMemory::new(shared.guests.clone()));
        Ok(Program { engine, flow, threads, pace: Arc::default(), memory })
    }
}

impl EngineBuilder {
    /// Lets flows import an interface, by its name without version, and links what implements it.
    pub fn link(
        &mut self,
        interfaces: &[&str],
        add: impl FnOnce(&mut Linker<State>) -> wasmtime::Result<()>,
    ) -> Result<(), EngineError> {
        for interface in interfaces {
            self.contract.offer(interface);
        }
        add(&mut self.linker).map_err(|error| EngineError::Engine(format!("{error:#}")))
    }

    /// How many bytes the memories and tables of all calls may take together. As much as they like unless set.
    pub fn guest_bytes(&mut self, bytes: u64) {
        self.guest_bytes = bytes;
    }

    /// Starts the engine, with its artifacts in `folder`.
    pub fn build(self, folder: &Path, compiler: Compiler, limits: CompileLimits) -> Result<Engine, EngineError> {
        let cache = ArtifactCache::open(folder, &self.engine);
        ticker::start(&self.engine).map_err(EngineError::Thread)?;
        let shared = Shared {
            engine: self.engine,
            linker: self.linker,
            contract: self.contract,
            cache,
            compiler,
            limits,
            compilations: Semaphore::new(limits.parallel.max(1)),
            threads: Arc::new(GuestThreads::start().map_err(EngineError::Thread)?),
            guests: Arc::new(GuestMemory::new(self.guest_bytes, self.instances)),
            is_pooled: self.is_pooled,
        };
        Ok(Engine { shared: Arc::new(shared) })
    }
}

/// Refuses a component that a pool's slots could not hold, so that no call ever finds the pool too small.
fn check_resources(component: &Component) -> Result<(), InvalidComponent> {
    let Some(required) = component.resources_required() else {
        return Err(InvalidComponent::WrongImport("it instantiates modules that it imports".into()));
    };
    let limits = [
        ("memories", required.num_memories, config::MEMORIES_PER_COMPONENT),
        ("tables", required.num_tables, config::TABLES_PER_COMPONENT),
    ];
    for (what, need, limit) in limits {
        if need > limit {
            return Err(InvalidComponent::TooMany { what, need: need.into(), limit: limit.into() });
        }
    }
    Ok(())
}

/// Why wasmtime refuses a component: the host has no memory for it, or the component is at fault. The names in the text are
/// the component's own.
fn refused(error: &wasmtime::Error, invalid: impl FnOnce(String) -> InvalidComponent) -> CompileError {
    let reason = bounded_line(format_args!("{error:#}"), REASON_LIMIT);
    if host_memory::is_exhausted(error) { CompileError::Exhausted(reason) } else { invalid(reason).into() }
}
