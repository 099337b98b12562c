//! The exchanges of an execution with the outside, and the two journal points that each of them passes.
//!
//! At the first a request is sent or refused, at the second its response is there. An execution that is run again and finds
//! the first without the second was cut off in the middle: it sends the request again only where that is safe.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use flowhost_engine::{Call, Holder, Outcome, State};
use futures_util::future::join_all;
use tokio::sync::oneshot;
use tokio_util::task::AbortOnDropHandle;

use super::asking;
use super::bindings::flowhost::flow::types::HostError;
use super::drafts::{DRAFTS_BYTES, Held, Room as DraftRoom};
use super::refusal::refusal;
use crate::execution::Live;
use crate::host::Host;
use crate::outgoing::{Draft, Failure, Request, Response, Share, Turn, beginning, log_ended};

/// How an exchange ended.
pub(super) type Exchanged = Result<Response, Failure>;

/// What an execution has exchanged.
#[derive(Default)]
struct Exchanges {
    sent: u32,
    /// Made at the first request.
    bounds: Option<Arc<Bounds>>,
}

/// What the exchanges of an execution have in common.
struct Bounds {
    host: Host,
    live: Arc<Live>,
    holder: Holder,
    share: Share,
    /// For the bodies that the flow holds.
    draft_room: DraftRoom,
    body_bytes: usize,
}

/// How many bodies of the largest size a flow may hold before they are sent.
const BODIES: usize = 4;

/// Bytes of a body that a flow holds until it is sent.
pub(super) struct Drafted {
    held: Held,
    /// The most of them.
    limit: usize,
}

impl Drafted {
    /// Room for a body that grows.
    pub(super) fn new(state: &mut State) -> wasmtime::Result<Self> {
        let bounds = bounds(state)?;
        Ok(Self { held: Held::of(bounds.draft_room.clone(), state.host_memory()), limit: bounds.body_bytes })
    }

    /// Makes room for so many more bytes; false where there is none, or the body is too large.
    pub(super) fn grow(&mut self, by: usize) -> bool {
        self.held.bytes().saturating_add(by) <= self.limit && self.held.grow(by)
    }

    /// The room, which is another's from now on.
    pub(super) fn take(&mut self) -> Self {
        Self { held: self.held.take(), limit: self.limit }
    }

    /// Gives the room back.
    pub(super) fn clear(&mut self) {
        self.held.shrink_to(0);
    }
}

/// Bytes that requests may have which are sent together: so many as different ones can have that a flow holds.
pub(super) fn together_bytes(state: &mut State) -> wasmtime::Result<usize> {
    Ok(bounds(state)?.body_bytes.saturating_mul(BODIES).saturating_add(DRAFTS_BYTES))
}

/// A request that has passed the first journal point.
pub(super) struct Sent {
    /// Counted from 1 within the execution.
    pub(super) number: u32,
    request: Arc<Request>,
    bounds: Arc<Bounds>,
    /// Whether the execution sent it when it ran before.
    pub(super) is_known: bool,
    /// Whether the store knows that it is sent.
    is_kept: bool,
    /// The room that its body takes until the exchange has ended.
    pub(super) drafted: Option<Drafted>,
}

/// An exchange under way; dropping it ends it.
pub(super) struct UnderWay {
    result: oneshot::Receiver<Exchanged>,
    _task: AbortOnDropHandle<()>,
}

impl Future for UnderWay {
    /// None where the host failed.
    type Output = Option<Exchanged>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.result).poll(context).map(Result::ok)
    }
}

impl From<Failure> for HostError {
    fn from(failure: Failure) -> Self {
        refusal(&failure.code, failure.message)
    }
}

fn bounds(state: &mut State) -> wasmtime::Result<Arc<Bounds>> {
    if let Some(bounds) = &state.slot_or_default::<Exchanges>().bounds {
        return Ok(bounds.clone());
    }
    let (host, live) = asking(state)?;
    let limits = host.outgoing().limits();
    let body_bytes = usize::try_from(limits.body_bytes).unwrap_or(usize::MAX);
    let bounds = Arc::new(Bounds {
        share: Share::new(limits, state.journal.room(), state.host_memory()),
        draft_room: DraftRoom::new(body_bytes.saturating_mul(BODIES)),
        body_bytes,
        holder: state.holder(),
        host,
        live,
    });
    state.slot_or_default::<Exchanges>().bounds = Some(bounds.clone());
    Ok(bounds)
}

/// The first journal point: requests are sent, or refused. They leave when [`exchange`] is asked for.
pub(super) async fn send(state: &mut State, drafts: Vec<Draft>) -> wasmtime::Result<Vec<Result<Sent, Failure>>> {
    let bounds = bounds(state)?;
    let Bounds { host, live, .. } = &*bounds;
    let limits = host.outgoing().limits();
    let mut results = Vec::with_capacity(drafts.len());
    let mut must_be_kept = false;
    for draft in drafts {
        if !results.is_empty() {
            // Each is digested, which takes its time: others run in between.
            tokio::task::yield_now().await;
        }
        let exchanges: &mut Exchanges = state.slot_or_default();
        exchanges.sent = exchanges.sent.saturating_add(1);
        let number = exchanges.sent;
        let call = Call::new("http.request", &draft.summary());
        let known = state.replay::<Result<(), Failure>>(&call)?;
        let is_known = known.is_some();
        if let Some(Err(refused)) = known {
            results.push(Err(refused));
            continue;
        }
        let shown = format!("{} request {number}", beginning(&draft.method));
        let checked = draft.check(limits.body_bytes).and_then(|request| {
            if number > limits.requests && !is_known {
                let message = format!("an execution sends at most {} requests", limits.requests);
                return Err(Failure::new(Failure::TOO_MANY, message));
            }
            if !is_known && let Err(refused) = host.outgoing().permit(host, live, &request) {
                log_ended(live, &request.shown(live), Err(&refused), Instant::now());
                return Err(refused);
            }
            Ok(Arc::new(request))
        });
        if !is_known {
            if let Err(refused) = &checked
                && (refused.code == Failure::TOO_LARGE
                    || refused.code == Failure::TOO_MANY && number == limits.requests.saturating_add(1))
            {
                log_ended(live, shown.trim_start(), Err(refused), Instant::now());
            }
            state.record(call, &checked.as_ref().map(|_| ()))?;
        }
        results.push(checked.map(|request| {
            must_be_kept |= !is_known && !request.is_repeatable();
            Sent { number, request, bounds: bounds.clone(), is_known, is_kept: false, drafted: None }
        }));
    }
    bounds.share.lower_room(state.journal.room());
    if must_be_kept && live.is_durable() {
        // If it is cut off from here on, the next run knows that the request may have been received.
        host.step(state, live, Vec::new(), |_, _| {}).await?;
        for sent in results.iter_mut().flatten() {
            sent.is_kept = true;
        }
    }
    Ok(results)
}

/// The second journal point, as its entry names it.
fn response_call(sent: &Sent) -> Call {
    Call::new("http.response", &sent.number)
}

impl Sent {
    /// Begins the exchange, in a task of its own. The call stays in memory until the value is dropped, or until the response has
    /// been there for as long as the exchange may take, and nobody asked for it.
    pub(super) fn begin(&self) -> UnderWay {
        let (bounds, request, is_known) = (self.bounds.clone(), self.request.clone(), self.is_known);
        let turn = bounds.share.turn();
        let (send, result) = oneshot::channel();
        let task = tokio::spawn(async move {
            let _hold = bounds.holder.hold();
            let exchanged = bounds.exchange(&request, is_known, turn).await;
            // Whoever began it may have lost interest.
            let _gone = send.send(exchanged);
            tokio::time::sleep(bounds.host.outgoing().limits().time).await;
        });
        UnderWay { result, _task: AbortOnDropHandle::new(task) }
    }
}

impl Bounds {
    async fn exchange(&self, request: &Request, is_known: bool, turn: Turn) -> Exchanged {
        let (host, live) = (&self.host, &self.live);
        if is_known && !request.is_repeatable() {
            let shown = request.shown(live);
            let message = format!(
                "the host was cut off after it had sent {shown}; nobody knows whether it was received, so it is not sent again"
            );
            let failure = Failure::new(Failure::OUTCOME_UNKNOWN, message);
            log_ended(live, &shown, Err(&failure), Instant::now());
            return Err(failure);
        }
        host.outgoing().exchange(host, live, request, &self.share, turn).await
    }
}

/// What an exchange gave; one without an end is a fault of the host.
pub(super) fn ended(state: &mut State, ended: Option<Exchanged>) -> wasmtime::Result<Exchanged> {
    ended.ok_or_else(|| state.end(Outcome::HostFault("an exchange with the outside panicked".into())))
}

/// Keeps responses that only the flow's memory and its journal have: a crash right after them does not make them unknown.
pub(super) async fn keep<'a>(state: &mut State, sent: impl Iterator<Item = &'a Sent>) -> wasmtime::Result<()> {
    if sent.into_iter().any(|sent| sent.is_kept) {
        let (host, live) = asking(state)?;
        host.keep_told(state, &live).await?;
    }
    Ok(())
}

/// Exchanges what was sent, at the same time, and passes the second journal point of each in its order.
pub(super) async fn exchange(state: &mut State, sent: &[&Sent]) -> wasmtime::Result<Vec<Exchanged>> {
    let since = state.journal.now();
    let mut results = Vec::with_capacity(sent.len());
    for sent in sent {
        match state.replay::<Exchanged>(&response_call(sent))? {
            Some(told) => results.push(told),
            // The points of requests that are sent together are kept together.
            None => break,
        }
    }
    let rest = &sent[results.len()..];
    if !rest.is_empty() {
        let under_way = rest.iter().map(|sent| sent.begin());
        let all = state.attend(join_all(under_way)).await;
        for (sent, end) in rest.iter().zip(all) {
            let exchanged = ended(state, end)?;
            state.record(response_call(sent), &exchanged)?;
            results.push(exchanged);
        }
        keep(state, rest.iter().copied()).await?;
    }
    state.journal.note_wait(since);
    Ok(results)
}
