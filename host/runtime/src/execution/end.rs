//! From the way a call ended to the end of its record.

use flowhost_engine::{FlowError, LimitedOutput, Outcome};
use flowhost_model::{Execution, Failure, LogLevel, RawValue, Status, Timestamp};

use super::{Live, OutputError};
use crate::problem::Code;

/// The code by which a flow says that its input does not fit.
const INVALID_INPUT: &str = "flow.invalid-input";

/// The ended execution. What only operators may know goes to the log.
pub(crate) fn ended(live: &Live, outcome: Outcome) -> Execution {
    let mut execution = live.execution();
    execution.ended_at = Some(Timestamp::now());
    let failure = match outcome {
        Outcome::Success(returned) => {
            match live.with_outputs(|outputs| outputs.merge_returned(returned, live.budget.output_bytes)) {
                Ok(outputs) => {
                    execution.status = Status::EndedSuccess;
                    execution.output_value = outputs;
                    return execution;
                }
                Err(OutputError::TooLarge) => output_limit(LimitedOutput::Outputs),
                Err(error) => failure(Code::FlowError, error.to_string()),
            }
        }
        Outcome::Cancelled => {
            execution.status = Status::EndedCancelled;
            execution.status_message = Some("cancelled".into());
            return execution;
        }
        Outcome::FlowError(error) => flow_failure(error),
        Outcome::Panic { message, place, trace } => {
            let place = place.map_or_else(String::new, |place| format!(" at {place}"));
            Failure { trace, ..failure(Code::FlowPanic, format!("the flow panicked{place}: {message}")) }
        }
        Outcome::Trap { message, trace } => Failure { trace, ..failure(Code::FlowTrap, message) },
        Outcome::CpuLimit => {
            let limit = live.budget.cpu.as_millis();
            failure(Code::FlowCpuLimit, format!("the flow used up its CPU time of {limit} ms"))
        }
        Outcome::TimeLimit => {
            let limit = live.budget.wall.as_millis();
            failure(Code::FlowTimeLimit, format!("the flow did not end in its time of {limit} ms"))
        }
        Outcome::MemoryLimit => {
            let limit = live.budget.memory_bytes;
            failure(Code::FlowMemoryLimit, format!("the flow wanted more memory than its {limit} bytes"))
        }
        Outcome::OutputLimit(what) => output_limit(what),
        Outcome::HostFault(reason) => {
            tracing::error!(execution = %live.id, %reason, "the host failed while a flow ran");
            live.log.write_host(LogLevel::Error, reason);
            failure(Code::HostError, "the host failed; the execution's log says more".into())
        }
    };
    execution.status = Status::EndedError;
    execution.status_message = Some(failure.message.clone());
    execution.failure = Some(failure);
    execution
}

fn failure(code: Code, message: String) -> Failure {
    let retryable = code.info().retryable;
    Failure { code: code.as_str().to_owned(), message, flow_code: None, details: None, retryable, trace: None }
}

fn output_limit(what: LimitedOutput) -> Failure {
    failure(Code::FlowOutputLimit, format!("the flow gave the host more than its budget: {what}"))
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
