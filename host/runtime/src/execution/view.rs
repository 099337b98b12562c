//! An execution as its caller sees it.

use flowhost_model::{Execution, Failure, FlowRef, RawValue, RecordId, Status, Timestamp, WebhookRef};
use serde::Serialize;

use crate::problem::Problem;

/// The execution with its inputs and outputs, and nothing of the host's inside: the answer of a synchronous call.
#[derive(Debug, Serialize)]
pub struct ExecutionView<'a> {
    id: RecordId,
    #[serde(skip_serializing_if = "Option::is_none")]
    flow: Option<&'a FlowRef>,
    webhook: Option<&'a WebhookRef>,
    status: Status,
    status_message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<FailureView<'a>>,
    is_productive: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_value: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_value: Option<&'a RawValue>,
    created_at: Timestamp,
    started_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
}

/// Why an execution failed, in the flow's own words: without the trace, which shows the flow's inside.
#[derive(Debug, Serialize)]
struct FailureView<'a> {
    code: &'a str,
    message: &'a str,
    flow_code: Option<&'a str>,
    details: Option<&'a RawValue>,
    retryable: bool,
}

impl<'a> From<&'a Failure> for FailureView<'a> {
    fn from(failure: &'a Failure) -> Self {
        Self {
            code: &failure.code,
            message: &failure.message,
            flow_code: failure.flow_code.as_deref(),
            details: failure.details.as_deref(),
            retryable: failure.retryable,
        }
    }
}

impl<'a> ExecutionView<'a> {
    /// Returns the execution that a problem is about, as its caller may see it.
    pub fn of_problem(problem: &'a Problem) -> Option<Self> {
        let execution = problem.execution.as_deref()?;
        let whole = Self::from(execution);
        if !problem.is_discreet {
            return Some(whole);
        }
        let failure = execution.failure.as_ref().map(|failure| FailureView {
            code: &failure.code,
            message: &problem.detail,
            flow_code: None,
            details: None,
            retryable: failure.retryable,
        });
        let status_message = whole.status_message.map(|_| problem.detail.as_str());
        Some(Self { flow: None, status_message, failure, input_value: None, output_value: None, ..whole })
    }
}

impl<'a> From<&'a Execution> for ExecutionView<'a> {
    fn from(execution: &'a Execution) -> Self {
        Self {
            id: execution.id,
            flow: Some(&execution.flow),
            webhook: execution.webhook.as_ref(),
            status: execution.status,
            status_message: execution.status_message.as_deref(),
            failure: execution.failure.as_ref().map(FailureView::from),
            is_productive: execution.is_productive,
            input_value: Some(&execution.input_value),
            output_value: Some(&execution.output_value),
            created_at: execution.created_at,
            started_at: execution.started_at,
            ended_at: execution.ended_at,
        }
    }
}
