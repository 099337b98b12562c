//! What a client still sends when its answer is there.
//!
//! A connection that is closed while its client sends is reset, and the client loses the answer, or the next one on the same
//! connection. So what is left of a body is read and dropped beside the answer; where it is too much for that, the answer says
//! that the connection ends.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, EXPECT};
use http::{HeaderValue, Request, Response, Version};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use crate::activity::Running;

/// How much of a body that is not wanted is read all the same. More than the largest body of a webhook.
const DROPPED_BYTES: u64 = 32 << 20;

/// The body of a request, as its client sends it. What is left when it is dropped can still be read off the connection.
pub(crate) struct ClientBody {
    incoming: Option<Incoming>,
    is_begun: bool,
    left: Left,
}

/// Where a body goes that is dropped before its end.
type Left = Arc<Mutex<Option<Unread>>>;

struct Unread {
    incoming: Incoming,
    /// Some of it was asked for, so that a client that waits to be asked is sending.
    is_begun: bool,
}

/// What has to be done about a request's body once the answer is there.
pub(crate) struct Ending {
    /// None for a request without a body.
    left: Option<Left>,
    waits_to_be_asked: bool,
    is_http1: bool,
}

/// Hands out a request's body, and what has to be done about it in the end.
pub(crate) fn of(request: Request<Incoming>) -> (Request<ClientBody>, Ending) {
    let (head, incoming) = request.into_parts();
    let left = Left::default();
    let ending = Ending {
        left: (!incoming.is_end_stream()).then(|| left.clone()),
        waits_to_be_asked: head.headers.contains_key(EXPECT),
        is_http1: head.version < Version::HTTP_2,
    };
    let body = ClientBody { incoming: Some(incoming), is_begun: false, left };
    (Request::from_parts(head, body), ending)
}

impl Ending {
    /// Returns whether the request has a body.
    pub(crate) fn has_body(&self) -> bool {
        self.left.is_some()
    }

    /// Has the rest of the body read for `limit` at most, or says in the answer that the connection ends.
    pub(crate) fn settle<B>(self, answer: &mut Response<B>, running: Option<Running>, limit: Duration) {
        let Some(left) = self.left else { return };
        let Some(unread) = left.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        // A client that waits to be asked for its body does not send it unasked, and will not after this answer.
        let is_coming = unread.is_begun || !self.waits_to_be_asked;
        if is_coming && unread.incoming.size_hint().lower() <= DROPPED_BYTES {
            tokio::spawn(async move {
                let _over = tokio::time::timeout(limit, read_off(unread.incoming)).await;
                drop(running);
            });
        } else if self.is_http1 {
            answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
    }
}

/// Reads a body and keeps nothing of it.
async fn read_off(mut body: Incoming) {
    let mut left = DROPPED_BYTES;
    while let Some(Ok(frame)) = body.frame().await {
        let size = frame.data_ref().map_or(0, Bytes::len) as u64;
        let Some(less) = left.checked_sub(size) else { return };
        left = less;
    }
}

impl Body for ClientBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        self.is_begun = true;
        match &mut self.incoming {
            Some(incoming) => Pin::new(incoming).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for ClientBody {
    fn drop(&mut self) {
        if let Some(incoming) = self.incoming.take().filter(|incoming| !incoming.is_end_stream()) {
            let unread = Unread { incoming, is_begun: self.is_begun };
            *self.left.lock().unwrap_or_else(PoisonError::into_inner) = Some(unread);
        }
    }
}
