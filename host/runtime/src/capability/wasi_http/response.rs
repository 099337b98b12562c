//! Responses: complete, and in memory.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use flowhost_engine::State;
use http::{HeaderMap, HeaderName, HeaderValue};
use wasmtime::component::Resource;
use wasmtime_wasi_io::poll::{DynPollable, Pollable, subscribe};
use wasmtime_wasi_io::streams::{DynInputStream, InputStream, StreamError, StreamResult};

use super::bindings::wasi::http::types::{self, ErrorCode};
use super::fields::Fields;
use crate::outgoing::Response;

/// A response.
pub struct IncomingResponse {
    status: u16,
    headers: Arc<HeaderMap>,
    /// None where the flow has it.
    body: Option<Bytes>,
}

impl IncomingResponse {
    pub(super) fn new(response: Response) -> wasmtime::Result<Self> {
        let mut headers = HeaderMap::with_capacity(response.headers.len());
        for (name, value) in response.headers {
            headers.append(HeaderName::from_bytes(name.as_bytes())?, HeaderValue::from_bytes(&value.0)?);
        }
        let body = Some(response.body.0.into());
        Ok(Self { status: response.status, headers: Arc::new(headers), body })
    }
}

/// The body of a response.
pub struct IncomingBody(Option<Bytes>);

/// The trailers of a response, of which there are none.
#[derive(Default)]
pub struct FutureTrailers {
    is_taken: bool,
}

/// What a flow reads a body from.
struct Reader(Bytes);

#[async_trait]
impl Pollable for Reader {
    async fn ready(&mut self) {}
}

impl InputStream for Reader {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        if self.0.is_empty() {
            return Err(StreamError::Closed);
        }
        Ok(self.0.split_to(size.min(self.0.len())))
    }
}

#[async_trait]
impl Pollable for FutureTrailers {
    async fn ready(&mut self) {}
}

impl types::HostIncomingResponse for State {
    fn status(&mut self, response: Resource<IncomingResponse>) -> wasmtime::Result<u16> {
        Ok(self.table.get(&response)?.status)
    }

    fn headers(&mut self, response: Resource<IncomingResponse>) -> wasmtime::Result<Resource<Fields>> {
        let headers = self.table.get(&response)?.headers.clone();
        let headers = Fields::immutable(self, headers);
        self.push_resource(headers)
    }

    fn consume(
        &mut self,
        response: Resource<IncomingResponse>,
    ) -> wasmtime::Result<Result<Resource<IncomingBody>, ()>> {
        match self.table.get_mut(&response)?.body.take() {
            Some(body) => Ok(Ok(self.push_resource(IncomingBody(Some(body)))?)),
            None => Ok(Err(())),
        }
    }

    fn drop(&mut self, response: Resource<IncomingResponse>) -> wasmtime::Result<()> {
        self.table.delete(response)?;
        Ok(())
    }
}

impl types::HostIncomingBody for State {
    fn stream(&mut self, body: Resource<IncomingBody>) -> wasmtime::Result<Result<Resource<DynInputStream>, ()>> {
        match self.table.get_mut(&body)?.0.take() {
            Some(bytes) => {
                let reader: DynInputStream = Box::new(Reader(bytes));
                Ok(Ok(self.push_resource(reader)?))
            }
            None => Ok(Err(())),
        }
    }

    fn finish(&mut self, body: Resource<IncomingBody>) -> wasmtime::Result<Resource<FutureTrailers>> {
        self.table.delete(body)?;
        self.push_resource(FutureTrailers::default())
    }

    fn drop(&mut self, body: Resource<IncomingBody>) -> wasmtime::Result<()> {
        self.table.delete(body)?;
        Ok(())
    }
}

impl types::HostFutureTrailers for State {
    fn subscribe(&mut self, trailers: Resource<FutureTrailers>) -> wasmtime::Result<Resource<DynPollable>> {
        subscribe(&mut self.table, trailers)
    }

    fn get(
        &mut self,
        trailers: Resource<FutureTrailers>,
    ) -> wasmtime::Result<Option<Result<Result<Option<Resource<Fields>>, ErrorCode>, ()>>> {
        let trailers = self.table.get_mut(&trailers)?;
        let was_taken = std::mem::replace(&mut trailers.is_taken, true);
        Ok(Some(if was_taken { Err(()) } else { Ok(Ok(None)) }))
    }

    fn drop(&mut self, trailers: Resource<FutureTrailers>) -> wasmtime::Result<()> {
        self.table.delete(trailers)?;
        Ok(())
    }
}
