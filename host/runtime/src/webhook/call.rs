//! One webhook call.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flowhost_model::{Actor, ActorKind, Digest, Execution, ExecutionLocation, RawValue, RecordId, Status};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method};
use tokio::runtime::Handle;

use super::payload::Payload;
use super::{IncomingRequest, Owner, Route, key, login, payload, query};
use crate::execution::{Answered, Counted, FlowAnswer, Lineage, Live, Start, priority_of, problem_of};
use crate::flow::ActiveVersion;
use crate::host::Host;
use crate::input::WebhookInput;
use crate::problem::{Code, Problem};
use crate::secret::CalledKey;

/// The largest body, in bytes, that is parsed right where it is: a larger one may take long, and others wait for the thread.
const PARSED_AT_ONCE: usize = 32 << 10;

/// A call as it arrived, complete with its body.
#[derive(Debug)]
pub struct WebhookRequest {
    /// The method, one of [`METHODS`](super::METHODS).
    pub method: Method,
    /// What followed the webhook's address, with its leading slash, or nothing.
    pub path: String,
    /// The query without its question mark.
    pub query: Option<String>,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, within [`Host::webhook_body_limit`].
    pub body: Bytes,
    /// The caller's address. Calls without one count as those of one caller.
    pub caller: Option<IpAddr>,
    /// What the request takes of whoever read it.
    pub reservation: Option<Reservation>,
}

/// Something that is held for a call until it runs or is in the queue, from where on the host's own limits apply.
pub struct Reservation(#[expect(dead_code, reason = "held")] Box<dyn Send + Sync>);

impl Reservation {
    /// Holds something, which is dropped when the call is handed on.
    pub fn new(held: impl Send + Sync + 'static) -> Self {
        Self(Box::new(held))
    }
}

impl fmt::Debug for Reservation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reservation")
    }
}

/// What became of a call.
#[derive(Debug)]
pub enum Called {
    /// The execution ended well, in the time that its caller waits.
    Ended(Box<Execution>),
    /// The flow shaped the answer. It is that of an execution which ended well, or which goes on.
    Answered {
        /// The execution's id.
        id: RecordId,
        /// The answer.
        answer: Box<FlowAnswer>,
    },
    /// The execution is accepted, durably, and runs by itself.
    Accepted {
        /// Its id.
        id: RecordId,
        /// Where it stands: `SCHEDULED`, or `PAUSED` in development mode when its user is not active.
        status: Status,
        /// Whether the caller asked for it by `Prefer: respond-async`.
        is_preferred: bool,
        /// The signed ticket that lets its caller read it without a login.
        ticket: String,
    },
}

/// A call that may start an execution.
struct Admitted {
    request: IncomingRequest,
    /// The flow's input.
    input: Box<RawValue>,
    key: Option<CalledKey>,
    counted: Counted,
}

impl Host {
    /// Calls a webhook. The route comes from [`Host::webhook_route`].
    ///
    /// An execution that did not succeed is a problem that carries it.
    pub async fn call_webhook(&self, route: &Route, mut request: WebhookRequest) -> Result<Called, Problem> {
        let reservation = request.reservation.take();
        self.refuse_if_draining()?;
        let not_found = || Problem::new(Code::WebhookNotFound, "no webhook can be called at this address");
        let version = self.snapshot().active_version(&route.flow).ok_or_else(not_found)?;
        let is_async = asks_for_async(&request);
        let is_preferred = prefers_async(&request.headers);
        let request = self.admit_caller(route, request)?;
        let Admitted { request, input, key, counted } = self.admit_request(route, &version, request).await?;
        self.note_activity(route.webhook.id);
        let user_id = self.owner(route);
        let (project_id, bundle_id) = self.execution_location(route, &version);
        let is_paused = !route.is_productive && !self.is_active(user_id);
        let start = Start {
            flow: version.flow.clone(),
            webhook: Some(route.webhook.clone()),
            project_id,
            bundle_id,
            created_by: Some(route.webhook.id),
            user_id,
            actor: actor(route, user_id),
            lineage: Lineage::default(),
            priority: priority_of(route.options.priority, &version),
            concurrency: None,
            is_productive: route.is_productive,
            input,
            request: Some(Arc::new(request)),
            key: key.map(Arc::new),
            budget: self.limits().budget,
            is_durable: is_async || is_paused,
        };
        if is_paused {
            let id = self.accept_paused(start).await?;
            return Ok(Called::Accepted { id, status: Status::Paused, is_preferred, ticket: self.ticket(id) });
        }
        if is_async {
            let id = self.accept(start, Some(counted)).await?;
            return Ok(Called::Accepted { id, status: Status::Scheduled, is_preferred, ticket: self.ticket(id) });
        }
        let program = self.program(&version).await?;
        let (slot, holding) = self.slot_of(&version).await?;
        let live = Arc::new(self.admit(start)?);
        let ended = self.launch(live.clone(), program, slot, Some(counted), holding);
        drop(reservation);
        Ok(match self.wait_for(&live, ended, route.wait(self.limits())).await? {
            Answered::Ended(execution, None) => Called::Ended(Box::new(execution)),
            Answered::Ended(_, Some(answer)) | Answered::Early(answer) => Called::Answered { id: live.id, answer },
        })
    }

    /// Asks for the login where the webhook wants one, and takes what carried it out of what the flow sees.
    fn admit_caller(&self, route: &Route, mut request: WebhookRequest) -> Result<WebhookRequest, Problem> {
        if self.login_of_caller(route, &request.method, &request.headers)?.is_none() {
            return Ok(request);
        }
        login::consume(&mut request.headers);
        Ok(request)
    }

    /// Checks the key and the payload, and makes the flow's input of the request, without the key.
    async fn admit_request(
        &self,
        route: &Route,
        version: &ActiveVersion,
        request: WebhookRequest,
    ) -> Result<Admitted, Problem> {
        let WebhookRequest { method, path, query, mut headers, body, .. } = request;
        let expected = route.key_digest;
        let is_key = |value: &[u8]| expected.is_some_and(|expected| key::matches(expected, value));

        query.as_deref().map_or(Ok(()), |query| query::check_count(query, "the query"))?;
        let keys = query.as_deref().into_iter().flat_map(|query| query::values(query, key::FIELD));
        let query_key = keys.into_iter().find(|value| is_key(value.as_bytes())).map(Cow::into_owned);
        let header_key = headers.get_all(key::HEADER).iter().find(|value| is_key(value.as_bytes()));
        let header_key = header_key.and_then(|key| key.to_str().ok()).map(str::to_owned);
        let (in_query, in_header) = (query_key.is_some(), header_key.is_some());
        // A body that is no JSON is an error of its own, but not one that a caller without the key is told of.
        let payload = match self.parse_payload(&headers, body, expected).await {
            Err(problem) if expected.is_some() && !in_query && !in_header && problem.code != Code::HostBusy => {
                tracing::debug!(detail = %problem.detail, "a call without a key had a malformed body");
                return Err(unauthorized());
            }
            parsed => parsed?,
        };
        if expected.is_some() && !(in_query || in_header || payload.key.is_some()) {
            return Err(unauthorized());
        }
        // Before the check, which may take long: of one webhook no more run or are checked than it may have.
        let counted = route.running.enter(route.options.max_executions).ok_or_else(webhook_busy)?;
        version.check_payload(self, &payload.json).await?;

        let query = if in_query {
            query.map(|query| query::without(&query, key::FIELD, |value| !is_key(value.as_bytes())))
        } else {
            query
        };
        if in_header {
            // Not `remove`, which would change the order of the others.
            let others = headers.iter().filter(|(name, _)| *name != key::HEADER);
            headers = others.map(|(name, value)| (name.clone(), value.clone())).collect();
        }
        let input = WebhookInput {
            headers: &headers,
            method: &method,
            path: &path,
            query: query.as_deref(),
            json: &payload.json,
        };
        let input = input.to_json().map_err(Problem::host)?;
        let request =
            IncomingRequest { method, path, query, headers, body: payload.body, body_is_exact: payload.key.is_none() };
        let key = query_key.or(header_key).or(payload.key).and_then(|key| CalledKey::of(&key, &input, &request.body));
        Ok(Admitted { request, input, key, counted })
    }

    /// Parses a payload; a large one where no thread that serves others waits for it.
    async fn parse_payload(&self, headers: &HeaderMap, body: Bytes, key: Option<Digest>) -> Result<Payload, Problem> {
        if body.len() <= PARSED_AT_ONCE {
            return payload::parse(headers, body, key).await;
        }
        let headers = headers.get(CONTENT_TYPE).into_iter().map(|value| (CONTENT_TYPE, value.clone())).collect();
        let runtime = Handle::current();
        self.run_blocking(move || runtime.block_on(payload::parse(&headers, body, key))).await?
    }

    /// The user that answers for the webhook's executions.
    fn owner(&self, route: &Route) -> Option<RecordId> {
        match &route.owner {
            Owner::Id(id) => id.filter(|id| self.snapshot().user(*id).is_some()),
            Owner::Name(name) => self.snapshot().user_named(name).map(|(id, _)| id),
        }
    }

    /// The project and the bundle that the webhook's executions belong to.
    fn execution_location(&self, route: &Route, version: &ActiveVersion) -> (Option<RecordId>, Option<RecordId>) {
        match route.location {
            ExecutionLocation::FlowRecord => (version.project_id, version.bundle_id),
            ExecutionLocation::WebhookRecord => (route.project_id, route.bundle_id),
            ExecutionLocation::DefaultProject => (Some(self.default_project()), None),
        }
    }

    /// Waits for the end of an execution or the answer of its flow, for `limit` at most; it goes on in any case.
    pub(crate) async fn wait_for(
        &self,
        live: &Arc<Live>,
        ended: tokio::sync::oneshot::Receiver<Result<Answered, Problem>>,
        limit: Duration,
    ) -> Result<Answered, Problem> {
        match tokio::time::timeout(limit, ended).await {
            Ok(Ok(Ok(Answered::Early(answer)))) => Ok(Answered::Early(answer)),
            Ok(Ok(Ok(Answered::Ended(execution, answer)))) => match problem_of(&execution) {
                None => Ok(Answered::Ended(execution, answer)),
                Some(code) => {
                    let detail = execution.status_message.clone().unwrap_or_default();
                    Err(Problem::new(code, detail).with_execution(execution))
                }
            },
            Ok(Ok(Err(problem))) => Err(problem.with_execution(live.execution())),
            Ok(Err(_)) if self.refuse_if_draining().is_err() => {
                let detail = "the host is about to stop; the execution goes on after its next start";
                Err(Problem::new(Code::HostDraining, detail).with_execution(live.execution()))
            }
            // The task is gone without an answer: it panicked.
            Ok(Err(_)) => Err(Problem::host(format!("the task of execution {} ended without an answer", live.id))
                .with_execution(live.execution())),
            Err(_) => {
                let execution =
                    self.record_running(live).await.map_err(|problem| problem.with_execution(live.execution()))?;
                let detail = format!("the execution did not end within {} ms and goes on", limit.as_millis());
                Err(Problem::new(Code::WebhookWaitLimit, detail).with_execution(execution))
            }
        }
    }

    /// Makes sure that the id of an execution resolves that goes on though nobody waits for it any more.
    async fn record_running(&self, live: &Arc<Live>) -> Result<Execution, Problem> {
        let is_resident = self.registry().get(live.id).is_some_and(|resident| Arc::ptr_eq(&resident, live));
        if !is_resident {
            // It left memory, or it has ended: the store has it.
            return self.execution(live.id).await;
        }
        let (waiting, host) = (live.clone(), self.clone());
        // In a task of its own: a row that was written while the caller left would not be known as written.
        let recorded = tokio::spawn(async move { waiting.record(host.store(), host.owner_id()).await });
        recorded.await.map_err(Problem::host).and_then(|recorded| recorded)?;
        Ok(live.execution())
    }
}

/// With whose permissions the webhook's executions act: its own in the record form, its user's in the setting form.
fn actor(route: &Route, user_id: Option<RecordId>) -> Option<Actor> {
    match route.owner {
        Owner::Id(_) => Some(Actor { kind: ActorKind::Webhook, id: route.webhook.id }),
        Owner::Name(_) => user_id.map(|id| Actor { kind: ActorKind::User, id }),
    }
}

/// `?async`, or else `Prefer: respond-async`.
fn asks_for_async(request: &WebhookRequest) -> bool {
    let by_query = request.query.as_deref().and_then(query::asks_for_async);
    by_query.unwrap_or_else(|| prefers_async(&request.headers))
}

fn prefers_async(headers: &HeaderMap) -> bool {
    let preferences = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    preferences.flat_map(|value| value.split(',')).any(|preference| {
        let name = preference.split([';', '=']).next().unwrap_or_default();
        name.trim().eq_ignore_ascii_case("respond-async")
    })
}

pub(super) fn webhook_busy() -> Problem {
    Problem::new(Code::WebhookBusy, "the webhook runs as many executions as it may; try again")
}

fn unauthorized() -> Problem {
    let detail = "the webhook wants its key: as `key` in the query, in the JSON payload or in the form, or as the header X-Api-Key";
    Problem::new(Code::WebhookUnauthorized, detail)
}
