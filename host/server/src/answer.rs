//! Answers: what a client gets.

use axum::body::Body;
use axum::response::IntoResponse;
use bytes::Bytes;
use flowhost::model::Execution;
use flowhost::{Code, ExecutionView, Problem, Violation};
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::{Either, Full};
use serde::Serialize;

use crate::problem_page::Words;

/// The body of an answer: whole, or what the router makes.
pub(crate) type AnswerBody = Either<Full<Bytes>, Body>;

/// Names the execution that an answer belongs to.
pub(crate) const EXECUTION_ID: HeaderName = HeaderName::from_static("flowhost-execution-id");

/// What an execution takes as JSON beside its input and outputs, in most cases.
const EXECUTION_BYTES: usize = 2 << 10;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");
pub(crate) const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// An answer that nobody may keep: what a webhook says belongs to one call.
pub(crate) fn whole(status: StatusCode, content_type: HeaderValue, body: Vec<u8>) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, content_type);
    answer.headers_mut().insert(CACHE_CONTROL, NO_STORE);
    answer
}

/// JSON, or a host fault where it cannot be written.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Response<Full<Bytes>> {
    json_of(status, value, 128)
}

/// An execution as JSON.
pub(crate) fn execution(status: StatusCode, execution: &Execution) -> Response<Full<Bytes>> {
    let large = execution.input_value.get().len() + execution.output_value.get().len();
    json_of(status, &ExecutionView::from(execution), large + EXECUTION_BYTES)
}

/// [`json`], of which `bytes` are expected: a buffer that has to grow takes three times as many.
fn json_of(status: StatusCode, value: &impl Serialize, bytes: usize) -> Response<Full<Bytes>> {
    let mut body = Vec::with_capacity(bytes);
    match serde_json::to_writer(&mut body, value) {
        Ok(()) => whole(status, JSON, body),
        Err(error) => {
            tracing::error!(%error, "an answer could not be written as JSON");
            problem(&Problem::new(Code::HostError, "the host failed; its log says more"))
        }
    }
}

/// An answer without content.
pub(crate) fn empty(status: StatusCode) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = status;
    answer
}

/// 204, which nobody may keep.
pub(crate) fn without_content() -> Response<Full<Bytes>> {
    unkept(StatusCode::NO_CONTENT)
}

/// Returns an answer without content that caches must not store.
pub(crate) fn unkept(status: StatusCode) -> Response<Full<Bytes>> {
    let mut answer = empty(status);
    answer.headers_mut().insert(CACHE_CONTROL, NO_STORE);
    answer
}

/// The members of a problem document.
#[derive(Serialize)]
struct ProblemDocument<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    code: &'a str,
    fault: &'a str,
    retryable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    execution: Option<ExecutionView<'a>>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    violations: &'a [Violation],
}

/// The problem document of a problem.
pub(crate) fn problem(problem: &Problem) -> Response<Full<Bytes>> {
    let info = problem.code.info();
    let execution = problem.execution.as_deref();
    let failure = execution.and_then(|execution| execution.failure.as_ref());
    let document = ProblemDocument {
        r#type: format!("urn:flowhost:error:{}", info.name),
        title: info.title,
        status: info.status,
        detail: &problem.detail,
        code: info.name,
        fault: info.fault.as_str(),
        // A flow knows best whether its own error will pass.
        retryable: failure.map_or(info.retryable, |failure| failure.retryable),
        execution: ExecutionView::of_problem(problem),
        violations: &problem.violations,
    };
    let status = StatusCode::from_u16(info.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = serde_json::to_vec(&document).unwrap_or_default();
    let mut answer = whole(status, PROBLEM_JSON, body);
    // For the logs.
    answer.extensions_mut().insert(problem.code);
    // For a reader who would rather have a page.
    answer.extensions_mut().insert(Words::of(problem));
    let headers = answer.headers_mut();
    if let Some(after) = problem.retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from(after.as_secs().max(1)));
    }
    if let Some(execution) = execution {
        insert_execution_id(headers, execution.id);
    }
    match problem.code {
        Code::WebhookUnauthorized | Code::WebhookKeyWrong => {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("ApiKey realm=\"flowhost webhook\""));
        }
        Code::Unauthorized | Code::WebhookLoginWanted => {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"flowhost\""));
        }
        _ => {}
    }
    answer
}

/// Names the execution that an answer belongs to.
pub(crate) fn insert_execution_id(headers: &mut HeaderMap, id: flowhost::model::RecordId) {
    // The text form of a UUID is a valid header value.
    if let Ok(value) = HeaderValue::try_from(id.to_string()) {
        headers.insert(EXECUTION_ID, value);
    }
}

/// 405, with the methods that the address takes.
pub(crate) fn method_not_allowed(allow: &str) -> Response<Full<Bytes>> {
    let detail = format!("this address takes {allow}");
    let mut answer = problem(&Problem::new(Code::MethodNotAllowed, detail));
    if let Ok(allow) = HeaderValue::try_from(allow) {
        answer.headers_mut().insert(ALLOW, allow);
    }
    answer
}

/// A problem as the router's handlers return it.
pub(crate) struct ProblemAnswer(pub(crate) Problem);

impl From<Problem> for ProblemAnswer {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl IntoResponse for ProblemAnswer {
    fn into_response(self) -> axum::response::Response {
        problem(&self.0).map(Body::new)
    }
}
