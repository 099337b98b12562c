//! `wasi:http` as the host implements it.

#![allow(missing_docs, unreachable_pub, clippy::all)]

wasmtime::component::bindgen!({
    path: "wit",
    world: "flowhost:wasi-http/wasi-http",
    imports: {
        "wasi:http/types.[static]outgoing-body.finish": async | trappable,
        "wasi:http/types.[method]future-incoming-response.get": async | trappable,
        "wasi:http/outgoing-handler.handle": async | trappable,
        default: trappable,
    },
    with: {
        "wasi:io": wasmtime_wasi_io::bindings::wasi::io,
        "wasi:http/types.fields": super::fields::Fields,
        "wasi:http/types.outgoing-request": super::request::OutgoingRequest,
        "wasi:http/types.request-options": super::options::RequestOptions,
        "wasi:http/types.outgoing-body": super::body::OutgoingBody,
        "wasi:http/types.future-incoming-response": super::future_response::FutureResponse,
        "wasi:http/types.incoming-response": super::response::IncomingResponse,
        "wasi:http/types.incoming-body": super::response::IncomingBody,
        "wasi:http/types.future-trailers": super::response::FutureTrailers,
        "wasi:http/types.incoming-request": super::serving::Never,
        "wasi:http/types.outgoing-response": super::serving::Never,
        "wasi:http/types.response-outparam": super::serving::Never,
    },
    require_store_data_send: true,
});
