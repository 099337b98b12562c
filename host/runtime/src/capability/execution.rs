//! `flowhost:flow/execution`: the execution that a flow is.
//!
//! What is read here is kept with the execution, and what is written is part of its record, so most of it is no journal
//! point. The mode, the identity and the attempt may be others when the flow is run again: it is told those that it was told
//! first. A clone is another execution: a step.

use std::sync::Arc;

use flowhost_engine::{Call, Ending, FlowError, LimitedOutput, LogFull, Outcome, Slots, State, WholeState};
use flowhost_model::{LogLevel, LogSource, RawValue};
use wasmtime::component::Linker;

use crate::capability::{Capability, ExecutionContext};
use crate::execution::{Live, OutputError, Outputs};

use super::bindings::flowhost::flow::children::FlowRef;
use super::bindings::flowhost::flow::execution::{self, Json, Level, RunMode, Timestamp};
use super::children::{self, Draft, fits_input};
use super::refusal::{Told, or_refuse, refusal};

/// The longest message of an execution, in bytes. It is a line in a list.
const MESSAGE_LIMIT: usize = 1000;

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

/// Puts something into the outputs, within their budget.
fn put(
    state: &mut State,
    work: impl FnOnce(&mut Outputs, usize) -> Result<(), OutputError>,
) -> wasmtime::Result<Told<()>> {
    let live = live(state)?;
    let budget = live.start.budget.output_bytes;
    match live.with_outputs(|outputs| work(outputs, budget)) {
        Ok(()) => Ok(Ok(())),
        Err(OutputError::TooLarge) => Err(state.end_with_output_limit(LimitedOutput::Outputs)),
        Err(error @ OutputError::NotAList(_)) => Ok(Err(refusal("execution.not-a-list", error.to_string()))),
        Err(error) => Ok(Err(refusal("json.invalid", error.to_string()))),
    }
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
        // What is parsed is a line that fits, or nearly: an object may have blanks around it.
        if !self.log.fits(message.len() + fields.as_ref().map_or(0, String::len)) {
            return Err(self.end_with_output_limit(LimitedOutput::Log));
        }
        let written = self.log.write(level, LogSource::Flow, message, fields.and_then(as_object));
        written.map_err(|LogFull| self.end_with_output_limit(LimitedOutput::Log))
    }

    fn set_output(&mut self, name: String, value: Json) -> wasmtime::Result<Told<()>> {
        put(self, |outputs, budget| outputs.set(name, value, budget))
    }

    fn progress(&mut self, message: String) -> wasmtime::Result<()> {
        let message = self.masked_beginning(message, MESSAGE_LIMIT);
        live(self)?.set_progress(message);
        Ok(())
    }

    fn input(&mut self) -> wasmtime::Result<Json> {
        Ok(live(self)?.start.input.get().to_owned())
    }

    async fn acting_identity(&mut self) -> wasmtime::Result<Option<execution::Identity>> {
        let call = Call::new("execution.acting-identity", &());
        if let Some(told) = self.replay(&call)? {
            return Ok(told);
        }
        let context = self.slot::<ExecutionContext>()?.clone();
        let told = match context.host().acting_identity(context.live()).await {
            Ok(acting) => acting.map(|acting| execution::Identity {
                identity_type: acting.record_type.as_str().to_owned(),
                id: acting.id.to_string(),
                name: acting.name,
            }),
            Err(problem) if problem.is_of_storage() && context.live().may_be_postponed() => {
                return Err(context.host().postpone(self, &problem));
            }
            Err(problem) => return Err(self.end(Outcome::HostFault(problem.detail))),
        };
        self.record(call, &told)?;
        Ok(told)
    }

    fn attempt(&mut self) -> wasmtime::Result<u32> {
        let call = Call::new("execution.attempt", &());
        if let Some(told) = self.replay(&call)? {
            return Ok(told);
        }
        let attempt = live(self)?.attempt;
        self.record(call, &attempt)?;
        Ok(attempt)
    }

    fn merge_outputs(&mut self, values: Json) -> wasmtime::Result<Told<()>> {
        put(self, |outputs, budget| outputs.merge(&values, budget))
    }

    fn replace_outputs(&mut self, values: Json) -> wasmtime::Result<Told<()>> {
        put(self, |outputs, budget| outputs.replace(&values, budget))
    }

    fn append_output(&mut self, name: String, value: Json) -> wasmtime::Result<Told<()>> {
        put(self, |outputs, budget| outputs.append(name, value, budget))
    }

    fn end_success(&mut self, message: Option<String>) -> wasmtime::Result<()> {
        let message = message.map(|message| self.masked_beginning(message, MESSAGE_LIMIT));
        Err(self.end(Outcome::Ended(Ending::Success(message))))
    }

    fn end_error(&mut self, error: execution::FlowError) -> wasmtime::Result<()> {
        let execution::FlowError { message, code, details, retryable } = error;
        let bytes = message.len() + code.as_ref().map_or(0, String::len) + details.as_ref().map_or(0, String::len);
        if bytes > live(self)?.start.budget.output_bytes {
            return Err(self.end_with_output_limit(LimitedOutput::Outputs));
        }
        Err(self.end(Outcome::FlowError(FlowError { message, code, details, retryable })))
    }

    fn end_cancelled(&mut self, message: Option<String>) -> wasmtime::Result<()> {
        let message = message.map(|message| self.masked_beginning(message, MESSAGE_LIMIT));
        Err(self.end(Outcome::Ended(Ending::Cancelled(message))))
    }

    async fn clone(&mut self, input: Option<Json>) -> wasmtime::Result<Told<String>> {
        if let Some(input) = &input {
            or_refuse!(fits_input(input));
        }
        let call = Call::new("execution.clone", &input);
        let start = &live(self)?.start;
        let input = input.unwrap_or_else(|| start.input.get().to_owned());
        let flow = FlowRef::Id(start.flow.id.to_string());
        children::start(self, call, Draft::clone_of(flow, input)).await
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
