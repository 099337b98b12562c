//! `flowhost serve`: the host and its server, until a signal ends them.

use std::env;
use std::io;
use std::path::{Path, PathBuf};
use std::process;

use clap::{Args, ValueEnum};
use flowhost::{Compiler, Host, audit};
use flowhost_server::ServerOptions;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::config::{Config, ConfigError};
use crate::descriptors;
use crate::failure::{Exit, Failure};
use crate::output::{self, Output};
use crate::token;

/// Where and how to serve.
#[derive(Args)]
pub(crate) struct Serve {
    /// The folder that holds everything the host keeps; made if it is missing
    #[arg(long, env = "FLOWHOST_DATA", default_value = "flowhost-data", value_name = "DIR")]
    data: PathBuf,
    /// The address to listen on [default: 127.0.0.1:8080]; port 0 picks a free one
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// The workspace's name, the client in addresses of webhooks that settings make [default: default]
    #[arg(long, value_name = "NAME")]
    workspace: Option<String>,
    /// Set anything that DIR/config.toml can hold, for example --set cpu_ms=500
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// How log lines on standard error look; FLOWHOST_LOG or RUST_LOG chooses which, for example `debug`
    #[arg(long, env = "FLOWHOST_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    /// End as a crash would, right after so many commits of the store: for tests of what that leaves behind
    #[arg(long, hide = true, value_name = "COMMITS")]
    abort_after_commits: Option<u64>,
}

/// How log lines look.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    /// For people
    Text,
    /// For programs: one JSON object a line
    Json,
}

impl Serve {
    /// Serves until a signal comes.
    pub(crate) fn run(self) -> Result<(), Failure> {
        start_log(self.log_format)?;
        log_panics();
        let config = self.config()?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::new(Exit::Local, format!("no threads to work with: {error}")))?;
        runtime.block_on(serve(&self, config))
    }

    fn config(&self) -> Result<Config, Failure> {
        // In one line: service managers show the last one.
        let wrong = |exit, error: ConfigError| {
            Failure::new(exit, format!("{error}; docs/operating.md lists the keys with their defaults"))
        };
        let wrong_flag = |error| wrong(Exit::Usage, error);
        let variables =
            env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        let (mut config, others) =
            Config::load(&self.data, variables.collect()).map_err(|error| wrong(Exit::Local, error))?;
        for variable in others {
            tracing::warn!(variable, "a variable that configures nothing");
        }
        for assignment in &self.set {
            config.apply_flag(assignment).map_err(wrong_flag)?;
        }
        for (key, value) in [("listen", &self.listen), ("workspace", &self.workspace)] {
            if let Some(value) = value {
                config.apply_text(key, value, &format!("--{key}")).map_err(wrong_flag)?;
            }
        }
        for (key, value) in config.changed() {
            tracing::info!(key, value, "configured");
        }
        Ok(config)
    }
}

async fn serve(arguments: &Serve, config: Config) -> Result<(), Failure> {
    let Serve { data, log_format, abort_after_commits, .. } = arguments;
    // Before anything is opened, so that a signal never finds the process half-way without a handler.
    let signals = Signals::listen().map_err(|error| Failure::new(Exit::Local, format!("no signals: {error}")))?;
    let wrong_key = |error: ConfigError| {
        Failure::new(Exit::Local, format!("{error}; docs/operating.md says where the keys for secrets belong"))
    };
    let secret_keys = config.secret_keys(data).map_err(wrong_key)?;
    descriptors::raise(&config);
    let host = Host::builder()
        .data(data)
        .workspace(&config.workspace)
        .limits(config.limits)
        .http(config.http)
        .secret_keys(secret_keys)
        .abort_after_commits(*abort_after_commits)
        .compiler(Compiler::Process { program: this_program(), arguments: vec!["compile-worker".into()] })
        .build()
        .await
        .map_err(|problem| Failure::new(Exit::Local, format!("the host cannot start: {}", problem.detail)))?;
    show_memory(&host, &config.server);
    let grace = config.server.drain_timeout;
    let is_protected = config.server.listen.ip().to_canonical().is_loopback()
        || config.server.is_public_tls()
        || !config.server.trusted_proxies.is_empty();
    let server = match flowhost_server::bind(host.clone(), config.server).await {
        Ok(server) => server,
        Err(error) => {
            host.shutdown().await;
            return Err(Failure::new(Exit::Local, error.to_string()));
        }
    };
    // Scripts wait for this line.
    let address = server.local_addr();
    if !is_protected {
        tracing::warn!(
            %address,
            "others than this machine may reach the host, and it speaks no TLS: tokens, passwords and keys can be read on the \
             way; put a proxy that ends TLS in front and name its address in `public_url`"
        );
    }
    Output { json: false }.data(&format!("flowhost listens on http://{address}"))?;
    if *log_format == LogFormat::Text {
        output::say(&format!("the operator's token is in {}", data.join(token::FILE).display()));
        output::say("next: `flowhost deploy FILE --name NAME`, `flowhost webhook create NAME --flow NAME --enable`");
    }
    server.run(signals.first()).await;
    host.shutdown_within(grace).await;
    Ok(())
}

/// Shows the budgets of memory, and says where they do not fit the machine.
fn show_memory(host: &Host, server: &ServerOptions) {
    let uploads = server.upload_bytes(host.limits());
    let budgets = host.info().memory.clone().with("request_bytes", server.request_bytes);
    let budgets = budgets.with("answer_bytes", server.answer_bytes).with("uploads", uploads);
    tracing::info!("memory at the most: {budgets}");
    if let Some(advice) = budgets.advice(host.limits()) {
        tracing::warn!("{advice}");
    }
}

/// The program that runs, even where another one has taken its place in the file system since it was started.
fn this_program() -> PathBuf {
    let running = Path::new("/proc/self/exe");
    if running.exists() { running.to_owned() } else { env::current_exe().unwrap_or_else(|_| "flowhost".into()) }
}

/// The signals that end the server.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// `None` if the process was started with this signal ignored, as `nohup` does.
    hangup: Option<Signal>,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        // Asked first: to listen for a signal is to ignore it no more.
        let outlives_terminal = ignores_hangup();
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: if outlives_terminal { None } else { Some(signal(SignalKind::hangup())?) },
        })
    }

    /// Waits for the first signal. A second one ends the process at once.
    async fn first(mut self) {
        let (signal, _) = self.next().await;
        tracing::info!(signal, "ending: requests under way are answered first; a second signal ends at once");
        tokio::spawn(async move {
            let (_, number) = self.next().await;
            // What shells report for a process that a signal ended.
            process::exit(128 + number.as_raw_value());
        });
    }

    /// Waits for a signal. Returns its name and number.
    async fn next(&mut self) -> (&'static str, SignalKind) {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.terminate.recv() => ("SIGTERM", SignalKind::terminate()),
            _ = self.interrupt.recv() => ("SIGINT", SignalKind::interrupt()),
            _ = hangup => ("SIGHUP", SignalKind::hangup()),
        }
    }
}

/// Returns whether the process ignores SIGHUP, which it then has from the program that started it. `false` on systems that do
/// not say so in `/proc`.
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    // SIGHUP is number 1, so the lowest bit.
    mask & 1 == 1
}

/// Writes panics of the host where its other lines are, in their format. With `RUST_BACKTRACE` the usual report follows.
fn log_panics() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let place = panic.location().map(ToString::to_string);
        let reason = panic.payload_as_str().map(audit::printable);
        let thread = std::thread::current();
        tracing::error!(target: audit::TARGET, event = "host.panicked", thread = thread.name(), place, reason, "the host panicked");
        if env::var_os("RUST_BACKTRACE").is_some() {
            usual(panic);
        }
    }));
}

fn start_log(format: LogFormat) -> Result<(), Failure> {
    let chosen = env::var("FLOWHOST_LOG").or_else(|_| env::var(EnvFilter::DEFAULT_ENV)).unwrap_or_default();
    let chosen = if chosen.is_empty() { "info".into() } else { chosen };
    let filter = EnvFilter::try_new(&chosen).map_err(|error| {
        Failure::new(Exit::Usage, format!("`{chosen}` chooses no log lines: {error}")).next(
            "FLOWHOST_LOG and RUST_LOG take a level, such as `debug`, or levels by module, such as `flowhost=debug`",
        )
    })?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    // If standard error is gone, as after a terminal was closed, a line about that would fail as well, and panic.
    let log = log.log_internal_errors(false);
    match format {
        LogFormat::Text => log.with_ansi(output::colours(&io::stderr())).init(),
        LogFormat::Json => log.json().init(),
    }
    Ok(())
}
