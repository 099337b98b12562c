//! From the way a call ended to the end of its record.

use flowhost_engine::{Divergence, Ending, FlowError, LimitedOutput, Outcome};
use flowhost_model::{Execution, Failure, LogLevel, RawValue, Status, Timestamp};

use super::{Live, OutputError};
use crate::problem::{Code, Problem};

/// The code by which a flow says that its input does not fit.
const INVALID_INPUT: &str = "flow.invalid-input";

/// The ended execution. What only operators may know goes to the log.
pub(crate) fn ended(live: &Live, outcome: Outcome, now: Timestamp) -> Execution {
    let mut execution = live.execution();
    execution.ended_at = Some(now);
    let failure = match outcome {
        Outcome::Success(returned) => {
            match live.with_outputs(|outputs| outputs.merge_returned(returned, live.start.budget.output_bytes)) {
                Ok(outputs) => {
                    execution.status = Status::EndedSuccess;
                    execution.output_value = outputs;
                    return execution;
                }
                Err(OutputError::TooLarge) => output_limit(LimitedOutput::Outputs),
                Err(error) => failure(Code::FlowError, error.to_string()),
            }
        }
        Outcome::Ended(Ending::Success(message)) => {
            execution.status = Status::EndedSuccess;
            execution.status_message = message.or(execution.status_message);
            return execution;
        }
        Outcome::Ended(Ending::Cancelled(message)) => {
            cancel(&mut execution, now);
            execution.status_message = message.or(execution.status_message);
            return execution;
        }
        Outcome::Cancelled => {
            cancel(&mut execution, now);
            return execution;
        }
        Outcome::FlowError(error) => flow_failure(error),
        Outcome::Panic { message, place, trace } => {
            let place = place.map_or_else(String::new, |place| format!(" at {place}"));
            Failure { trace, ..failure(Code::FlowPanic, format!("the flow panicked{place}: {message}")) }
        }
        Outcome::Trap { message, trace } => Failure { trace, ..failure(Code::FlowTrap, message) },
        Outcome::CpuLimit => {
            let limit = live.start.budget.cpu.as_millis();
            failure(Code::FlowCpuLimit, format!("the flow used up its CPU time of {limit} ms"))
        }
        Outcome::TimeLimit => {
            let limit = live.start.budget.wall.as_millis();
            failure(Code::FlowTimeLimit, format!("the flow did not end in its time of {limit} ms"))
        }
        Outcome::MemoryLimit => {
            let limit = live.start.budget.memory_bytes;
            failure(Code::FlowMemoryLimit, format!("the flow wanted more memory than its {limit} bytes"))
        }
        Outcome::OutputLimit(what) => output_limit(what),
        Outcome::Diverged(divergence) => diverged(&divergence),
        Outcome::JournalDamaged(reason) => {
            tracing::error!(execution = %live.id, %reason, "the journal of an execution is damaged");
            damaged(reason)
        }
        Outcome::Suspended(_) | Outcome::Postponed => {
            tracing::error!(execution = %live.id, "an execution that waits was ended");
            failure(Code::HostError, "the host failed; the execution's log says more".into())
        }
        Outcome::HostExhausted(reason) => {
            tracing::warn!(execution = %live.id, %reason, "the host has no memory for an execution");
            failure(Code::HostBusy, "the host had no memory for the execution; try again later".into())
        }
        Outcome::HostFault(reason) if reason == FLOW_IS_GONE => failure(Code::FlowNotFound, reason),
        Outcome::HostFault(reason) if reason == STORAGE_IS_FULL => failure(Code::HostStorageFull, reason),
        Outcome::HostFault(reason) => {
            tracing::error!(execution = %live.id, %reason, "the host failed while a flow ran");
            live.log.write_host(LogLevel::Error, reason);
            failure(Code::HostError, "the host failed; the execution's log says more".into())
        }
    };
    fail(&mut execution, now, failure);
    execution
}

/// What an execution ends with whose change could not be kept while its caller waits.
pub(super) const STORAGE_IS_FULL: &str = "the host's disk is full; the flow's change was not kept";

/// What an execution ends with whose flow was deleted for good before it could run.
const FLOW_IS_GONE: &str = "the flow was deleted for good before the execution could run";

/// How an execution ends whose program is not at hand.
pub(super) fn without_program(problem: Problem) -> Outcome {
    match problem.code {
        Code::FlowNotFound => Outcome::HostFault(FLOW_IS_GONE.to_owned()),
        Code::HostBusy => Outcome::HostExhausted(problem.detail),
        _ => Outcome::HostFault(problem.detail),
    }
}

/// Ends an execution with a failure.
pub(super) fn fail(execution: &mut Execution, now: Timestamp, failure: Failure) {
    execution.status = Status::EndedError;
    execution.status_message = Some(failure.message.clone());
    execution.failure = Some(failure);
    execution.ended_at = Some(now);
    execution.wake_at = None;
}

/// Ends an execution by somebody's wish.
pub(super) fn cancel(execution: &mut Execution, now: Timestamp) {
    execution.status = Status::EndedCancelled;
    execution.status_message = Some("cancelled".into());
    execution.ended_at = Some(now);
    execution.wake_at = None;
}

/// The failure of an execution that was not durable and was lost from memory.
pub(super) fn lost() -> Failure {
    failure(Code::ExecutionInterrupted, "The host lost the execution before it had ended.".to_owned())
}

/// The failure of an execution whose journal cannot be read.
pub(super) fn damaged(reason: String) -> Failure {
    failure(Code::JournalDamaged, format!("the execution cannot be run again, its journal is damaged: {reason}"))
}

fn diverged(divergence: &Divergence) -> Failure {
    let Divergence { number, journal, flow } = divergence;
    let flow = match flow {
        Some(call) => format!("called `{call}`"),
        None => "ended".to_owned(),
    };
    let message = format!(
        "the flow was run again and did not do what it did before: its call number {number} was `{journal}`, and now it {flow}"
    );
    failure(Code::ExecutionDiverged, message)
}

fn failure(code: Code, message: String) -> Failure {
    let retryable = code.info().retryable;
    Failure { code: code.as_str().to_owned(), message, flow_code: None, details: None, retryable, trace: None }
}

fn output_limit(what: LimitedOutput) -> Failure {
    let code = if what == LimitedOutput::Journal { Code::FlowJournalLimit } else { Code::FlowOutputLimit };
    failure(code, format!("the flow gave the host more than its budget: {what}"))
}

fn flow_failure(error: FlowError) -> Failure {
    let FlowError { message, code, details, retryable } = error;
    let public = if code.as_deref() == Some(INVALID_INPUT) { Code::FlowInvalidInput } else { Code::FlowError };
    // Details that are not JSON are kept as a JSON string rather than lost.
    let details = details.and_then(|details| {
        RawValue::from_string(details.clone()).or_else(|_| serde_json::value::to_raw_value(&details)).ok()
    });
    Failure { flow_code: code, details, retryable, ..failure(public, message) }
}
