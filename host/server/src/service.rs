//! One request: to a webhook, or to the REST API.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use flowhost::audit::{AuditEntry, AuditEvent};
use flowhost::model::RecordId;
use flowhost::{Code, Host, Problem};
use http::{Method, Request, Response};
use http_body_util::Either;
use hyper::body::Incoming;
use tower::ServiceExt;

use crate::access_log::AccessLog;
use crate::answer::{self, AnswerBody};
use crate::caller_address::{CallerAddress, TrustedProxies};
use crate::connection::Running;
use crate::{ServerOptions, rest, webhook};

/// The most that the fields of a request's head may have together, in bytes. Browsers and senders stay far below.
const HEADER_BYTES: usize = 32 << 10;

/// What every connection shares.
pub(crate) struct Service {
    host: Host,
    options: ServerOptions,
    router: axum::Router,
    proxies: TrustedProxies,
    access_log: Option<Arc<AccessLog>>,
}

impl Service {
    pub(crate) fn new(host: Host, options: ServerOptions, access_log: Option<Arc<AccessLog>>) -> Arc<Self> {
        let router = rest::router(host.clone(), options.body_timeout);
        let proxies = TrustedProxies::new(options.trusted_proxies.clone());
        Arc::new(Self { host, options, router, proxies, access_log })
    }

    /// Answers a request, which is `running` until its answer is there or, where that takes its time, sent.
    pub(crate) async fn answer(
        &self,
        request: Request<Incoming>,
        peer: IpAddr,
        running: Running,
    ) -> Response<AnswerBody> {
        let caller = self.proxies.caller(peer, request.headers());
        let line = self.access_log.as_ref().map(|log| log.begin(&request, caller));
        let answer = self.answer_caller(request, caller, running).await;
        if let Some(line) = line {
            line.end(&answer);
        }
        answer
    }

    async fn answer_caller(
        &self,
        mut request: Request<Incoming>,
        caller: IpAddr,
        running: Running,
    ) -> Response<AnswerBody> {
        if header_bytes(&request) > HEADER_BYTES {
            let detail = format!("the header fields have more than {HEADER_BYTES} bytes");
            return answer::problem(&Problem::new(Code::HeadersTooLarge, detail)).map(Either::Left);
        }
        if let Some((address, below)) = webhook::address(request.uri().path()) {
            let below = below.to_owned();
            return webhook::answer(&self.host, address, below, request, caller, self.options.body_timeout, running)
                .await;
        }
        request.extensions_mut().insert(CallerAddress(caller));
        // In a task of its own: a change that the store has taken must become effective, also if the client leaves.
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let answered = rest::with_requester(self.router.clone().oneshot(request.map(Body::new)));
        match tokio::spawn(answered).await {
            Ok((Ok(answer), user)) => {
                self.audit(&method, &path, &answer, user.as_deref(), caller);
                answer.map(Either::Right)
            }
            Err(error) => {
                tracing::error!(%error, "a request's task ended without an answer");
                answer::problem(&Problem::new(Code::HostError, "the host failed; its log says more")).map(Either::Left)
            }
        }
    }
}

impl Service {
    /// Tells the audit log of a request of the REST API that was refused, or that changed something.
    fn audit<B>(&self, method: &Method, path: &str, answer: &Response<B>, user: Option<&str>, caller: IpAddr) {
        let event = match (answer.extensions().get::<Code>(), answer.status().as_u16()) {
            // That nothing is taken while the host stops, it says itself.
            (Some(Code::HostDraining), _) => return,
            (Some(code), 401 | 403 | 429 | 500..) => AuditEvent::RequestRefused(*code),
            (None, 200..300) if !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) => {
                AuditEvent::RequestDone
            }
            _ => return,
        };
        self.host.audit().record(&AuditEntry {
            event,
            user,
            webhook: None,
            address: Some(caller),
            request: Some((method.as_str(), path)),
            record: answer.extensions().get::<RecordId>().copied(),
        });
    }
}

fn header_bytes(request: &Request<Incoming>) -> usize {
    request.headers().iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}
