//! One webhook call.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flowhost_model::{
    Actor, ActorKind, Execution, ExecutionLocation, Operation, RawValue, RecordId, RecordType, Status,
};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method};
use tokio::runtime::Handle;

use super::payload::{Asked, Payload, PayloadError};
use super::{IncomingRequest, Owner, Route, Standing, key, login, payload, query};
use crate::audit::{AuditEntry, AuditEvent};
use crate::caller::CallerNetwork;
use crate::execution::{Answered, Counted, FlowAnswer, Lineage, Live, Start, priority_of, problem_of};
use crate::flow::ActiveVersion;
use crate::host::Host;
use crate::identity::Identity;
use crate::input::WebhookInput;
use crate::problem::{Code, Problem};
use crate::secret::CalledKey;

/// The largest body, in bytes, that is parsed right where it is: a larger one may take long, and others wait for the thread.
const PARSED_AT_ONCE: usize = 32 << 10;

/// The largest input, in bytes, that counts as no larger than its body.
const SMALL_INPUT: usize = 64 << 10;

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
    /// What [`Host::judge_call`] has found, where the head was judged before the body was read.
    pub standing: Option<Standing>,
    /// What the request takes of the room of the server that read it.
    pub reservation: Option<Reservation>,
}

/// The room that a call takes until it runs or is in the queue, from where on the host's own limits apply.
pub struct Reservation(Box<dyn Room>);

/// Room in memory that a server has for calls.
pub trait Room: Send + Sync {
    /// Takes more bytes, or returns `false` if there is no room for them.
    fn grow(&mut self, more: u64) -> bool;
}

impl Reservation {
    /// Holds room, which is given back when the call is handed on.
    pub fn new(room: impl Room + 'static) -> Self {
        Self(Box::new(room))
    }

    /// Takes room for an input as well, which may be several times as large as the body that it is made of.
    fn hold(&mut self, input: &RawValue) -> Result<(), Problem> {
        let bytes = input.get().len();
        if bytes <= SMALL_INPUT || self.0.grow(bytes as u64) {
            return Ok(());
        }
        Err(Problem::new(Code::HostBusy, "the host has no room for more calls of this size now; try again"))
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

/// What became of the keys in the head of a request.
#[derive(Default)]
struct HeadKey {
    /// The right key, where the query has it.
    query_key: Option<String>,
    /// The right key, where the header has it.
    header_key: Option<String>,
    /// There was a key, and none that is right.
    is_wrong: bool,
    /// What may be wrong with it.
    hint: &'static str,
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
    pub async fn call_webhook(&self, route: &Route, request: WebhookRequest) -> Result<Called, Problem> {
        self.refuse_if_draining()?;
        let not_found = || Problem::new(Code::WebhookNotFound, "no webhook can be called at this address");
        let version = self.snapshot().active_version(&route.flow).ok_or_else(not_found)?;
        let caller = request.caller;
        let refused = |problem: Problem| {
            if problem.execution.is_none() {
                self.audit().record(&AuditEntry {
                    event: AuditEvent::CallRefused(problem.code),
                    user: None,
                    webhook: Some(&route.webhook.name),
                    address: caller,
                    request: None,
                    record: None,
                });
            }
            problem
        };
        let (request, login) = self.admit_caller(route, request).map_err(refused)?;
        let called = self.call_admitted(route, &version, request).await;
        called.map_err(refused).map_err(|problem| {
            let may_read = |execution: &Execution| {
                let project_id = execution.project_id;
                let may_read = |login: &Identity| login.access.may(Operation::Read, RecordType::Execution, project_id);
                !execution.is_productive || login.as_ref().is_some_and(may_read)
            };
            problem.for_caller(may_read)
        })
    }

    /// Runs a call whose login was checked.
    async fn call_admitted(
        &self,
        route: &Route,
        version: &ActiveVersion,
        mut request: WebhookRequest,
    ) -> Result<Called, Problem> {
        let mut reservation = request.reservation.take();
        let is_async = asks_for_async(&request);
        let is_preferred = prefers_async(&request.headers);
        let Admitted { request, input, key, counted } = self.admit_request(route, version, request).await?;
        reservation.as_mut().map_or(Ok(()), |reservation| reservation.hold(&input))?;
        self.note_activity(route.webhook.id);
        let user_id = self.owner(route);
        let (project_id, bundle_id) = self.execution_location(route, version);
        let is_paused = !route.is_productive && !self.is_active(user_id);
        let start = Start {
            flow: version.flow.clone(),
            webhook: Some(route.webhook.clone()),
            project_id,
            bundle_id,
            created_by: Some(route.webhook.id),
            user_id,
            actor: self.route_actor(route),
            lineage: Lineage::default(),
            priority: priority_of(route.options.priority, version),
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
        let program = self.program(version).await?;
        let (slot, holding) = self.slot_of(version).await?;
        let live = Arc::new(self.admit(start)?);
        let ended = self.launch(live.clone(), program, slot, Some(counted), holding);
        drop(reservation);
        Ok(match self.wait_for(&live, ended, route.wait(self.limits())).await? {
            Answered::Ended(execution, None) => Called::Ended(Box::new(execution)),
            Answered::Ended(_, Some(answer)) | Answered::Early(answer) => Called::Answered { id: live.id, answer },
        })
    }

    /// Asks for the login where the webhook wants one, and takes what carried it out of what the flow sees. Returns who is
    /// logged in.
    fn admit_caller(
        &self,
        route: &Route,
        mut request: WebhookRequest,
    ) -> Result<(WebhookRequest, Option<Identity>), Problem> {
        let Some(caller) = self.login_of_caller(route, &request.method, &request.headers)? else {
            return Ok((request, None));
        };
        login::consume(&mut request.headers);
        Ok((request, Some(caller)))
    }

    /// Checks the key and the payload, and makes the flow's input of the request, without the key.
    async fn admit_request(
        &self,
        route: &Route,
        version: &ActiveVersion,
        request: WebhookRequest,
    ) -> Result<Admitted, Problem> {
        let WebhookRequest { method, path, query, mut headers, body, caller, standing, .. } = request;
        let expected = route.key_digest;
        let is_key = |value: &[u8]| expected.is_some_and(|expected| key::matches(expected, value));

        query.as_deref().map_or(Ok(()), |query| query::check_count(query.as_bytes(), "the query"))?;
        let head = self.head_key(route, caller, query.as_deref(), &headers, standing)?;
        let HeadKey { query_key, header_key, is_wrong, hint } = head;
        let (in_query, in_header) = (query_key.is_some(), header_key.is_some());
        let asked = match expected {
            None => Asked::No,
            Some(expected) if in_query || in_header => Asked::Answered(expected),
            Some(expected) => Asked::For(expected),
        };
        let payload = match self.parse_payload(route, &headers, body, asked).await? {
            Ok(payload) => payload,
            // A body that is no JSON is an error of its own, but not one that a caller without the key is told of.
            Err(PayloadError::Malformed(problem)) if matches!(asked, Asked::For(_)) => {
                tracing::debug!(detail = %problem.detail, "a call without a key had a malformed body");
                return Err(without_key(is_wrong, hint));
            }
            Err(PayloadError::Malformed(problem) | PayloadError::RepeatedKey(problem)) => return Err(problem),
        };
        if matches!(asked, Asked::For(_)) {
            // Once more: of many guesses at once, those whose body was read meanwhile must not succeed behind the limit.
            self.refuse_guesses(route, caller)?;
            if payload.has_wrong_key {
                self.note_wrong_keys(route, caller, 1);
            }
            if payload.key.is_none() {
                return Err(without_key(is_wrong || payload.has_wrong_key, hint));
            }
        }
        if expected.is_some() {
            self.guesses().right(route.webhook.id, caller.map(CallerNetwork::from));
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
    async fn parse_payload(
        &self,
        route: &Route,
        headers: &HeaderMap,
        body: Bytes,
        asked: Asked,
    ) -> Result<Result<Payload, PayloadError>, Problem> {
        if body.len() <= PARSED_AT_ONCE {
            return Ok(payload::parse(headers, body, asked).await);
        }
        let headers = headers.get(CONTENT_TYPE).into_iter().map(|value| (CONTENT_TYPE, value.clone())).collect();
        let runtime = Handle::current();
        self.run_blocking(route.webhook.id, move || runtime.block_on(payload::parse(&headers, body, asked))).await
    }

    /// Checks the key that the head of a request presents, where the webhook has one.
    fn head_key(
        &self,
        route: &Route,
        caller: Option<IpAddr>,
        query: Option<&str>,
        headers: &HeaderMap,
        standing: Option<Standing>,
    ) -> Result<HeadKey, Problem> {
        let Some(expected) = route.key_digest else { return Ok(HeadKey::default()) };
        self.refuse_guesses(route, caller)?;
        let presented = key::Presented::of(query, headers)?;
        let is_wrong = presented.is_wrong(expected);
        let presented_keys = presented.count();
        let hint = hint_of(presented.in_query.as_deref().unwrap_or_default());
        let query_key = presented.in_query.filter(|value| key::matches(expected, value.as_bytes()));
        let header_key = presented.in_header.filter(|value| key::matches(expected, value));
        let header_key = header_key.and_then(|value| std::str::from_utf8(value).ok());
        if is_wrong && standing.is_none() {
            // At once, before the body is looked at: other guesses are under way. A right key in the body takes it back.
            self.note_wrong_keys(route, caller, presented_keys);
        }
        Ok(HeadKey {
            query_key: query_key.map(Cow::into_owned),
            header_key: header_key.map(str::to_owned),
            is_wrong,
            hint,
        })
    }

    pub(super) fn note_wrong_keys(&self, route: &Route, caller: Option<IpAddr>, count: usize) {
        for _ in 0..count {
            self.guesses().wrong(route.webhook.id, caller.map(CallerNetwork::from), self.now());
        }
    }

    /// Refuses a caller whose address has guessed too many keys of the webhook.
    pub(super) fn refuse_guesses(&self, route: &Route, caller: Option<IpAddr>) -> Result<(), Problem> {
        self.guesses().check(route.webhook.id, caller.map(CallerNetwork::from), self.now())
    }

    /// With whose permissions the webhook's executions act: its own in the record form, its user's in the setting form.
    pub(crate) fn route_actor(&self, route: &Route) -> Option<Actor> {
        match route.owner {
            Owner::Id(_) => Some(Actor { kind: ActorKind::Webhook, id: route.webhook.id }),
            Owner::Name(_) => self.owner(route).map(|id| Actor { kind: ActorKind::User, id }),
        }
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
            Ok(Ok(Err(problem))) => Err(live.named_in(problem)),
            Ok(Err(_)) if self.refuse_if_draining().is_err() => {
                let detail = if live.is_kept() {
                    "the host is about to stop; the execution goes on after its next start"
                } else {
                    "the host is about to stop; the execution was not kept"
                };
                Err(live.named_in(Problem::new(Code::HostDraining, detail)))
            }
            // The task is gone without an answer: it panicked.
            Ok(Err(_)) => {
                let problem = Problem::host(format!("the task of execution {} ended without an answer", live.id));
                Err(live.named_in(problem))
            }
            Err(_) => {
                let execution = self.record_running(live).await.map_err(|problem| live.named_in(problem))?;
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

/// The problem of a call that has no right key.
fn without_key(is_wrong: bool, hint: &str) -> Problem {
    let places = "as `key` in the query, in the JSON payload or in the form, or as the header X-Api-Key";
    if is_wrong {
        return Problem::new(
            Code::WebhookKeyWrong,
            format!("the key is wrong{hint}; the webhook wants its own: {places}"),
        );
    }
    Problem::new(Code::WebhookUnauthorized, format!("the webhook wants its key: {places}"))
}

/// What may be wrong with a key in a query, to be read behind `the key is wrong`.
fn hint_of(key: &str) -> &'static str {
    if key.contains('?') {
        ": the address has a second `?`, and what follows it counts as part of the key; join with `&` there"
    } else if key.contains(' ') {
        ": it has a blank, which a `+` in a query stands for; write `+` as `%2B`"
    } else {
        ""
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
