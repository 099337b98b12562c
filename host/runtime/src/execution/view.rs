//! An execution as its caller sees it.

use flowhost_model::{Execution, FlowRef, RawValue, RecordId, Status, Timestamp, WebhookRef};
use serde::Serialize;

/// The execution with its inputs and outputs, and nothing of the host's inside: the answer of a synchronous call.
#[derive(Debug, Serialize)]
pub struct ExecutionView<'a> {
    id: RecordId,
    flow: &'a FlowRef,
    webhook: Option<&'a WebhookRef>,
    status: Status,
    status_message: Option<&'a str>,
    is_productive: bool,
    input_value: &'a RawValue,
    output_value: &'a RawValue,
    created_at: Timestamp,
    started_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
}

impl<'a> From<&'a Execution> for ExecutionView<'a> {
    fn from(execution: &'a Execution) -> Self {
        Self {
            id: execution.id,
            flow: &execution.flow,
            webhook: execution.webhook.as_ref(),
            status: execution.status,
            status_message: execution.status_message.as_deref(),
            is_productive: execution.is_productive,
            input_value: &execution.input_value,
            output_value: &execution.output_value,
            created_at: execution.created_at,
            started_at: execution.started_at,
            ended_at: execution.ended_at,
        }
    }
}
