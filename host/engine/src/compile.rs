//! Compilation within limits.
//!
//! wasmtime can neither be told to stop compiling nor to use less, and a component may be made to compile for ever. So a
//! program that serves compiles in a process of its own, which can be ended; the library alone bounds size and parallelism.
//!
//! The worker gets the component on its standard input and returns the artifact on its standard output, so that it leaves
//! no files. Its standard input stays open until the host is done with it: a worker that finds the end of it has lost its
//! host and ends. The system's own means for this, a signal at the death of the parent, is sent when the *thread* that
//! started the worker ends, which may be long before the process does.

use std::io::{self, Read, Write};
use std::num::NonZero;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use flowhost_model::bounded_line;
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, Signal};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};

use crate::config;
use crate::error::{CompileError, InvalidComponent};
use crate::host_memory;

/// The worker's exit code for a component that does not compile; its reason is on standard error.
const EXIT_INVALID: u8 = 65;

/// The longest reason that is told, in bytes. It may name what the component names.
const REASON_LIMIT: usize = 2_000;

/// What is read of what the worker says, in bytes. Beyond it the worker cannot write on, and ends.
const SAID_LIMIT: u64 = 64 << 10;

/// How much less of the processor compilation gets than calls do.
const NICENESS: i32 = 10;

/// The stack of the thread that notices the end of the host.
const WATCH_STACK: usize = 64 << 10;

/// What one compilation may use.
#[derive(Clone, Copy, Debug)]
pub struct CompileLimits {
    /// The largest component, in bytes. JavaScript and Python flows bring their engine of 12 to 18 MB.
    pub component_bytes: u64,
    /// The longest compilation. Such an engine takes some 20 s on two cores.
    pub time: Duration,
    /// The address space that a compilation may add to its process, in bytes.
    pub memory_bytes: u64,
    /// The largest compiled program, in bytes: the host holds it in memory. Each memory of a component may add 16 MiB to it,
    /// however small the component is.
    pub artifact_bytes: u64,
    /// Compilations at once.
    pub parallel: usize,
}

impl Default for CompileLimits {
    fn default() -> Self {
        Self {
            component_bytes: 64 << 20,
            time: Duration::from_secs(180),
            memory_bytes: 4 << 30,
            artifact_bytes: 256 << 20,
            parallel: 1,
        }
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
    /// Compiles a component that passed the contract's check. Returns the artifact.
    pub(crate) async fn compile(
        &self,
        engine: &wasmtime::Engine,
        bytes: Vec<u8>,
        limits: CompileLimits,
    ) -> Result<Vec<u8>, CompileError> {
        match self {
            Self::InProcess => {
                let engine = engine.clone();
                let compiled = tokio::task::spawn_blocking(move || precompile(&engine, &bytes)).await;
                compiled.map_err(|error| CompileError::Host(error.to_string()))?.map_err(CompileError::Invalid)
            }
            Self::Process { program, arguments } => compile_in_process(program, arguments, &bytes, limits).await,
        }
    }
}

fn precompile(engine: &wasmtime::Engine, bytes: &[u8]) -> Result<Vec<u8>, InvalidComponent> {
    let malformed = |error| InvalidComponent::Malformed(bounded_line(format_args!("{error:#}"), REASON_LIMIT));
    engine.precompile_component(bytes).map_err(malformed)
}

/// What the worker wrote on its standard output.
enum Written {
    Artifact(Vec<u8>),
    /// More bytes than an artifact may have. They were not read.
    TooLarge(u64),
    /// Less than it announced.
    Broken,
}

async fn compile_in_process(
    program: &Path,
    arguments: &[String],
    component: &[u8],
    limits: CompileLimits,
) -> Result<Vec<u8>, CompileError> {
    let mut worker = tokio::process::Command::new(program)
        .args(arguments)
        .arg(component.len().to_string())
        .arg(limits.memory_bytes.to_string())
        .arg(cpu_seconds(limits.time).to_string())
        // It reads what strangers made, and needs nothing of this process's environment, which may hold keys.
        .env_clear()
        // An allocator that reserves address space ahead would use up the limit before it began.
        .env("MIMALLOC_ARENA_RESERVE", "0")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // The signals that a terminal sends are for the server to handle.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| not_started(program, &error))?;
    let (Some(mut lifeline), Some(stdout), Some(stderr)) =
        (worker.stdin.take(), worker.stdout.take(), worker.stderr.take())
    else {
        return Err(CompileError::Host("the compiler has no standard streams".into()));
    };
    let ended = tokio::time::timeout(limits.time, async {
        let mut said = Vec::new();
        let (_gone, written, heard) = tokio::join!(
            // A worker that stops reading has ended; its exit code and its words say why.
            lifeline.write_all(component),
            read_artifact(stdout, limits.artifact_bytes),
            async { stderr.take(SAID_LIMIT).read_to_end(&mut said).await },
        );
        heard?;
        io::Result::Ok((written?, worker.wait().await?, said))
    });
    let (written, status, said) = match ended.await {
        Ok(ended) => ended.map_err(host_failed)?,
        Err(_) => {
            // Waited for as well, so that nothing is left of it.
            worker.kill().await.map_err(host_failed)?;
            return Err(InvalidComponent::CompileLimit(format!("it took longer than {:?}", limits.time)).into());
        }
    };
    let said = bounded_line(String::from_utf8_lossy(&said).trim(), REASON_LIMIT);
    match (written, status.code()) {
        (Written::TooLarge(size), _) => {
            let limit = limits.artifact_bytes;
            let reason = format!("the compiled program has {size} bytes; at most {limit} are allowed");
            Err(InvalidComponent::CompileLimit(reason).into())
        }
        (Written::Artifact(artifact), Some(0)) => Ok(artifact),
        (_, Some(0)) => Err(CompileError::Host("the compiler left without an artifact".into())),
        (_, Some(code)) if code == i32::from(EXIT_INVALID) => Err(InvalidComponent::Malformed(said).into()),
        (_, Some(code)) => Err(CompileError::Host(format!("the compiler left with exit code {code}: {said}"))),
        (_, None) => {
            tracing::warn!(%status, %said, "the compiler's process was ended");
            Err(ended_by_signal(status, limits))
        }
    }
}

/// Reads the artifact's size, and the artifact unless it is too large.
async fn read_artifact(mut stdout: impl AsyncRead + Unpin, limit: u64) -> io::Result<Written> {
    let size = match stdout.read_u64_le().await {
        Ok(size) if size > limit => return Ok(Written::TooLarge(size)),
        Ok(size) => size,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Written::Broken),
        Err(error) => return Err(error),
    };
    let mut artifact = Vec::new();
    let room = usize::try_from(size).map_or(Ok(()), |size| artifact.try_reserve_exact(size));
    room.map_err(|_| io::ErrorKind::OutOfMemory)?;
    stdout.take(size).read_to_end(&mut artifact).await?;
    Ok(if artifact.len() as u64 == size { Written::Artifact(artifact) } else { Written::Broken })
}

fn host_failed(error: io::Error) -> CompileError {
    if host_memory::is_io_exhausted(&error) {
        CompileError::Exhausted(error.to_string())
    } else {
        CompileError::Host(error.to_string())
    }
}

/// Why there is no worker: the host has run out of memory, processes or descriptors, or the program is not there.
fn not_started(program: &Path, error: &io::Error) -> CompileError {
    let exhausted = [Errno::NOMEM, Errno::AGAIN, Errno::MFILE, Errno::NFILE];
    let reason = format!("{}: {error}", program.display());
    if exhausted.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error())) {
        CompileError::Exhausted(reason)
    } else {
        CompileError::Host(reason)
    }
}

/// Why a signal ended the worker. A failed allocation aborts; what the worker does wrong itself is the component's doing.
fn ended_by_signal(status: ExitStatus, limits: CompileLimits) -> CompileError {
    let is_signal = |signal: Signal| status.signal() == Some(signal.as_raw());
    if is_signal(Signal::KILL) {
        return CompileError::Exhausted("the compiler was killed, as a system without memory does".into());
    }
    let reason = if is_signal(Signal::XCPU) {
        format!("it took more than {} s of processor time", cpu_seconds(limits.time))
    } else {
        format!("the compiler was ended; it may use {} MiB", limits.memory_bytes >> 20)
    };
    InvalidComponent::CompileLimit(reason).into()
}

/// What a worker may compute within the limit of time if it has every processor for itself. It bounds what a worker does
/// that its host does not end.
fn cpu_seconds(time: Duration) -> u64 {
    let processors = thread::available_parallelism().map_or(1, NonZero::get) as u64;
    time.as_secs().saturating_add(1).saturating_mul(processors)
}

/// The compiler's process: reads a component from standard input and writes the artifact's size and the artifact to
/// standard output. Ends when standard input does.
///
/// The arguments are the component's size, how much address space the process may add to what it begins with, both in
/// bytes, and how many seconds it may compute.
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
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn worker(arguments: &[String]) -> Result<(), CompileError> {
    let [size, memory, seconds] = arguments else {
        return Err(CompileError::Host("expected a size, a number of bytes and a number of seconds".into()));
    };
    let number = |text: &String| text.parse::<u64>().map_err(|error| CompileError::Host(error.to_string()));
    let (size, memory, seconds) = (number(size)?, number(memory)?, number(seconds)?);
    // Not being allowed to be nice is no reason not to work.
    let _niceness = rustix::process::nice(NICENESS);
    let mut component = Vec::new();
    io::stdin().take(size).read_to_end(&mut component).map_err(host_failed)?;
    if component.len() as u64 != size {
        return Err(CompileError::Host("the component is not whole".into()));
    }
    end_with_host().map_err(host_failed)?;
    limit_process(memory, seconds).map_err(|error| host_failed(error.into()))?;
    let engine = wasmtime::Engine::new(&config::base()).map_err(|error| CompileError::Host(error.to_string()))?;
    let artifact = precompile(&engine, &component)?;
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(&(artifact.len() as u64).to_le_bytes());
    written.and_then(|()| stdout.write_all(&artifact)).and_then(|()| stdout.flush()).map_err(host_failed)
}

/// Sets the limits that the system keeps for this process.
fn limit_process(memory: u64, seconds: u64) -> rustix::io::Result<()> {
    // What the process has before it compiles (its program, the component, what its allocator set aside) is not counted.
    let memory = address_space().saturating_add(memory);
    let limit = |current: u64, maximum: u64| Rlimit { current: Some(current), maximum: Some(maximum) };
    rustix::process::setrlimit(Resource::As, limit(memory, memory))?;
    rustix::process::setrlimit(Resource::Cpu, limit(seconds, seconds.saturating_add(1)))?;
    // To run out of memory is expected here, and aborts; a dump of it is of no use. Nor does it write any other file.
    rustix::process::setrlimit(Resource::Core, limit(0, 0))?;
    rustix::process::setrlimit(Resource::Fsize, limit(0, 0))
}

/// Ends this process when its host does not hold the other end of standard input any more. Returns when the thread that
/// watches it has all the memory that it needs, which the allocator reserves by the dozens of megabytes.
fn end_with_host() -> io::Result<()> {
    let (begun, has_begun) = mpsc::channel();
    let watch = move || {
        let mut stdin = io::stdin().lock();
        let _begun = begun.send(());
        loop {
            match stdin.read(&mut [0]) {
                Ok(0) => break,
                Err(error) if error.kind() != io::ErrorKind::Interrupted => break,
                _ => {}
            }
        }
        // Whatever the other threads are in the middle of, the host no longer waits for it.
        let _ended = rustix::process::kill_process(rustix::process::getpid(), Signal::KILL);
    };
    thread::Builder::new().name("host-watch".into()).stack_size(WATCH_STACK).spawn(watch)?;
    let _begun = has_begun.recv();
    Ok(())
}

/// The address space of this process in bytes; 0 where the system does not tell.
fn address_space() -> u64 {
    let sizes = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = sizes.split(' ').next().and_then(|pages| pages.parse().ok()).unwrap_or(0);
    pages.saturating_mul(rustix::param::page_size() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn written(bytes: &[u8], limit: u64) -> Written {
        read_artifact(bytes, limit).await.unwrap()
    }

    #[tokio::test]
    async fn artifact_beyond_its_limit_is_not_read() {
        let sent = [&3_u64.to_le_bytes()[..], b"abc"].concat();
        assert!(matches!(written(&sent, 3).await, Written::Artifact(artifact) if artifact == b"abc"));
        assert!(matches!(written(&sent, 2).await, Written::TooLarge(3)));
        assert!(matches!(written(&u64::MAX.to_le_bytes(), 1 << 30).await, Written::TooLarge(u64::MAX)));
        assert!(matches!(written(&sent[..10], 3).await, Written::Broken));
        assert!(matches!(written(b"panic", 3).await, Written::Broken));
        assert!(matches!(written(b"", 3).await, Written::Broken));
    }

    #[test]
    fn host_without_resources_does_not_blame_the_component() {
        let refused = |errno: Errno| not_started(Path::new("compiler"), &errno.into());
        assert!(matches!(refused(Errno::AGAIN), CompileError::Exhausted(_)));
        assert!(matches!(refused(Errno::MFILE), CompileError::Exhausted(_)));
        assert!(matches!(refused(Errno::NOENT), CompileError::Host(reason) if reason.starts_with("compiler: ")));
        let limits = CompileLimits { time: Duration::from_secs(9), ..CompileLimits::default() };
        let ended = |signal: Signal| ended_by_signal(ExitStatus::from_raw(signal.as_raw()), limits);
        assert!(matches!(ended(Signal::KILL), CompileError::Exhausted(_)));
        for (signal, words) in [(Signal::ABORT, "4096 MiB"), (Signal::SEGV, "4096 MiB"), (Signal::XCPU, "processor")] {
            let reason = ended(signal).to_string();
            assert!(
                reason.starts_with("it could not be compiled within its limits") && reason.contains(words),
                "{reason}"
            );
        }
    }
}
