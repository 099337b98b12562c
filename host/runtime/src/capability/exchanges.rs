//! The exchanges of an execution with the outside, and the two journal points that each of them passes.
//!
//! At the first a request is sent or refused, at the second its response is there. An execution that is run again and finds
//! the first without the second was cut off in the middle: it sends the request again only where that is safe.

use std::sync::Arc;
use std::time::Instant;

use flowhost_engine::{Call, Outcome, State};
use flowhost_model::LogLevel;
use futures_util::future::join_all;
use tokio::sync::Semaphore;
use tokio_util::task::AbortOnDropHandle;

use super::bindings::flowhost::flow::types::HostError;
use super::refusal::refusal;
use crate::capability::ExecutionContext;
use crate::execution::Live;
use crate::host::Host;
use crate::outgoing::{Draft, Failure, Request, Response, Room};

/// How an exchange ended.
pub(super) type Exchanged = Result<Response, Failure>;

/// What an execution has exchanged.
#[derive(Default)]
pub(super) struct Exchanges {
    sent: u32,
    /// Bytes of drafts that the flow holds.
    drafted: usize,
    /// Made at the first exchange.
    bounds: Option<(Arc<Semaphore>, Room)>,
}

/// A request that has passed the first journal point.
pub(super) struct Sent {
    number: u32,
    request: Arc<Request>,
    /// Whether the execution sent it when it ran before.
    is_known: bool,
    /// Whether the store knows that it is sent.
    is_kept: bool,
}

impl From<Failure> for HostError {
    fn from(failure: Failure) -> Self {
        refusal(&failure.code, failure.message)
    }
}

pub(super) fn asking(state: &mut State) -> wasmtime::Result<(Host, Arc<Live>)> {
    let context = state.slot::<ExecutionContext>()?;
    Ok((context.host().clone(), context.live().clone()))
}

/// Makes room for bytes of a request that the flow holds; none where it holds too many.
pub(super) fn draft(state: &mut State, bytes: usize) -> wasmtime::Result<bool> {
    let (host, _) = asking(state)?;
    let limit = usize::try_from(host.outgoing().limits().body_bytes).unwrap_or(usize::MAX);
    let exchanges: &mut Exchanges = state.slot_or_default();
    let is_too_large = bytes > limit || exchanges.drafted.saturating_add(bytes) > limit.saturating_mul(4);
    if !is_too_large {
        exchanges.drafted += bytes;
    }
    Ok(!is_too_large)
}

/// Bytes of a request that the flow does not hold any more.
pub(super) fn undraft(state: &mut State, bytes: usize) {
    let exchanges: &mut Exchanges = state.slot_or_default();
    exchanges.drafted = exchanges.drafted.saturating_sub(bytes);
}

fn log(live: &Live, level: LogLevel, what: &str, ended: &str, began: Instant) {
    let line = format!("{what}: {ended} in {} ms (attempt {})", began.elapsed().as_millis(), live.attempt);
    live.log_host(level, line);
}

/// The first journal point: requests are sent, or refused. They leave when [`exchange`] is asked for.
pub(super) async fn send(state: &mut State, drafts: Vec<Draft>) -> wasmtime::Result<Vec<Result<Sent, Failure>>> {
    let (host, live) = asking(state)?;
    let limits = host.outgoing().limits();
    let mut results = Vec::with_capacity(drafts.len());
    let mut must_be_kept = false;
    for draft in drafts {
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
        let shown = format!("{} request {number}", draft.method);
        let checked = draft.check(limits.body_bytes).and_then(|request| {
            if number > limits.requests && !is_known {
                let message = format!("an execution sends at most {} requests", limits.requests);
                return Err(Failure::new(Failure::TOO_MANY, message));
            }
            if !is_known && let Err(refused) = host.outgoing().permit(&host, &live, &request) {
                log(&live, LogLevel::Warn, &request.shown(), &describe(&refused), Instant::now());
                return Err(refused);
            }
            Ok(Arc::new(request))
        });
        if !is_known {
            if let Err(refused) = &checked
                && refused.code == Failure::TOO_MANY
                && number == limits.requests.saturating_add(1)
            {
                log(&live, LogLevel::Warn, &shown, &describe(refused), Instant::now());
            }
            state.record(call, &checked.as_ref().map(|_| ()))?;
        }
        results.push(checked.map(|request| {
            must_be_kept |= !is_known && !request.is_repeatable();
            Sent { number, request, is_known, is_kept: false }
        }));
    }
    if must_be_kept && live.is_durable() {
        // If it is cut off from here on, the next run knows that the request may have been received.
        host.step(state, &live, Vec::new(), |_, _| {}).await?;
        for sent in results.iter_mut().flatten() {
            sent.is_kept = true;
        }
    }
    Ok(results)
}

fn describe(failure: &Failure) -> String {
    format!("{} ({})", failure.code, failure.message)
}

/// The second journal point, as its entry names it.
pub(super) fn response_call(sent: &Sent) -> Call {
    Call::new("http.response", &sent.number)
}

/// Begins an exchange, in a task of its own that ends when the handle is dropped.
pub(super) fn begin(state: &mut State, sent: &Sent) -> wasmtime::Result<AbortOnDropHandle<Exchanged>> {
    let (host, live) = asking(state)?;
    let journal_bytes = live.start.budget.journal_bytes;
    let exchanges: &mut Exchanges = state.slot_or_default();
    let (parallel, room) = exchanges.bounds.get_or_insert_with(|| {
        let parallel = Semaphore::new(host.outgoing().limits().parallel as usize);
        (Arc::new(parallel), Room::new(journal_bytes))
    });
    let (parallel, room) = (parallel.clone(), room.clone());
    let (request, is_known) = (sent.request.clone(), sent.is_known);
    Ok(AbortOnDropHandle::new(tokio::spawn(async move {
        let shown = request.shown();
        if is_known && !request.is_repeatable() {
            let message = format!(
                "the host was cut off after it had sent {shown}; nobody knows whether it was received, so it is not sent again"
            );
            let failure = Failure::new(Failure::OUTCOME_UNKNOWN, message);
            log(&live, LogLevel::Warn, &shown, &describe(&failure), Instant::now());
            return Err(failure);
        }
        // In this order: whoever waits for the execution's own turn holds no turn of the host's.
        let closed = |_| Failure::new(Failure::CONNECTION_FAILED, "the host is about to end");
        let _own = parallel.acquire().await.map_err(closed)?;
        let _turn = host.outgoing().parallel().acquire().await.map_err(closed)?;
        let began = Instant::now();
        let exchanged = host.outgoing().exchange(&host, &live, &request, &room).await;
        match &exchanged {
            Ok(response) => log(&live, LogLevel::Info, &shown, &response.status.to_string(), began),
            Err(failure) => log(&live, LogLevel::Warn, &shown, &describe(failure), began),
        }
        exchanged
    })))
}

/// What a task gave; a task that panicked is a fault of the host.
pub(super) fn joined(
    state: &mut State,
    ended: Result<Exchanged, tokio::task::JoinError>,
) -> wasmtime::Result<Exchanged> {
    ended.map_err(|error| state.end(Outcome::HostFault(format!("an exchange: {error}"))))
}

/// Keeps responses that only the flow's memory and its journal have: a crash right after them does not make them unknown.
pub(super) async fn keep<'a>(state: &mut State, sent: impl Iterator<Item = &'a Sent>) -> wasmtime::Result<()> {
    if sent.into_iter().any(|sent| sent.is_kept) {
        let (host, live) = asking(state)?;
        host.step(state, &live, Vec::new(), |_, _| {}).await?;
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
    let mut under_way = Vec::with_capacity(rest.len());
    for sent in rest {
        under_way.push(begin(state, sent)?);
    }
    if !under_way.is_empty() {
        let ended = state.attend(join_all(under_way)).await;
        for (sent, ended) in rest.iter().zip(ended) {
            let exchanged = joined(state, ended)?;
            state.record(response_call(sent), &exchanged)?;
            results.push(exchanged);
        }
        keep(state, rest.iter().copied()).await?;
    }
    state.journal.note_wait(since);
    Ok(results)
}
