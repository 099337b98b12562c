//! A host on a data folder of its own.

use std::fs;
use std::time::Duration;

use flowhost::model::{Execution, LogLine, RecordId};
use flowhost::{Budget, Code, Host, Limits, ListRequest};
use serde::Serialize;
use tempfile::TempDir;

pub(crate) struct Fixture {
    pub(crate) host: Host,
    pub(crate) folder: TempDir,
}

/// Limits under which a hostile flow ends soon.
pub(crate) fn limits() -> Limits {
    let budget = Budget {
        cpu: Duration::from_millis(300),
        memory_bytes: 16 << 20,
        output_bytes: 64 << 10,
        log_bytes: 16 << 10,
        handles: 20,
        ..Budget::default()
    };
    // Few executions, since a pool of instances takes address space for each.
    Limits { budget, executions: 4, wait: Duration::from_secs(600), ..Limits::default() }
}

/// Limits under which nothing ends a flow but somebody's wish.
pub(crate) fn patient() -> Limits {
    let hours = Duration::from_secs(10 * 3600);
    let limits = limits();
    Limits { budget: Budget { cpu: hours, wall: hours, ..limits.budget }, admission_wait: hours, wait: hours, ..limits }
}

impl Fixture {
    /// A host with these guests, each deployed under its own name.
    pub(crate) async fn new(guests: &[&str]) -> Self {
        Self::with(guests, limits()).await
    }

    pub(crate) async fn with(guests: &[&str], limits: Limits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let host = Host::builder().data(folder.path()).limits(limits).build().await.unwrap();
        for guest in guests {
            host.deploy(guest, component(guest)).await.unwrap();
        }
        Self { host, folder }
    }

    /// An execution that ended well.
    pub(crate) async fn call(&self, flow: &str, input: impl Serialize) -> Execution {
        self.host.call(flow, input).await.unwrap()
    }

    /// The outputs of an execution that ended well.
    pub(crate) async fn outputs(&self, flow: &str, input: impl Serialize) -> serde_json::Value {
        serde_json::from_str(self.call(flow, input).await.output_value.get()).unwrap()
    }

    /// An execution that ended with an error of this code.
    pub(crate) async fn failed(&self, flow: &str, input: impl Serialize, code: Code) -> Execution {
        let problem = self.host.call(flow, input).await.unwrap_err();
        let execution = problem.execution.unwrap_or_else(|| panic!("{}: {}", problem.code, problem.detail));
        let failure = execution.failure.as_ref().unwrap();
        assert_eq!((problem.code, failure.code.as_str()), (code, code.as_str()), "{failure:?}");
        *execution
    }

    pub(crate) async fn log(&self, id: RecordId) -> Vec<LogLine> {
        self.host.execution_log(&self.host.admin(), id, 0, 10_000).await.unwrap()
    }

    pub(crate) async fn cancel(&self, id: RecordId) -> Execution {
        self.host.cancel(&self.host.admin(), id).await.unwrap()
    }

    /// What the store has, newest first.
    pub(crate) async fn executions(&self) -> Vec<Execution> {
        let request = ListRequest { limit: Some(1000), ..ListRequest::default() };
        self.host.list_executions(&self.host.admin(), request).await.unwrap().items
    }

    /// Looks at an execution until it is as it should become.
    pub(crate) async fn until(&self, id: RecordId, is_so: impl Fn(&Execution) -> bool) -> Execution {
        loop {
            let execution = self.host.execution(id).await.unwrap();
            if is_so(&execution) {
                return execution;
            }
            tokio::task::yield_now().await;
        }
    }
}

/// The component of a guest or an example.
pub(crate) fn component(name: &str) -> Vec<u8> {
    let test = std::env::current_exe().unwrap();
    // Cargo builds tests three folders below its target folder: target/release/deps/host-1234.
    let file = test.ancestors().nth(3).unwrap().join("guests").join(name).with_extension("wasm");
    fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}; run `cargo xtask guests` first", file.display()))
}
