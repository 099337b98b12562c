//! Answers that flows shape, as HTTP.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use flowhost::model::RecordId;
use flowhost::{CutOff, FlowAnswer, FlowBody};
use futures_util::Stream;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Response};
use http_body_util::{Either, Full};

use crate::activity::Running;
use crate::answer::{self, AnswerBody, NO_STORE};

/// What a page of a flow may do in a browser: be a page with forms and scripts of its own. It comes from the same origin as the
/// console and the API, so without `allow-same-origin` it gets an origin of its own, and neither reads the host's cookies nor
/// calls the API in the name of who looks at it. Nor does it take the window away from a page that it is framed in.
/// What it opens in a new window is itself again: another site, with its own storage and cookies.
const SANDBOX: HeaderValue = HeaderValue::from_static(
    "sandbox allow-forms allow-popups allow-popups-to-escape-sandbox allow-scripts allow-modals allow-downloads",
);

/// The answer of a flow. `running` is kept until it is sent, where the flow writes it meanwhile.
pub(crate) fn of(id: RecordId, answer: FlowAnswer, running: Running) -> Response<AnswerBody> {
    let FlowAnswer { status, headers, body } = answer;
    let (body, size) = match body {
        FlowBody::Whole(bytes) => (Either::Left(Full::new(bytes)), None),
        FlowBody::File(file) => {
            let size = file.size;
            (Either::Right(Body::from_stream(Sending { stream: file, _running: running })), Some(size))
        }
        FlowBody::Streamed(stream) => (Either::Right(Body::from_stream(Sending { stream, _running: running })), None),
    };
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    let own = answer.headers_mut();
    *own = headers;
    if let Some(size) = size {
        own.insert(CONTENT_LENGTH, size.into());
    }
    answer::insert_execution_id(own, id);
    own.entry(CACHE_CONTROL).or_insert(NO_STORE);
    own.insert(CONTENT_SECURITY_POLICY, SANDBOX);
    own.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

/// A body on its way.
struct Sending<S> {
    stream: S,
    _running: Running,
}

impl<S: Stream<Item = Result<Bytes, CutOff>> + Unpin> Stream for Sending<S> {
    type Item = Result<Bytes, CutOff>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.stream).poll_next(context)
    }
}
