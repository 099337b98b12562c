//! One request: to a webhook, or to the REST API.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use flowhost::audit::{AuditEntry, AuditEvent};
use flowhost::model::RecordId;
use flowhost::{Code, Host, Problem};
use http::header::{ALLOW, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Method, Request, Response};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use tokio_util::task::AbortOnDropHandle;
use tower::ServiceExt;

use crate::access_log::AccessLog;
use crate::activity::Running;
use crate::answer::{self, AnswerBody};
use crate::bodies::Bodies;
use crate::caller_address::{CallerAddress, TrustedProxies};
use crate::over_tls::OverTls;
use crate::unread::ClientBody;
use crate::unsent::Unsent;
use crate::{ServerOptions, head, pieces, problem_page, rest, unread, unserved, webhook};

/// Addresses that are answered whatever else is asked: they need no turn, and their answers are small.
const HEALTH: [&str; 2] = ["/api/latest/alive", "/api/latest/ready"];

/// What every connection shares.
pub(crate) struct Service {
    host: Host,
    options: ServerOptions,
    bodies: Bodies,
    unsent: Unsent,
    router: axum::Router,
    proxies: TrustedProxies,
    access_log: Option<Arc<AccessLog>>,
}

impl Service {
    pub(crate) fn new(host: Host, options: ServerOptions, access_log: Option<Arc<AccessLog>>) -> Arc<Self> {
        let limits = host.limits();
        let upload_bytes = options.upload_bytes(limits);
        let bodies = Bodies::new(options.request_bytes, upload_bytes, limits.admission_wait, options.body_timeout);
        let unsent = Unsent::new(options.answer_bytes, limits.admission_wait);
        let router = rest::router(host.clone(), bodies.clone());
        let proxies = TrustedProxies::new(options.trusted_proxies.clone());
        Arc::new(Self { host, options, bodies, unsent, router, proxies, access_log })
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
        let (request, body) = unread::of(request);
        let of_body = body.has_body().then(|| running.part());
        let activity = running.activity();
        let wants_page = problem_page::is_wanted(request.headers());
        let answer = self.answer_caller(request, peer, caller, running).await;
        let answer = problem_page::for_reader(wants_page, answer);
        let mut answer = self.unsent.count(caller.into(), answer).map(|body| pieces::watched(body, &activity));
        body.settle(&mut answer, of_body, self.options.body_timeout);
        // What a caller, a user or a flow wrote is data, not a page of this host.
        answer.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if let Some(line) = line {
            line.end(&answer);
        }
        answer
    }

    async fn answer_caller(
        &self,
        mut request: Request<ClientBody>,
        peer: IpAddr,
        caller: IpAddr,
        running: Running,
    ) -> Response<AnswerBody> {
        if let Err(problem) = head::judge(&request) {
            return answer::problem(&problem).map(Either::Left);
        }
        let is_about_health = HEALTH.contains(&request.uri().path());
        if !is_about_health && let Err(problem) = self.unsent.admit(caller.into()).await {
            return answer::problem(&webhook::refused(&self.host, caller, None, problem)).map(Either::Left);
        }
        if let Some((address, below)) = webhook::address(request.uri().path()) {
            let below = below.to_owned();
            return webhook::answer(&self.host, address, below, request, caller, &self.bodies, running).await;
        }
        let bytes = (head::bytes(request.headers()) + request.uri().path().len()) as u64;
        let room = match is_about_health {
            true => None,
            false => match self.bodies.open.take(caller.into(), bytes, 0).await {
                Ok(room) => Some(room),
                Err(problem) => return answer::problem(&problem).map(Either::Left),
            },
        };
        let over_tls = OverTls::of(&self.options, peer, request.headers());
        request.extensions_mut().insert(CallerAddress(caller));
        if let Some(over_tls) = over_tls {
            request.extensions_mut().insert(over_tls);
        }
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let is_reading = matches!(method, Method::GET | Method::HEAD);
        let reader = (is_reading && !is_about_health).then(|| rest::reader_of(&self.host, request.headers(), caller));
        let (host, router) = (self.host.clone(), self.router.clone());
        let task = tokio::spawn(async move {
            // Until the answer is made: the head is in memory, and one reader has only a share of the answers that are made at once.
            let _room = room;
            let _turn = match reader {
                Some(reader) => Some(host.looking_turn(reader).await),
                None => None,
            };
            rest::with_requester(router.oneshot(request.map(Body::new))).await
        });
        // What only reads ends when its client leaves. A change that the store has taken must become effective all the same.
        let answered = if is_reading { AbortOnDropHandle::new(task).await } else { task.await };
        match answered {
            Ok((Ok(answer), user)) => {
                self.audit(&method, &path, &answer, user.as_deref(), caller);
                // Users know what they read.
                match webhook_missed(&path, &answer).filter(|_| user.is_none()) {
                    Some(hint) => hint.map(Either::Left),
                    None => answer.map(Either::Right),
                }
            }
            Err(error) => {
                tracing::error!(%error, "a request's task ended without an answer");
                answer::problem(&Problem::new(Code::HostError, "the host failed; its log says more")).map(Either::Left)
            }
        }
    }
}

impl Service {
    /// Tells the audit log that a client was refused whose head is none.
    pub(crate) fn head_refused(&self, peer: IpAddr) {
        webhook::refused(&self.host, peer, None, unserved::malformed());
    }

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

/// Returns a better answer to a caller who has left `/call` out of a webhook's address; `None` to all others.
fn webhook_missed<B>(path: &str, answer: &Response<B>) -> Option<Response<Full<Bytes>>> {
    let name = webhook::name_without_call(path)?;
    let code = *answer.extensions().get::<Code>()?;
    if !matches!(code, Code::Unauthorized | Code::MethodNotAllowed | Code::RecordNotFound | Code::Malformed) {
        return None;
    }
    let detail = format!("webhooks are called at /api/latest/webhook/{name}/call");
    let mut hint = answer::problem(&Problem::new(code, detail));
    if let Some(allowed) = answer.headers().get(ALLOW) {
        hint.headers_mut().insert(ALLOW, allowed.clone());
    }
    Some(hint)
}
