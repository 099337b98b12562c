//! `flowhost:flow/execution`: the execution that a flow is.
//!
//! Nothing here reaches outside of the execution, so none of it is a journal point: what is read is kept with the
//! execution, what is written is part of its record.

use std::sync::Arc;

use flowhost_engine::{LimitedOutput, LogFull, Slots, State, WholeState};
use flowhost_model::{LogLevel, LogSource, RawValue};
use wasmtime::component::Linker;

use crate::capability::{Capability, ExecutionContext};
use crate::execution::{Live, OutputError};

use bindings::flowhost::flow::execution::{self, HostError, Json, Level, RunMode, Timestamp};

mod bindings {
    #![allow(missing_docs, unreachable_pub, clippy::all)]
    wasmtime::component::bindgen!({
        path: "../../wit",
        inline: "
            package flowhost:runtime;
            world execution {
                import flowhost:flow/execution@1.0.0;
            }
        ",
        imports: { default: trappable },
    });
}

/// The longest progress message, in bytes. It is a line in a list.
const PROGRESS_LIMIT: usize = 1000;

/// The capability `execution`.
pub(crate) struct ExecutionCapability;

struct Slot(Arc<Live>);

impl Capability for ExecutionCapability {
    fn interfaces(&self) -> &[&str] {
        &["flowhost:flow/execution"]
    }

    fn link(&self, linker: &mut Linker<State>) -> wasmtime::Result<()> {
        execution::add_to_linker::<_, WholeState>(linker, |state| state)
    }

    fn prepare(&self, execution: &ExecutionContext, slots: &mut Slots) {
        slots.insert(Slot(execution.live().clone()));
    }
}

fn live(state: &mut State) -> wasmtime::Result<&Arc<Live>> {
    Ok(&state.slot::<Slot>()?.0)
}

impl execution::Host for State {
    fn id(&mut self) -> wasmtime::Result<String> {
        Ok(live(self)?.id.to_string())
    }

    fn name(&mut self) -> wasmtime::Result<String> {
        Ok(live(self)?.flow.name.clone())
    }

    fn mode(&mut self) -> wasmtime::Result<RunMode> {
        Ok(if live(self)?.is_productive { RunMode::Productive } else { RunMode::Development })
    }

    fn deadline(&mut self) -> wasmtime::Result<Timestamp> {
        Ok(u64::try_from(live(self)?.deadline().as_micros()).unwrap_or_default())
    }

    fn log(&mut self, level: Level, message: String, fields: Option<Json>) -> wasmtime::Result<()> {
        let level = match level {
            Level::Trace => LogLevel::Trace,
            Level::Debug => LogLevel::Debug,
            Level::Info => LogLevel::Info,
            Level::Warn => LogLevel::Warn,
            Level::Error => LogLevel::Error,
        };
        let written = self.log.write(level, LogSource::Flow, message, fields.and_then(as_object));
        written.map_err(|LogFull| self.end_with_output_limit(LimitedOutput::Log))
    }

    fn set_output(&mut self, name: String, value: Json) -> wasmtime::Result<Result<(), HostError>> {
        let live = live(self)?;
        let budget = live.budget.output_bytes;
        match live.with_outputs(|outputs| outputs.set(name, value, budget)) {
            Ok(()) => Ok(Ok(())),
            Err(OutputError::TooLarge) => Err(self.end_with_output_limit(LimitedOutput::Outputs)),
            Err(error) => Ok(Err(HostError { code: "json.invalid".into(), message: error.to_string() })),
        }
    }

    fn progress(&mut self, mut message: String) -> wasmtime::Result<()> {
        message.truncate(message.floor_char_boundary(PROGRESS_LIMIT));
        live(self)?.set_progress(message);
        Ok(())
    }

    fn report_panic(&mut self, message: String, place: Option<String>) -> wasmtime::Result<()> {
        self.note_panic(message, place);
        Ok(())
    }
}

/// The fields of a log line: an object as it is, anything else as the field `value`.
fn as_object(fields: String) -> Option<Box<RawValue>> {
    match RawValue::from_string(fields.clone()) {
        Ok(object) if object.get().starts_with('{') => Some(object),
        // Put together as text: what is JSON need not fit a parsed value, `1e999` for example.
        Ok(value) => RawValue::from_string(format!(r#"{{"value":{}}}"#, value.get())).ok(),
        Err(_) => serde_json::value::to_raw_value(&serde_json::json!({ "value": fields })).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_that_are_no_object_are_kept_as_a_value() {
        let kept = |fields: &str| as_object(fields.into()).unwrap().get().to_owned();
        assert_eq!(kept(r#"{"a": 1}"#), r#"{"a": 1}"#);
        assert_eq!(kept("[1, 2]"), r#"{"value":[1, 2]}"#);
        assert_eq!(kept("1e999"), r#"{"value":1e999}"#);
        assert_eq!(kept("plain text"), r#"{"value":"plain text"}"#);
    }
}
