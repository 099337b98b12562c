//! Answers that are made and that their callers have not taken: how many bytes of them one caller may leave in memory.
//!
//! An answer is never held back, since what it tells has happened. A caller who has left too many bytes of earlier answers
//! waits before the next request begins.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body as AxumBody;
use bytes::Bytes;
use flowhost::{CallerNetwork, Code, Problem};
use http::Response;
use http_body_util::Either;
use hyper::body::{Body, Frame, SizeHint};

use crate::answer::AnswerBody;
use crate::share::{Pool, Share};

/// Answers up to this size are not counted: they fit into the buffers of a connection.
const COUNTED_FROM: u64 = 16 << 10;

/// The bytes of all answers that were not taken yet.
#[derive(Clone, Debug)]
pub(crate) struct Unsent {
    pool: Arc<Pool<CallerNetwork>>,
    /// How long a request waits until its caller has taken earlier answers.
    wait: Duration,
}

/// A body that is counted until its bytes are sent.
struct Counted {
    body: AnswerBody,
    /// What it takes, until its bytes are handed on.
    share: Option<Share<CallerNetwork>>,
}

/// Bytes of an answer, with what they take.
struct Held {
    bytes: Bytes,
    _share: Share<CallerNetwork>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Unsent {
    pub(crate) fn new(bytes: u64, wait: Duration) -> Self {
        Self { pool: Pool::new(bytes), wait }
    }

    /// Waits until a caller may be given another answer. A caller who has taken all earlier ones may at once.
    ///
    /// # Errors
    /// `host.busy` if the caller does not take them in the time that a request waits.
    pub(crate) async fn admit(&self, caller: CallerNetwork) -> Result<(), Problem> {
        if self.pool.has_share_within(caller, self.wait).await {
            return Ok(());
        }
        let detail = "your address has not taken the answers to earlier requests; read them, and try again";
        Err(Problem::new(Code::HostBusy, detail))
    }

    /// Counts a large answer to a caller until it is sent.
    pub(crate) fn count(&self, caller: CallerNetwork, answer: Response<AnswerBody>) -> Response<AnswerBody> {
        // The size of a body that a flow writes bit by bit, or of a file, is not known here. They are sent piece by piece.
        match answer.body().size_hint().exact() {
            Some(size) if size > COUNTED_FROM => answer.map(|body| {
                let share = Some(self.pool.take_anyway(caller, size));
                Either::Right(AxumBody::new(Counted { body, share }))
            }),
            _ => answer,
        }
    }
}

impl Body for Counted {
    type Data = Bytes;
    type Error = <AnswerBody as Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        Poll::Ready(frame.map(|frame| {
            // A whole answer is one frame. The connection keeps its bytes until they are sent, and with them their share.
            Ok(frame?.map_data(|bytes| match self.share.take() {
                Some(share) => Bytes::from_owner(Held { bytes, _share: share }),
                None => bytes,
            }))
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use http_body_util::{BodyExt, Full};

    use super::*;

    fn caller(address: &str) -> CallerNetwork {
        address.parse::<IpAddr>().unwrap().into()
    }

    fn answer(size: usize) -> Response<AnswerBody> {
        Response::new(Either::Left(Full::new(vec![b'x'; size].into())))
    }

    #[tokio::test]
    async fn caller_who_takes_no_answers_waits_and_others_do_not() {
        let unsent = Unsent::new(1 << 20, Duration::ZERO);
        let (deaf, other) = (caller("192.0.2.1"), caller("192.0.2.2"));
        let held: Vec<_> = (0..6).map(|_| unsent.count(deaf, answer(100_000))).collect();
        assert_eq!(unsent.admit(deaf).await.unwrap_err().code, Code::HostBusy);
        assert!(unsent.admit(other).await.is_ok());
        // An answer that is made is given, however full it is.
        let last = unsent.count(other, answer(2 << 20));
        assert_eq!(last.body().size_hint().exact(), Some(2 << 20));
        assert!(unsent.admit(caller("192.0.2.3")).await.is_ok());
        drop((held, last));
        assert!(unsent.admit(deaf).await.is_ok());
    }

    #[tokio::test]
    async fn answer_is_counted_until_its_last_bytes_are_gone() {
        let unsent = Unsent::new(150_000, Duration::ZERO);
        let deaf = caller("192.0.2.1");
        let mut body = unsent.count(deaf, answer(100_000)).into_body();
        let bytes = body.frame().await.unwrap().unwrap().into_data().unwrap();
        drop(body);
        let last = bytes.slice(99_999..);
        drop(bytes);
        assert!(unsent.admit(deaf).await.is_err());
        drop(last);
        assert!(unsent.admit(deaf).await.is_ok());
        let small = unsent.count(deaf, answer(100));
        assert!(matches!(small.body(), Either::Left(_)));
    }
}
