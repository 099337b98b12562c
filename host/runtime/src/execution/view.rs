//! An execution as its caller sees it.

use flowhost_model::{Execution, Failure, FlowRef, RawValue, RecordId, Status, Timestamp, WebhookRef};
use serde::Serialize;

/// The execution with its inputs and outputs, and nothing of the host's inside: the answer of a synchronous call.
#[derive(Debug, Serialize)]
pub struct ExecutionView<'a> {
    id: RecordId,
    flow: &'a FlowRef,
    webhook: Option<&'a WebhookRef>,
    status: Status,
    status_message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<FailureView<'a>>,
    is_productive: bool,
    input_value: &'a RawValue,
    output_value: &'a RawValue,
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

impl<'a> From<&'a Execution> for ExecutionView<'a> {
    fn from(execution: &'a Execution) -> Self {
        Self {
            id: execution.id,
            flow: &execution.flow,
            webhook: execution.webhook.as_ref(),
            status: execution.status,
            status_message: execution.status_message.as_deref(),
            failure: execution.failure.as_ref().map(FailureView::from),
            is_productive: execution.is_productive,
            input_value: &execution.input_value,
            output_value: &execution.output_value,
            created_at: execution.created_at,
            started_at: execution.started_at,
            ended_at: execution.ended_at,
        }
    }
}
