//! A response that is on its way.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use flowhost_engine::{Call, State};
use wasmtime::component::Resource;
use wasmtime_wasi_io::poll::{DynPollable, Pollable, subscribe};

use super::bindings::wasi::http::types::{self, ErrorCode};
use super::response::IncomingResponse;
use crate::capability::exchanges::{self, Drafted, Exchanged, Sent, UnderWay};
use crate::outgoing::{Draft, Failure};

/// A response that is on its way, shared with the body that it waits for.
#[derive(Clone, Default)]
pub struct FutureResponse(Arc<Mutex<Phase>>);

/// How far an exchange has come.
#[derive(Default)]
enum Phase {
    /// The body is not finished.
    #[default]
    Unfinished,
    /// The request was not sent.
    Refused(Failure),
    /// It was sent when the execution ran before. Whether the journal has its response is not known yet.
    Known(Sent),
    UnderWay(Sent, UnderWay),
    /// None where the host failed. Its end keeps the call in memory, for some time.
    Ended {
        sent: Sent,
        ended: Option<Exchanged>,
        _holding: UnderWay,
    },
    /// The flow has what there was.
    Taken,
}

impl FutureResponse {
    fn lock(&self) -> MutexGuard<'_, Phase> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn refuse(&self, failure: Failure) {
        *self.lock() = Phase::Refused(failure);
    }

    /// Why the request was not sent, if so.
    pub(super) fn refused(&self) -> Option<Failure> {
        match &*self.lock() {
            Phase::Refused(failure) => Some(failure.clone()),
            _ => None,
        }
    }

    /// Begins what has not begun, and looks whether it has ended.
    fn poll(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut phase = self.lock();
        if let Phase::Known(_) = &*phase
            && let Phase::Known(sent) = std::mem::take(&mut *phase)
        {
            let under_way = sent.begin();
            *phase = Phase::UnderWay(sent, under_way);
        }
        if let Phase::UnderWay(_, under_way) = &mut *phase {
            let Poll::Ready(ended) = Pin::new(under_way).poll(context) else { return Poll::Pending };
            if let Phase::UnderWay(sent, under_way) = std::mem::take(&mut *phase) {
                *phase = Phase::Ended { sent, ended, _holding: under_way };
            }
        }
        // Nobody but the flow itself finishes a body.
        if matches!(*phase, Phase::Unfinished) { Poll::Pending } else { Poll::Ready(()) }
    }
}

#[async_trait]
impl Pollable for FutureResponse {
    async fn ready(&mut self) {
        poll_fn(|context| self.poll(context)).await;
    }
}

/// Sends a request whose body is whole. What becomes of it is the future's.
pub(super) async fn sent(
    state: &mut State,
    draft: Draft,
    drafted: Option<Drafted>,
    future: &FutureResponse,
) -> wasmtime::Result<()> {
    let mut sent = exchanges::send(state, vec![draft]).await?.pop();
    if let Some(Ok(sent)) = &mut sent {
        sent.drafted = drafted;
    }
    *future.lock() = match sent {
        Some(Ok(sent)) if sent.is_known => Phase::Known(sent),
        Some(Ok(sent)) => {
            let under_way = sent.begin();
            Phase::UnderWay(sent, under_way)
        }
        Some(Err(failure)) => Phase::Refused(failure),
        None => return Err(wasmtime::Error::msg("one request has one result")),
    };
    Ok(())
}

/// What there is to take, for real.
async fn look(state: &mut State, future: &FutureResponse) -> wasmtime::Result<Option<Exchanged>> {
    let was_told_of_it = matches!(&*future.lock(), Phase::Known(_));
    if was_told_of_it {
        // The run before may have been told that it is there.
        state.attend(poll_fn(|context| future.poll(context))).await;
    } else if future.poll(&mut Context::from_waker(Waker::noop())).is_pending() {
        return Ok(None);
    }
    let ended = match &*future.lock() {
        Phase::Ended { ended, .. } => ended.clone(),
        _ => None,
    };
    exchanges::ended(state, ended).map(Some)
}

impl types::HostFutureIncomingResponse for State {
    fn subscribe(&mut self, future: Resource<FutureResponse>) -> wasmtime::Result<Resource<DynPollable>> {
        subscribe(&mut self.table, future)
    }

    async fn get(
        &mut self,
        future: Resource<FutureResponse>,
    ) -> wasmtime::Result<Option<Result<Result<Resource<IncomingResponse>, ErrorCode>, ()>>> {
        let future = self.table.get(&future)?.clone();
        let number = match &*future.lock() {
            // None of these depends on anything but what the flow did.
            Phase::Unfinished => return Ok(None),
            Phase::Taken => return Ok(Some(Err(()))),
            Phase::Refused(_) => None,
            Phase::Known(sent) | Phase::UnderWay(sent, _) | Phase::Ended { sent, .. } => Some(sent.number),
        };
        let Some(number) = number else {
            let Phase::Refused(failure) = std::mem::replace(&mut *future.lock(), Phase::Taken) else {
                return Ok(Some(Err(())));
            };
            return Ok(Some(Ok(Err(failure.into()))));
        };
        let since = self.journal.now();
        let call = Call::new("wasi:http.response", &number);
        let told: Option<Exchanged> = match self.replay(&call)? {
            Some(told) => told,
            None => {
                let found = look(self, &future).await?;
                self.record(call, &found)?;
                found
            }
        };
        self.journal.note_wait(since);
        let Some(exchanged) = told else {
            // A flow that asks without end must not keep others from running.
            tokio::task::yield_now().await;
            return Ok(None);
        };
        let former = std::mem::replace(&mut *future.lock(), Phase::Taken);
        if let Phase::Ended { sent, .. } = former {
            exchanges::keep(self, std::iter::once(&sent)).await?;
        }
        Ok(Some(Ok(match exchanged {
            Ok(response) => Ok(self.push_resource(IncomingResponse::new(response)?)?),
            Err(failure) => Err(failure.into()),
        })))
    }

    fn drop(&mut self, future: Resource<FutureResponse>) -> wasmtime::Result<()> {
        self.table.delete(future)?;
        Ok(())
    }
}
