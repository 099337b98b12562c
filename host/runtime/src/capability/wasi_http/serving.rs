//! The half of `wasi:http/types` that serves requests: flows are called another way, and get no such thing.

use flowhost_engine::State;
use wasmtime::component::Resource;

use super::bindings::wasi::http::types::{self, ErrorCode, Method, Scheme};
use super::body::OutgoingBody;
use super::fields::Fields;
use super::response::IncomingBody;

/// What no flow ever holds.
pub enum Never {}

type Given = Resource<Never>;

fn no_such_thing<T>() -> wasmtime::Result<T> {
    Err(wasmtime::Error::msg(
        "flows are called through `flowhost:flow/handler`; of `wasi:http` they have the outgoing half",
    ))
}

impl types::HostIncomingRequest for State {
    fn method(&mut self, _: Given) -> wasmtime::Result<Method> {
        no_such_thing()
    }

    fn path_with_query(&mut self, _: Given) -> wasmtime::Result<Option<String>> {
        no_such_thing()
    }

    fn scheme(&mut self, _: Given) -> wasmtime::Result<Option<Scheme>> {
        no_such_thing()
    }

    fn authority(&mut self, _: Given) -> wasmtime::Result<Option<String>> {
        no_such_thing()
    }

    fn headers(&mut self, _: Given) -> wasmtime::Result<Resource<Fields>> {
        no_such_thing()
    }

    fn consume(&mut self, _: Given) -> wasmtime::Result<Result<Resource<IncomingBody>, ()>> {
        no_such_thing()
    }

    fn drop(&mut self, _: Given) -> wasmtime::Result<()> {
        no_such_thing()
    }
}

impl types::HostOutgoingResponse for State {
    fn new(&mut self, _: Resource<Fields>) -> wasmtime::Result<Given> {
        no_such_thing()
    }

    fn status_code(&mut self, _: Given) -> wasmtime::Result<u16> {
        no_such_thing()
    }

    fn set_status_code(&mut self, _: Given, _: u16) -> wasmtime::Result<Result<(), ()>> {
        no_such_thing()
    }

    fn headers(&mut self, _: Given) -> wasmtime::Result<Resource<Fields>> {
        no_such_thing()
    }

    fn body(&mut self, _: Given) -> wasmtime::Result<Result<Resource<OutgoingBody>, ()>> {
        no_such_thing()
    }

    fn drop(&mut self, _: Given) -> wasmtime::Result<()> {
        no_such_thing()
    }
}

impl types::HostResponseOutparam for State {
    fn set(&mut self, _: Given, _: Result<Given, ErrorCode>) -> wasmtime::Result<()> {
        no_such_thing()
    }

    fn drop(&mut self, _: Given) -> wasmtime::Result<()> {
        no_such_thing()
    }
}
