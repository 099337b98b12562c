//! `flowhost:flow/execution`: the execution that a flow is.
//!
//! Nothing here but the mode reaches outside of the execution, so the rest is no journal point: what is read is kept with
//! the execution, what is written is part of its record. The mode can be switched while the execution is paused; a flow is
//! told the one that it was told first.

use std::sync::Arc;

use flowhost_engine::{Call, LimitedOutput, LogFull, Outcome, Slots, State, WholeState};
use flowhost_model::{LogLevel, LogSource, RawValue};
use wasmtime::component::Linker;

use crate::capability::{Capability, ExecutionContext};
use crate::execution::{Live, OutputError};

use super::bindings::flowhost::flow::execution::{self, HostError, Json, Level, RunMode, Timestamp};

/// The longest progress message, in bytes. It is a line in a list.
const PROGRESS_LIMIT: usize = 1000;

/// The capability `execution`.
pub(crate) struct ExecutionCapability;

struct Slot {
    live: Arc<Live>,
    /// What the flow was told of its mode: whether it is productive.
    mode: Option<bool>,
}

impl Capability for ExecutionCapability {
    fn interfaces(&self) -> &[&str] {
        &["flowhost:flow/execution"]
    }

    fn link(&self, linker: &mut Linker<State>) -> wasmtime::Result<()> {
        execution::add_to_linker::<_, WholeState>(linker, |state| state)
    }

    fn prepare(&self, execution: &ExecutionContext, slots: &mut Slots) {
        slots.insert(Slot { live: execution.live().clone(), mode: None });
    }
}

fn live(state: &mut State) -> wasmtime::Result<&Arc<Live>> {
    Ok(&state.slot::<Slot>()?.live)
}

/// Tells the flow its mode for the first time in this run.
fn told_mode(state: &mut State, present: bool) -> wasmtime::Result<bool> {
    let call = Call::new("execution.mode", &());
    let told = match state.replay(&call)? {
        Some(told) => told,
        None => {
            state.record(call, &present)?;
            present
        }
    };
    state.slot::<Slot>()?.mode = Some(told);
    Ok(told)
}

impl execution::Host for State {
    fn id(&mut self) -> wasmtime::Result<String> {
        Ok(live(self)?.id.to_string())
    }

    fn name(&mut self) -> wasmtime::Result<String> {
        Ok(live(self)?.start.flow.name.clone())
    }

    fn mode(&mut self) -> wasmtime::Result<RunMode> {
        let slot = self.slot::<Slot>()?;
        let (told, present) = (slot.mode, slot.live.start.is_productive);
        let is_productive = match told {
            Some(told) => told,
            None => told_mode(self, present)?,
        };
        Ok(if is_productive { RunMode::Productive } else { RunMode::Development })
    }

    fn deadline(&mut self) -> wasmtime::Result<Timestamp> {
        // The time that the flow waited does not count.
        let waited = self.journal.waited();
        Ok(u64::try_from(live(self)?.deadline().saturating_add(waited).as_micros()).unwrap_or_default())
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
        let budget = live.start.budget.output_bytes;
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

    fn input(&mut self) -> wasmtime::Result<Json> {
        Err(self.end(Outcome::HostFault("not there yet".into())))
    }

    fn acting_identity(&mut self) -> wasmtime::Result<Option<execution::Identity>> {
        Err(self.end(Outcome::HostFault("not there yet".into())))
    }

    fn attempt(&mut self) -> wasmtime::Result<u32> {
        Err(self.end(Outcome::HostFault("not there yet".into())))
    }

    fn merge_outputs(&mut self, _values: Json) -> wasmtime::Result<Result<(), HostError>> {
        Err(self.end(Outcome::HostFault("not there yet".into())))
    }

    fn replace_outputs(&mut self, _values: Json) -> wasmtime::Result<Result<(), HostError>> {
        Err(self.end(Outcome::HostFault("not there yet".into())))
    }

    fn append_output(&mut self, _name: String, _value: Json) -> wasmtime::Result<Result<(), HostError>> {
        Err(self.end(Outcome::HostFault("not there yet".into())))
    }

    fn end_success(&mut self, _message: Option<String>) -> wasmtime::Result<()> {
        Err(self.end(Outcome::HostFault("not there yet".into())))
    }

    fn end_error(&mut self, _error: execution::FlowError) -> wasmtime::Result<()> {
        Err(self.end(Outcome::HostFault("not there yet".into())))
    }

    fn end_cancelled(&mut self, _message: Option<String>) -> wasmtime::Result<()> {
        Err(self.end(Outcome::HostFault("not there yet".into())))
    }

    async fn clone(&mut self, _input: Option<Json>) -> wasmtime::Result<Result<String, HostError>> {
        Err(self.end(Outcome::HostFault("not there yet".into())))
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
