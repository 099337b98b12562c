//! One request: to a webhook, or to the REST API.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use flowhost::{Code, Host, Problem};
use http::header::X_CONTENT_TYPE_OPTIONS;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::Either;
use hyper::body::Incoming;
use tower::ServiceExt;

use crate::activity::Running;
use crate::answer::{self, AnswerBody};
use crate::bodies::Bodies;
use crate::caller_address::{CallerAddress, TrustedProxies};
use crate::options::HEADER_BYTES;
use crate::over_tls::OverTls;
use crate::{ServerOptions, rest, webhook};

/// What every connection shares.
pub(crate) struct Service {
    host: Host,
    options: ServerOptions,
    bodies: Bodies,
    router: axum::Router,
    proxies: TrustedProxies,
}

impl Service {
    pub(crate) fn new(host: Host, options: ServerOptions) -> Arc<Self> {
        let limits = host.limits();
        let upload_bytes = options.upload_bytes(limits);
        let bodies = Bodies::new(options.request_bytes, upload_bytes, limits.admission_wait, options.body_timeout);
        let router = rest::router(host.clone(), bodies.clone());
        let proxies = TrustedProxies::new(options.trusted_proxies.clone());
        Arc::new(Self { host, options, bodies, router, proxies })
    }

    /// Answers a request, which is `running` until its answer is there or, where that takes its time, sent.
    pub(crate) async fn answer(
        &self,
        request: Request<Incoming>,
        peer: IpAddr,
        running: Running,
    ) -> Response<AnswerBody> {
        let mut answer = self.route(request, peer, running).await;
        // What a caller, a user or a flow wrote is data, not a page of this host.
        answer.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        answer
    }

    async fn route(&self, mut request: Request<Incoming>, peer: IpAddr, running: Running) -> Response<AnswerBody> {
        let caller = self.proxies.caller(peer, request.headers());
        if header_bytes(request.headers()) > HEADER_BYTES {
            let detail = format!("the header fields have more than {HEADER_BYTES} bytes");
            return answer::problem(&Problem::new(Code::HeadersTooLarge, detail)).map(Either::Left);
        }
        if let Some((address, below)) = webhook::address(request.uri().path()) {
            let below = below.to_owned();
            return webhook::answer(&self.host, address, below, request, caller, &self.bodies, running).await;
        }
        let over_tls = OverTls::of(&self.options, peer, request.headers());
        request.extensions_mut().insert(CallerAddress(caller));
        if let Some(over_tls) = over_tls {
            request.extensions_mut().insert(over_tls);
        }
        // In a task of its own: a change that the store has taken must become effective, also if the client leaves.
        match tokio::spawn(self.router.clone().oneshot(request.map(Body::new))).await {
            Ok(Ok(answer)) => answer.map(Either::Right),
            Err(error) => {
                tracing::error!(%error, "a request's task ended without an answer");
                answer::problem(&Problem::new(Code::HostError, "the host failed; its log says more")).map(Either::Left)
            }
        }
    }
}

/// The bytes of a request's header fields.
pub(crate) fn header_bytes(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}
