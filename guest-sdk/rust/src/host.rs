//! Executions and requests of the host that runs this component.

mod children;
mod settings;
mod sleep;

use std::time::SystemTime;

use crate::bindings::flowhost::flow::execution;
use crate::bindings::flowhost::flow::request::{self, IncomingRequest};
use crate::bindings::flowhost::flow::types;
use crate::{Execution, HostError, Level, Mode};

/// The one execution of this instance; there is nothing to hold on to.
#[derive(Debug)]
pub(crate) struct Backend;

pub(crate) type RequestBackend = IncomingRequest;

/// The execution that the host has just started here.
pub(crate) fn started() -> Execution {
    crate::panic::report_to_host();
    Execution { backend: Backend }
}

impl Backend {
    pub(crate) fn id(&self) -> String {
        execution::id()
    }

    pub(crate) fn name(&self) -> String {
        execution::name()
    }

    pub(crate) fn mode(&self) -> Mode {
        match execution::mode() {
            execution::RunMode::Development => Mode::Development,
            execution::RunMode::Productive => Mode::Productive,
        }
    }

    pub(crate) fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    pub(crate) fn deadline(&self) -> u64 {
        execution::deadline()
    }

    pub(crate) fn log(&self, level: Level, message: &str, fields: Option<&str>) {
        let level = match level {
            Level::Trace => execution::Level::Trace,
            Level::Debug => execution::Level::Debug,
            Level::Info => execution::Level::Info,
            Level::Warn => execution::Level::Warn,
            Level::Error => execution::Level::Error,
        };
        execution::log(level, message, fields);
    }

    pub(crate) fn set_output(&self, name: &str, json: &str) -> Result<(), HostError> {
        Ok(execution::set_output(name, json)?)
    }

    pub(crate) fn progress(&self, message: &str) {
        execution::progress(message);
    }

    pub(crate) fn request(&self) -> Option<RequestBackend> {
        request::current()
    }
}

impl From<types::HostError> for HostError {
    fn from(refused: types::HostError) -> Self {
        Self { code: refused.code, message: refused.message }
    }
}
