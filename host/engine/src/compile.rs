//! Compilation within limits.
//!
//! wasmtime can neither be told to stop compiling nor to use less, and a component may be made to compile for ever. So a
//! program that serves compiles in a process of its own, which can be ended; the library alone bounds size and parallelism.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use rustix::process::{Resource, Rlimit};
use tokio::io::AsyncReadExt;

use crate::config;
use crate::error::{CompileError, InvalidComponent};

/// The worker's exit code for a component that does not compile; its reason is on standard error.
const EXIT_INVALID: u8 = 65;

/// What is read of what the worker says, in bytes. Beyond it the worker cannot write on, and ends.
const SAID_LIMIT: u64 = 64 << 10;

/// How much less of the processor compilation gets than calls do.
const NICENESS: i32 = 10;

/// What one compilation may use.
#[derive(Clone, Copy, Debug)]
pub struct CompileLimits {
    /// The largest component, in bytes. JavaScript and Python flows bring their engine of 12 to 18 MB.
    pub component_bytes: u64,
    /// The longest compilation. Such an engine takes some 20 s on two cores.
    pub time: Duration,
    /// The address space that a compilation may add to its process, in bytes.
    pub memory_bytes: u64,
    /// Compilations at once.
    pub parallel: usize,
}

impl Default for CompileLimits {
    fn default() -> Self {
        Self { component_bytes: 64 << 20, time: Duration::from_secs(180), memory_bytes: 4 << 30, parallel: 1 }
    }
}

/// Where compilation happens.
#[derive(Clone, Debug)]
pub enum Compiler {
    /// On a thread of this process, without limits of time and memory. For embedders who trust their flows.
    InProcess,
    /// In a process of this program, which must call [`worker_main`] with what follows these arguments.
    Process {
        /// The program.
        program: PathBuf,
        /// The arguments that lead it to [`worker_main`].
        arguments: Vec<String>,
    },
}

impl Compiler {
    /// Compiles a component that passed the contract's check. Gives the artifact.
    pub(crate) async fn compile(
        &self,
        engine: &wasmtime::Engine,
        bytes: Vec<u8>,
        folder: &Path,
        limits: CompileLimits,
    ) -> Result<Vec<u8>, CompileError> {
        match self {
            Self::InProcess => {
                let engine = engine.clone();
                let compiled = tokio::task::spawn_blocking(move || precompile(&engine, &bytes)).await;
                compiled.map_err(|error| CompileError::Host(error.to_string()))?.map_err(CompileError::Invalid)
            }
            Self::Process { program, arguments } => compile_in_process(program, arguments, bytes, folder, limits).await,
        }
    }
}

fn precompile(engine: &wasmtime::Engine, bytes: &[u8]) -> Result<Vec<u8>, InvalidComponent> {
    engine.precompile_component(bytes).map_err(|error| InvalidComponent::Malformed(format!("{error:#}")))
}

async fn compile_in_process(
    program: &Path,
    arguments: &[String],
    bytes: Vec<u8>,
    folder: &Path,
    limits: CompileLimits,
) -> Result<Vec<u8>, CompileError> {
    let host = |error: std::io::Error| CompileError::Host(error.to_string());
    let folder = folder.to_owned();
    let files = tokio::task::spawn_blocking(move || -> std::io::Result<_> {
        let mut component = tempfile::NamedTempFile::new_in(&folder)?;
        component.write_all(&bytes)?;
        Ok((component, tempfile::NamedTempFile::new_in(&folder)?))
    });
    let (component, artifact) = files.await.map_err(|error| CompileError::Host(error.to_string()))?.map_err(host)?;
    let mut worker = tokio::process::Command::new(program)
        .args(arguments)
        .arg(component.path())
        .arg(artifact.path())
        .arg(limits.memory_bytes.to_string())
        // It reads what strangers made, and needs nothing of this process's environment, which may hold keys.
        .env_clear()
        // An allocator that reserves address space ahead would use up the limit before it began.
        .env("MIMALLOC_ARENA_RESERVE", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| CompileError::Host(format!("{}: {error}", program.display())))?;
    let mut said = Vec::new();
    let reading = worker.stderr.take();
    let ended = tokio::time::timeout(limits.time, async {
        if let Some(stderr) = reading {
            stderr.take(SAID_LIMIT).read_to_end(&mut said).await?;
        }
        worker.wait().await
    });
    let status = match ended.await {
        Ok(status) => status.map_err(host)?,
        Err(_) => {
            // Waited for as well, so that nothing is left of it.
            worker.kill().await.map_err(host)?;
            return Err(InvalidComponent::CompileLimit(format!("it took longer than {:?}", limits.time)).into());
        }
    };
    let said = String::from_utf8_lossy(&said).trim().to_owned();
    match status.code() {
        Some(0) => {
            let read = tokio::task::spawn_blocking(move || fs::read(artifact.path())).await;
            read.map_err(|error| CompileError::Host(error.to_string()))?.map_err(host)
        }
        Some(code) if code == i32::from(EXIT_INVALID) => Err(InvalidComponent::Malformed(said).into()),
        // A failed allocation aborts.
        None => {
            let mebibytes = limits.memory_bytes >> 20;
            let reason = format!("the compiler was ended; it may use {mebibytes} MiB");
            tracing::warn!(%status, %said, "the compiler's process was ended");
            Err(InvalidComponent::CompileLimit(reason).into())
        }
        Some(code) => Err(CompileError::Host(format!("the compiler left with exit code {code}: {said}"))),
    }
}

/// The compiler's process: reads a component from the first path, writes its artifact to the second, and may add as
/// much address space to what it begins with as the third says, in bytes.
pub fn worker_main(arguments: &[String]) -> ExitCode {
    match worker(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        // The reason alone: who reads it knows what it is the reason of.
        Err(CompileError::Invalid(InvalidComponent::Malformed(reason))) => {
            eprintln!("{reason}");
            ExitCode::from(EXIT_INVALID)
        }
        Err(CompileError::Invalid(error)) => {
            eprintln!("{error}");
            ExitCode::from(EXIT_INVALID)
        }
        Err(CompileError::Host(error)) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// The address space of this process in bytes; 0 where the system does not tell.
fn address_space() -> u64 {
    let sizes = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = sizes.split(' ').next().and_then(|pages| pages.parse().ok()).unwrap_or(0);
    pages.saturating_mul(rustix::param::page_size() as u64)
}

fn worker(arguments: &[String]) -> Result<(), CompileError> {
    let host = |error: &dyn std::fmt::Display| CompileError::Host(error.to_string());
    let [component, artifact, memory] = arguments else {
        return Err(CompileError::Host("expected a component, an artifact and a number of bytes".into()));
    };
    let memory: u64 = memory.parse().map_err(|error: std::num::ParseIntError| host(&error))?;
    // What the process has before it begins (its program, what its allocator set aside) is not the component's doing.
    let memory = address_space().saturating_add(memory);
    let limit = Rlimit { current: Some(memory), maximum: Some(memory) };
    rustix::process::setrlimit(Resource::As, limit).map_err(|error| host(&error))?;
    // To run out of memory is expected here, and aborts; nobody wants a dump of it.
    let no_dump = Rlimit { current: Some(0), maximum: Some(0) };
    rustix::process::setrlimit(Resource::Core, no_dump).map_err(|error| host(&error))?;
    // Not being allowed to be nice is no reason not to work.
    let _niceness = rustix::process::nice(NICENESS);
    let engine = wasmtime::Engine::new(&config::base()).map_err(|error| host(&error))?;
    let bytes = fs::read(component).map_err(|error| host(&error))?;
    let compiled = precompile(&engine, &bytes).map_err(|error| match error {
        InvalidComponent::Malformed(reason) => InvalidComponent::Malformed(reason.replace('\n', " ")),
        other => other,
    })?;
    fs::write(artifact, compiled).map_err(|error| host(&error))
}
