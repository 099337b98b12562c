//! One request: to a webhook, or to the REST API.

use std::sync::Arc;

use axum::body::Body;
use flowhost::{Code, Host, Problem};
use http::{Method, Request, Response};
use http_body_util::Either;
use hyper::body::Incoming;
use tokio_util::task::AbortOnDropHandle;
use tower::ServiceExt;

use crate::answer::{self, AnswerBody};
use crate::connection::Running;
use crate::{ServerOptions, rest, webhook};

/// The most that the fields of a request's head may have together, in bytes. Browsers and senders stay far below.
const HEADER_BYTES: usize = 32 << 10;

/// What every connection shares.
pub(crate) struct Service {
    host: Host,
    options: ServerOptions,
    router: axum::Router,
}

impl Service {
    pub(crate) fn new(host: Host, options: ServerOptions) -> Arc<Self> {
        let router = rest::router(host.clone(), options.body_timeout);
        Arc::new(Self { host, options, router })
    }

    /// Answers a request, which is `running` until its answer is there or, where that takes its time, sent.
    pub(crate) async fn answer(&self, request: Request<Incoming>, running: Running) -> Response<AnswerBody> {
        if header_bytes(&request) > HEADER_BYTES {
            let detail = format!("the header fields have more than {HEADER_BYTES} bytes");
            return answer::problem(&Problem::new(Code::HeadersTooLarge, detail)).map(Either::Left);
        }
        if let Some((address, below)) = webhook::address(request.uri().path()) {
            let below = below.to_owned();
            return webhook::answer(&self.host, address, below, request, self.options.body_timeout, running).await;
        }
        let is_reading = matches!(*request.method(), Method::GET | Method::HEAD);
        let task = tokio::spawn(self.router.clone().oneshot(request.map(Body::new)));
        // What only reads ends when its client leaves. A change that the store has taken must become effective all the same.
        let answer = if is_reading { AbortOnDropHandle::new(task).await } else { task.await };
        match answer {
            Ok(Ok(answer)) => answer.map(Either::Right),
            Err(error) => {
                tracing::error!(%error, "a request's task ended without an answer");
                answer::problem(&Problem::new(Code::HostError, "the host failed; its log says more")).map(Either::Left)
            }
        }
    }
}

fn header_bytes(request: &Request<Incoming>) -> usize {
    request.headers().iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}
