//! Executions and requests of the host that runs this component.

mod children;
mod files;
mod http;
mod locks;
mod messages;
mod records;
mod response;
mod secrets;
mod settings;
mod sleep;

use std::io::{self, Write};
use std::time::SystemTime;

pub(crate) use self::http::ResponseBackend;
pub(crate) use self::response::BodyBackend;
use crate::bindings::flowhost::flow::execution;
use crate::bindings::flowhost::flow::request::{self, IncomingRequest};
use crate::bindings::flowhost::flow::types;
use crate::{Execution, FlowError, HostError, Identity, Level, Mode};

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

    pub(crate) fn input(&self) -> String {
        execution::input()
    }

    pub(crate) fn acting_identity(&self) -> Option<Identity> {
        execution::acting_identity().map(|acting| Identity {
            identity_type: acting.identity_type,
            id: acting.id,
            name: acting.name,
        })
    }

    pub(crate) fn attempt(&self) -> u32 {
        execution::attempt()
    }

    pub(crate) fn merge_outputs(&self, json: &str) -> Result<(), HostError> {
        Ok(execution::merge_outputs(json)?)
    }

    pub(crate) fn replace_outputs(&self, json: &str) -> Result<(), HostError> {
        Ok(execution::replace_outputs(json)?)
    }

    pub(crate) fn append_output(&self, name: &str, json: &str) -> Result<(), HostError> {
        Ok(execution::append_output(name, json)?)
    }

    pub(crate) fn end_success(&self, message: String) -> ! {
        flush();
        execution::end_success(Some(&message).filter(|message| !message.is_empty()).map(String::as_str));
        unreachable!("the host has ended the execution")
    }

    pub(crate) fn end_error(&self, error: FlowError) -> ! {
        flush();
        execution::end_error(&types::FlowError {
            message: error.message().into(),
            code: error.code().map(Into::into),
            details: error.details().map(ToString::to_string),
            retryable: error.is_retryable(),
        });
        unreachable!("the host has ended the execution")
    }

    pub(crate) fn end_cancelled(&self, message: String) -> ! {
        flush();
        execution::end_cancelled(Some(&message).filter(|message| !message.is_empty()).map(String::as_str));
        unreachable!("the host has ended the execution")
    }

    pub(crate) fn clone_execution(&self, json: Option<&str>) -> Result<String, HostError> {
        Ok(execution::clone(json)?)
    }

    pub(crate) fn progress(&self, message: &str) {
        execution::progress(message);
    }

    pub(crate) fn request(&self) -> Option<RequestBackend> {
        request::current()
    }
}

/// Hands over what was printed without a line break: what the standard library still has is lost with the instance.
fn flush() {
    let _closed = (io::stdout().flush(), io::stderr().flush());
}

impl From<types::HostError> for HostError {
    fn from(refused: types::HostError) -> Self {
        Self { code: refused.code, message: refused.message }
    }
}
