//! An engine in a folder of its own, and calls within small budgets.

use std::future::{Future, pending};
use std::sync::Arc;
use std::time::Duration;

use flowhost_engine::{
    Budget, CompileError, CompileLimits, Compiler, Engine, InvalidComponent, Invocation, Kept, Log, Outcome, Pooling,
    Program, Slots, State, StaysInMemory, SystemClock, wasmtime,
};
use flowhost_model::Digest;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use wasmtime::StoreContextMut;

use crate::component::Component;

/// Ends a runaway call soon; nothing else in these tests needs as much, even where threads are kept waiting for a processor.
pub(crate) const BUDGET: Budget = Budget {
    cpu: Duration::from_millis(300),
    wall: Duration::from_secs(600),
    memory_bytes: 4 << 20,
    output_bytes: 1 << 10,
    log_bytes: 1 << 10,
    handles: 10,
    journal_entries: 1_000,
    journal_bytes: 1 << 20,
};

pub(crate) struct Sandbox {
    pub(crate) engine: Engine,
    pub(crate) folder: TempDir,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        Self::with(Pooling::Auto, Compiler::InProcess, CompileLimits::default())
    }

    pub(crate) fn with(pooling: Pooling, compiler: Compiler, limits: CompileLimits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let engine = engine(&folder, pooling, compiler, limits);
        Self { engine, folder }
    }

    pub(crate) async fn compile(&self, component: &[u8]) -> Result<Program, CompileError> {
        self.engine.compile(digest(component), component.to_vec()).await
    }

    /// Why a component is refused.
    pub(crate) async fn refusal(&self, component: &[u8]) -> InvalidComponent {
        match self.compile(component).await {
            Ok(_) => panic!("the component was taken"),
            Err(CompileError::Invalid(invalid)) => invalid,
            Err(other) => panic!("{other}"),
        }
    }
}

/// An engine that keeps its artifacts in this folder.
pub(crate) fn engine(folder: &TempDir, pooling: Pooling, compiler: Compiler, limits: CompileLimits) -> Engine {
    let mut builder = Engine::builder(pooling, 1).unwrap();
    // A name to import that nothing implements in the shape that is asked for.
    builder
        .link(&["test:host/shapes"], |linker| {
            linker.instance("test:host/shapes")?.func_wrap("one", |_, (): ()| Ok((1_u32,)))
        })
        .unwrap();
    builder
        .link(&["test:host/panics"], |linker| {
            let panic =
                |_: StoreContextMut<'_, State>, (): ()| -> wasmtime::Result<()> { panic!("a fault of the host") };
            linker.instance("test:host/panics")?.func_wrap("panic", panic)
        })
        .unwrap();
    builder.build(folder.path(), compiler, limits).unwrap()
}

pub(crate) fn digest(component: &[u8]) -> Digest {
    Digest(Sha256::digest(component).into())
}

pub(crate) fn invocation(budget: Budget) -> Invocation {
    Invocation {
        budget,
        log: Arc::new(Log::new(budget.log_bytes, Arc::new(SystemClock))),
        seed: [0; 32],
        slots: Slots::new(),
        clock: Arc::new(SystemClock),
        kept: Kept::default(),
        residence: Arc::new(StaysInMemory),
    }
}

/// Runs a component once, pooled and not.
pub(crate) async fn run(component: &Component, budget: Budget) -> Outcome {
    run_until(component, budget, pending).await
}

/// [`run`], ended by somebody's wish when `cancelled` is ready.
pub(crate) async fn run_until<F: Future<Output = ()>>(
    component: &Component,
    budget: Budget,
    cancelled: impl Fn() -> F,
) -> Outcome {
    let component = component.build();
    let mut outcomes = Vec::new();
    for pooling in [Pooling::Auto, Pooling::Never] {
        let sandbox = Sandbox::with(pooling, Compiler::InProcess, CompileLimits::default());
        let program = sandbox.compile(&component).await.unwrap();
        outcomes.push(program.invoke(invocation(budget), "null", cancelled()).await.outcome);
    }
    // All but the places in traces, which name the instruction that trapped or the one after it.
    let told = |outcome: &Outcome| {
        let text = format!("{outcome:?}");
        let pieces = text.split("0x").map(|piece| piece.trim_start_matches(|digit: char| digit.is_ascii_hexdigit()));
        pieces.collect::<Vec<_>>().join("0x")
    };
    let (pooled, on_demand) = (told(&outcomes[0]), told(&outcomes[1]));
    assert_eq!(pooled, on_demand);
    outcomes.remove(0)
}
