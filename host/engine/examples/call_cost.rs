//! What one call of a flow costs without a server around it.
//!
//! `cargo run --release -p flowhost-engine --example call_cost -- target/guests/hello.wasm`. Prints, as JSON and in
//! microseconds: an isolated call, from its empty store to its dropped one; a further call on an instance that is kept,
//! which the host never does and which shows what isolation costs; loading the flow from the artifact cache.

use std::sync::Arc;
use std::time::{Duration, Instant};

use flowhost_engine::wasmtime::component::{Component, HasData, Linker, ResourceTable};
use flowhost_engine::wasmtime::{self, Config, Store};
use flowhost_engine::{
    Budget, CompileLimits, Compiler, Engine, Invocation, Kept, Log, Outcome, Pooling, Program, Slots, StaysInMemory,
    SystemClock,
};
use flowhost_model::{Digest, LogLevel, LogSource};
use sha2::Digest as _;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use bindings::Measured;
use bindings::flowhost::flow::execution::{self, FlowError, HostError, Identity, Level, RunMode};

mod bindings {
    #![allow(missing_docs, unreachable_pub, clippy::all)]
    wasmtime::component::bindgen!({
        path: "../../wit",
        inline: "
            package flowhost:example;
            world measured {
                import flowhost:flow/execution@1.2.0;
                export flowhost:flow/handler@1.2.0;
            }
        ",
        imports: { default: trappable },
        exports: { default: async },
    });
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What a webhook call gives.
const INPUT: &str =
    r#"{"headers":{"content-type":"application/json"},"method":"POST","path":"","query":{},"json":{"name":"Ada"}}"#;

const OUTPUT: &str = r#"{"greeting":"Hello, Ada!"}"#;

/// How often each cost is measured; a tenth as often before it counts.
const CALLS: usize = 20_000;
const LOADS: usize = 200;

fn main() -> Result<(), Failure> {
    let path = std::env::args_os().nth(1).ok_or("expected the path of hello.wasm")?;
    let component = std::fs::read(path)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(async {
        let folder = tempfile::tempdir()?;
        let digest = Digest(sha2::Sha256::digest(&component).into());
        let mut builder = Engine::builder(Pooling::Auto, 200)?;
        builder.link(&["flowhost:flow/execution"], |linker| {
            execution::add_to_linker::<_, StateExecution>(linker, |state| Execution { log: Some(&state.log) })
        })?;
        let engine = builder.build(folder.path(), Compiler::InProcess, CompileLimits::default())?;
        let program = engine.compile(digest, component.clone()).await?;
        Ok::<_, Failure>(serde_json::json!({
            "isolated_call_us": isolated(&program).await?,
            "warm_call_us": warm(&component).await?,
            "load_artifact_us": load(&engine, digest).await?,
        }))
    })?;
    println!("{report}");
    Ok(())
}

async fn isolated(program: &Program) -> Result<serde_json::Value, Failure> {
    let mut samples = Samples::new(CALLS);
    while samples.wants_more() {
        let began = Instant::now();
        let budget = Budget::default();
        let log = Arc::new(Log::new(budget.log_bytes, Arc::new(SystemClock)));
        let (clock, kept, residence) = (Arc::new(SystemClock), Kept::default(), Arc::new(StaysInMemory));
        let invocation = Invocation { budget, log, seed: [7; 32], slots: Slots::new(), clock, kept, residence };
        let report = program.invoke(invocation, INPUT, std::future::pending()).await;
        samples.add(began.elapsed());
        match report.outcome {
            Outcome::Success(output) if output == OUTPUT => {}
            other => return Err(format!("an isolated call ended with {other:?}").into()),
        }
    }
    Ok(samples.to_json())
}

async fn load(engine: &Engine, digest: Digest) -> Result<serde_json::Value, Failure> {
    let mut samples = Samples::new(LOADS);
    while samples.wants_more() {
        let began = Instant::now();
        let program = engine.load(digest).await?;
        samples.add(began.elapsed());
        program.ok_or("the artifact is not in the cache")?;
    }
    Ok(samples.to_json())
}

/// The same component on one instance, with wasmtime alone, since the engine makes an instance for every call.
async fn warm(component: &[u8]) -> Result<serde_json::Value, Failure> {
    let mut config = Config::new();
    config.concurrency_support(false).epoch_interruption(true).cranelift_nan_canonicalization(true);
    let engine = wasmtime::Engine::new(&config)?;
    let mut linker = Linker::new(&engine);
    wasmtime_wasi::p2::add_to_linker_async::<Warm>(&mut linker)?;
    execution::add_to_linker::<Warm, StateExecution>(&mut linker, |_| Execution { log: None })?;
    let state = Warm { table: ResourceTable::new(), wasi: WasiCtx::builder().build() };
    let mut store = Store::new(&engine, state);
    store.set_epoch_deadline(1);
    let component = Component::new(&engine, component)?;
    let flow = Measured::instantiate_async(&mut store, &component, &linker).await?;
    let input = INPUT.to_owned();
    let mut samples = Samples::new(CALLS);
    while samples.wants_more() {
        let began = Instant::now();
        let returned = flow.flowhost_flow_handler().call_run(&mut store, &input).await?;
        samples.add(began.elapsed());
        if returned.as_deref().ok() != Some(OUTPUT) {
            return Err(format!("a warm call returned {returned:?}").into());
        }
    }
    Ok(samples.to_json())
}

struct Warm {
    table: ResourceTable,
    wasi: WasiCtx,
}

impl WasiView for Warm {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// The interface that `hello` imports, as slim as the host's own.
struct Execution<'a> {
    log: Option<&'a Log>,
}

struct StateExecution;

impl HasData for StateExecution {
    type Data<'a> = Execution<'a>;
}

/// What `hello` does not call.
fn unused<T>() -> wasmtime::Result<T> {
    Err(wasmtime::Error::msg("the example offers what `hello` calls"))
}

impl execution::Host for Execution<'_> {
    fn id(&mut self) -> wasmtime::Result<String> {
        Ok("01912f4d-8f4e-7000-8000-000000000000".into())
    }

    fn name(&mut self) -> wasmtime::Result<String> {
        Ok("hello".into())
    }

    fn mode(&mut self) -> wasmtime::Result<RunMode> {
        Ok(RunMode::Productive)
    }

    fn deadline(&mut self) -> wasmtime::Result<u64> {
        Ok(0)
    }

    fn log(&mut self, _level: Level, message: String, _fields: Option<String>) -> wasmtime::Result<()> {
        if let Some(log) = self.log {
            let written = log.write(LogLevel::Info, LogSource::Flow, message, None);
            written.map_err(|_| wasmtime::Error::msg("the log is full"))?;
        }
        Ok(())
    }

    fn set_output(&mut self, _name: String, _value: String) -> wasmtime::Result<Result<(), HostError>> {
        Ok(Ok(()))
    }

    fn progress(&mut self, _message: String) -> wasmtime::Result<()> {
        Ok(())
    }

    fn input(&mut self) -> wasmtime::Result<String> {
        unused()
    }

    fn acting_identity(&mut self) -> wasmtime::Result<Option<Identity>> {
        unused()
    }

    fn attempt(&mut self) -> wasmtime::Result<u32> {
        unused()
    }

    fn merge_outputs(&mut self, _: String) -> wasmtime::Result<Result<(), HostError>> {
        unused()
    }

    fn replace_outputs(&mut self, _: String) -> wasmtime::Result<Result<(), HostError>> {
        unused()
    }

    fn append_output(&mut self, _: String, _: String) -> wasmtime::Result<Result<(), HostError>> {
        unused()
    }

    fn end_success(&mut self, _: Option<String>) -> wasmtime::Result<()> {
        unused()
    }

    fn end_error(&mut self, _: FlowError) -> wasmtime::Result<()> {
        unused()
    }

    fn end_cancelled(&mut self, _: Option<String>) -> wasmtime::Result<()> {
        unused()
    }

    fn clone(&mut self, _: Option<String>) -> wasmtime::Result<Result<String, HostError>> {
        unused()
    }

    fn report_panic(&mut self, message: String, _place: Option<String>) -> wasmtime::Result<()> {
        Err(wasmtime::Error::msg(message))
    }
}

/// Times of one thing that is done again and again.
struct Samples {
    warm_up: usize,
    wanted: usize,
    taken: Vec<Duration>,
}

impl Samples {
    fn new(wanted: usize) -> Self {
        Self { warm_up: wanted / 10, wanted, taken: Vec::with_capacity(wanted) }
    }

    fn wants_more(&self) -> bool {
        self.taken.len() < self.wanted
    }

    fn add(&mut self, took: Duration) {
        match self.warm_up.checked_sub(1) {
            Some(left) => self.warm_up = left,
            None => self.taken.push(took),
        }
    }

    fn to_json(&self) -> serde_json::Value {
        let mut sorted = self.taken.clone();
        sorted.sort_unstable();
        let at =
            |part: usize| sorted.get(sorted.len() * part / 100).map_or(0.0, |took| took.as_nanos() as f64 / 1000.0);
        serde_json::json!({ "median": at(50), "p99": at(99) })
    }
}
