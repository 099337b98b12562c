//! Bodies of answers that are sent in pieces.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body as AxumBody;
use bytes::Bytes;
use http_body_util::Either;
use hyper::body::{Body, Frame, SizeHint};

use crate::activity::{Activity, BodyUnderWay};
use crate::answer::AnswerBody;

/// A body that marks its connection as answering until it ends.
struct Pieces {
    body: AxumBody,
    _under_way: BodyUnderWay,
}

/// Marks the connection as answering for as long as this body may have more pieces.
pub(crate) fn watched(body: AnswerBody, activity: &Arc<Activity>) -> AnswerBody {
    match body {
        Either::Right(body) if !body.is_end_stream() => {
            Either::Right(AxumBody::new(Pieces { body, _under_way: activity.begin_body() }))
        }
        whole => whole,
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
