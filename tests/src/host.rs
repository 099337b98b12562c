//! Hosts in processes of their own.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::faults::Faults;
use crate::guests;
use crate::patience::{PATIENCE, until};

/// When the pipe to it is closed, its owner is gone without having ended the process: it does so, and clears the folder up.
const GUARD: &str = r#"trap '' INT; read -r _; kill -KILL "$0"; sleep 1; rm -rf "$1""#;

/// What `flowhost serve` prints before its address.
const LISTENS: &str = "flowhost listens on http://";

/// How a host is to be started.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    folder: Option<Arc<TempDir>>,
    flags: Vec<String>,
    variables: Vec<(String, String)>,
    config: Option<String>,
}

impl Setup {
    /// A host with the defaults on a data folder of its own.
    pub fn new() -> Self {
        Self::default()
    }

    /// With another flag of `flowhost serve`.
    pub fn flag(mut self, name: &str, value: &str) -> Self {
        self.flags.extend([name.to_owned(), value.to_owned()]);
        self
    }

    /// With a number of the configuration, as a flag.
    pub fn set(self, key: &str, value: u64) -> Self {
        self.flag("--set", &format!("{key}={value}"))
    }

    /// With a variable of the environment.
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With a `config.toml` in its data folder.
    pub fn config(mut self, text: &str) -> Self {
        self.config = Some(text.to_owned());
        self
    }

    /// With storage that fails when `faults` says so.
    pub fn faults(mut self, faults: &Faults) -> Self {
        let folder = self.folder.get_or_insert_with(|| Arc::new(tempfile::tempdir().unwrap()));
        for (name, value) in faults.variables(folder.path()) {
            self.variables.push((name.to_owned(), value.into_os_string().into_string().unwrap()));
        }
        self
    }

    /// With the data folder of another host, which has one of its own otherwise.
    pub fn data_of(mut self, other: &Host) -> Self {
        self.folder = Some(other.folder.clone());
        self
    }

    /// Starts the host and waits until it listens.
    ///
    /// # Panics
    ///
    /// When it does not start.
    pub fn start(self) -> Host {
        self.try_start().unwrap_or_else(|ended| panic!("the host did not start: {} {}", ended.status, ended.stderr))
    }

    /// Starts the host; gives what it said where it ends before it listens.
    pub fn try_start(mut self) -> Result<Host, NotStarted> {
        let folder = self.folder.get_or_insert_with(|| Arc::new(tempfile::tempdir().unwrap())).clone();
        let data = folder.path().join("data");
        if let Some(config) = &self.config {
            fs::create_dir_all(&data).unwrap();
            fs::write(data.join("config.toml"), config).unwrap();
        }
        let mut logs = (1..).map(|number| folder.path().join(format!("log-{number}")));
        let log = logs.find(|log| !log.exists()).unwrap();
        let mut process = Process::start(&self, folder.path(), &data, &log);
        match process.address() {
            Some(address) => Ok(Host { setup: self, folder, data, log, address, process: Mutex::new(process) }),
            None => {
                let status = process.wait();
                Err(NotStarted { status, stderr: fs::read_to_string(log).unwrap() })
            }
        }
    }
}

/// A host that ended before it listened.
#[derive(Debug)]
pub struct NotStarted {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote on standard error.
    pub stderr: String,
}

/// A running host. Dropping it kills its process; its data folder goes with the last host that uses it.
#[derive(Debug)]
pub struct Host {
    setup: Setup,
    folder: Arc<TempDir>,
    data: PathBuf,
    log: PathBuf,
    address: SocketAddr,
    process: Mutex<Process>,
}

impl Host {
    /// A host with the defaults on a data folder of its own.
    pub fn start() -> Self {
        Setup::new().start()
    }

    /// The host that the tests of one program share, with the defaults. It lives as long as that program.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Host> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens, as the beginning of an address of the web.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its data folder.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The operator's token.
    pub fn token(&self) -> String {
        fs::read_to_string(self.data.join("operator-token")).unwrap().trim().to_owned()
    }

    /// What it has written on standard error so far, since its last start.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap()).into_owned()
    }

    /// The id of its process.
    pub fn process_id(&self) -> u32 {
        self.process().child.id()
    }

    /// How it was started, on the data folder that it has.
    pub(crate) fn setup(&self) -> Setup {
        self.setup.clone()
    }

    /// Ends its process as a crash would, in the midst of whatever it does.
    pub fn kill(&self) {
        self.process().kill();
    }

    /// Tells its process to end, and returns at once.
    pub fn terminate(&self) {
        self.process().signal(Signal::TERM);
    }

    /// Tells its process that its terminal is gone, and returns at once.
    pub fn hang_up(&self) {
        self.process().signal(Signal::HUP);
    }

    /// Stops its process for a while, as a machine does that is suspended.
    pub fn suspend_for(&self, time: Duration) {
        self.process().signal(Signal::STOP);
        thread::sleep(time);
        self.process().signal(Signal::CONT);
    }

    /// Waits until its process has ended by itself.
    pub fn wait(&self) -> ExitStatus {
        until("the host has ended", || self.process().child.try_wait().unwrap())
    }

    /// Starts a new process in the same way on the same data folder. The former must have ended. The port is another.
    pub fn restart(self) -> Self {
        assert!(self.process().child.try_wait().unwrap().is_some(), "the former process still runs");
        self.setup.clone().start()
    }

    /// Starts a new process as [`Host::restart`] does, as often as it takes, as a service manager would: while the storage fails,
    /// processes may end before they listen.
    ///
    /// # Panics
    ///
    /// When none has begun to listen in [`PATIENCE`].
    pub fn started_again(&self) -> Self {
        until("a process listens", || self.setup.clone().try_start().ok())
    }

    /// [`Host::restart`] after [`Host::kill`].
    pub fn crash(self) -> Self {
        self.kill();
        self.restart()
    }

    /// Ends its process, and moves its folder to where nobody deletes it.
    pub fn keep(&self) -> PathBuf {
        self.kill();
        let name = format!("flowhost-kept-{}", self.process_id());
        let kept = self.folder.path().with_file_name(name);
        fs::rename(self.folder.path(), &kept).unwrap();
        kept
    }

    fn process(&self) -> std::sync::MutexGuard<'_, Process> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("── the host's log ──\n{}", self.log());
        }
    }
}

/// The program under test.
pub(crate) fn program() -> Command {
    let program = guests::target().join("release/flowhost");
    assert!(program.exists(), "{} is missing; run `cargo build --release` first", program.display());
    let mut command = Command::new(program);
    let foreign = std::env::vars_os().map(|(name, _)| name);
    for name in foreign.filter(|name| name == "RUST_LOG" || name.to_string_lossy().starts_with("FLOWHOST_")) {
        command.env_remove(name);
    }
    command
}

/// A process that does not outlive its owner, even if that is killed.
#[derive(Debug)]
struct Process {
    child: Child,
    stdout: Option<BufReader<ChildStdout>>,
    /// A shell that runs [`GUARD`].
    guard: Child,
    _alive: Option<ChildStdin>,
}

impl Process {
    fn start(setup: &Setup, folder: &Path, data: &Path, log: &Path) -> Self {
        let mut command = program();
        command.args(["serve", "--data"]).arg(data).args(&setup.flags);
        if !setup.flags.iter().any(|flag| flag == "--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        command.envs(setup.variables.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(File::create(log).unwrap());
        let mut child = command.spawn().unwrap();
        let mut guard = Command::new("sh");
        guard.args(["-c", GUARD, &child.id().to_string()]).arg(folder);
        let mut guard = guard.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let stdout = child.stdout.take().map(BufReader::new);
        let alive = guard.stdin.take();
        Self { child, stdout, guard, _alive: alive }
    }

    /// The address that it prints, or none where it ends without.
    fn address(&mut self) -> Option<SocketAddr> {
        let mut stdout = self.stdout.take().unwrap();
        let (said, line) = mpsc::channel();
        thread::spawn(move || {
            let mut line = String::new();
            stdout.read_line(&mut line).unwrap();
            // The reader is handed back so that what the host says later does not fail.
            let _taken = said.send((line, stdout));
        });
        let (line, stdout) = line.recv_timeout(PATIENCE).expect("the host says where it listens, or ends");
        self.stdout = Some(stdout);
        let address = line.trim_end().strip_prefix(LISTENS)?;
        Some(address.parse().unwrap_or_else(|_| panic!("`{address}` is no address")))
    }

    fn wait(&mut self) -> ExitStatus {
        until("the process has ended", || self.child.try_wait().unwrap())
    }

    fn signal(&self, signal: Signal) {
        let id = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(id, signal).unwrap();
    }

    fn kill(&mut self) {
        // Neither fails but for a process that has ended and was waited for, which is what is wanted.
        let _told = self.child.kill();
        let _ended = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The guard first: from here on the process's id may belong to another.
        let _told = self.guard.kill();
        let _ended = self.guard.wait();
        self.kill();
    }
}
