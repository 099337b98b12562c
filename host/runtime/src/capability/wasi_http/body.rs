//! The bodies of requests: in memory until they are finished.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use flowhost_engine::State;
use wasmtime::component::Resource;
use wasmtime_wasi_io::poll::Pollable;
use wasmtime_wasi_io::streams::{DynOutputStream, OutputStream, StreamError, StreamResult};

use super::bindings::wasi::http::types;
use super::fields::Fields;
use super::future_response::{FutureResponse, sent};
use crate::capability::exchanges::Drafted;
use crate::outgoing::{Cause, Draft, Failure};

/// How much a flow writes at once. A stream in memory takes anything; this keeps pieces handy.
const PIECE: usize = 64 << 10;

/// A body, shared by its request, its handle and its stream.
#[derive(Clone)]
pub(super) struct SharedBody(Arc<Mutex<Body>>);

struct Body {
    bytes: Vec<u8>,
    drafted: Drafted,
    is_too_large: bool,
    end: Option<End>,
    /// The request that waits for it.
    waiting: Option<(Draft, FutureResponse)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Finished,
    /// Dropped before.
    Incomplete,
}

/// A body that is finished.
pub(super) struct Whole {
    bytes: Vec<u8>,
    is_too_large: bool,
    drafted: Drafted,
}

impl Whole {
    /// Gives a request its body, and the room that this takes.
    pub(super) fn fill(self, draft: &mut Draft) -> Drafted {
        draft.body = self.bytes.into();
        if self.is_too_large {
            draft.too_large = Some(Cause::RequestTooLarge);
        }
        self.drafted
    }
}

impl SharedBody {
    pub(super) fn new(state: &mut State) -> wasmtime::Result<Self> {
        let drafted = Drafted::new(state)?;
        let body = Body { bytes: Vec::new(), drafted, is_too_large: false, end: None, waiting: None };
        Ok(Self(Arc::new(Mutex::new(body))))
    }

    fn lock(&self) -> MutexGuard<'_, Body> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The body; none where it is not finished yet.
    pub(super) fn take_whole(&self) -> Option<Result<Whole, types::ErrorCode>> {
        let mut body = self.lock();
        body.end.map(|end| match end {
            End::Finished => Ok(Whole {
                bytes: std::mem::take(&mut body.bytes),
                is_too_large: body.is_too_large,
                drafted: body.drafted.take(),
            }),
            End::Incomplete => Err(types::ErrorCode::HttpProtocolError),
        })
    }

    pub(super) fn send_when_finished(&self, draft: Draft, future: FutureResponse) {
        self.lock().waiting = Some((draft, future));
    }
}

/// The handle of a body.
pub struct OutgoingBody {
    body: SharedBody,
    has_stream: bool,
}

impl OutgoingBody {
    pub(super) fn new(body: SharedBody) -> Self {
        Self { body, has_stream: false }
    }
}

/// What a flow writes a body to.
struct Writer(SharedBody);

#[async_trait]
impl Pollable for Writer {
    async fn ready(&mut self) {}
}

impl OutputStream for Writer {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let mut body = self.0.lock();
        if body.end.is_some() {
            return Err(StreamError::Closed);
        }
        // The request is refused for a body that is too large. The stream goes on: JavaScript's engine ends where one fails.
        if !body.is_too_large && !body.drafted.grow(bytes.len()) {
            body.is_too_large = true;
            body.bytes = Vec::new();
            body.drafted.clear();
        }
        if !body.is_too_large {
            body.bytes.extend_from_slice(&bytes);
        }
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        if self.0.lock().end.is_some() { Err(StreamError::Closed) } else { Ok(PIECE) }
    }
}

impl types::HostOutgoingBody for State {
    fn write(&mut self, body: Resource<OutgoingBody>) -> wasmtime::Result<Result<Resource<DynOutputStream>, ()>> {
        let body = self.table.get_mut(&body)?;
        if std::mem::replace(&mut body.has_stream, true) {
            return Ok(Err(()));
        }
        let writer: DynOutputStream = Box::new(Writer(body.body.clone()));
        Ok(Ok(self.push_resource(writer)?))
    }

    async fn finish(
        &mut self,
        body: Resource<OutgoingBody>,
        trailers: Option<Resource<Fields>>,
    ) -> wasmtime::Result<Result<(), types::ErrorCode>> {
        let OutgoingBody { body: shared, .. } = self.table.delete(body)?;
        if let Some(trailers) = trailers
            && !self.table.delete(trailers)?.map.is_empty()
        {
            abandon(&shared);
            let message = "this host sends no trailers".to_owned();
            return Ok(Err(types::ErrorCode::InternalError(Some(message))));
        }
        let waiting = {
            let mut body = shared.lock();
            body.end = Some(End::Finished);
            body.waiting.take()
        };
        let Some((mut draft, future)) = waiting else { return Ok(Ok(())) };
        let drafted = match shared.take_whole() {
            Some(Ok(whole)) => Some(whole.fill(&mut draft)),
            _ => None,
        };
        sent(self, draft, drafted, &future).await?;
        Ok(Ok(()))
    }

    fn drop(&mut self, body: Resource<OutgoingBody>) -> wasmtime::Result<()> {
        abandon(&self.table.delete(body)?.body);
        Ok(())
    }
}

/// A body that is dropped before it is finished is none, and its request is not sent.
fn abandon(shared: &SharedBody) {
    let waiting = {
        let mut body = shared.lock();
        body.end = Some(End::Incomplete);
        body.waiting.take()
    };
    if let Some((_, future)) = waiting {
        future.refuse(Failure::new(Failure::INVALID_REQUEST, "the body was dropped before it was finished"));
    }
}
