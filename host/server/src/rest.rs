//! The REST API: records and executions, for whoever has a token.

mod auth;
mod execution;
mod file;
mod flow;
mod lock;
mod message;
mod openapi;
mod parameters;
mod record;
mod requester;
mod secret;
mod token;
mod webhook;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::{delete, get, post};
use bytes::Bytes;
use flowhost::model::{RecordType, definition, json_memory};
use flowhost::{Code, Host, Identity, Problem};
use http::{HeaderValue, Method, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::bodies::{Bodies, Room, Taken};
use crate::body::Reading;
use crate::caller_address::CallerAddress;
use crate::{answer, head};

pub(crate) use requester::with_requester;
pub(crate) use token::reader_of;

pub use openapi::document as openapi_document;

/// The largest body of a record, in bytes.
const RECORD_BYTES: u64 = 2 << 20;

/// The largest body of a login, in bytes: its sender is not known yet.
const LOGIN_BYTES: u64 = 16 << 10;

/// The largest body, in bytes, that is parsed right where it is: a larger one may take long, and others wait for the thread.
const PARSED_AT_ONCE: usize = 64 << 10;

/// What every handler needs.
#[derive(Clone)]
pub(crate) struct Api {
    host: Host,
    bodies: Bodies,
}

type Shared = axum::extract::State<Arc<Api>>;
type Answer = Result<Response, answer::ProblemAnswer>;

/// All routes but the addresses of webhooks. `openapi.rs` describes them.
pub(crate) fn router(host: Host, bodies: Bodies) -> Router {
    let edited = RecordType::ALL.map(definition).into_iter().filter(|one| one.record_type != RecordType::Execution);
    let router = edited.fold(Router::new(), |router, definition| router.merge(record::routes(definition)));
    router
        .route("/favicon.ico", get(favicon))
        .route("/robots.txt", get(robots))
        .route("/api/latest/alive", get(alive))
        .route("/api/latest/ready", get(ready))
        .route("/api/latest/openapi.json", get(openapi::serve))
        .route("/api/latest/auth/login", post(auth::login))
        .route("/api/latest/auth/logout", post(auth::logout))
        .route("/api/latest/execution", get(execution::list))
        .route("/api/latest/execution/{id}", get(execution::read))
        .route("/api/latest/execution/{id}/log", get(execution::log))
        .route("/api/latest/execution/{id}/action/{verb}", post(execution::action))
        .route("/api/latest/flow/{id}/version", get(flow::versions))
        .route("/api/latest/flow/{id}/version/{version}/component", get(flow::component))
        .route("/api/latest/flow/{id}/action/activate", post(flow::activate))
        .route("/api/latest/flow/{id}/action/upload", post(flow::upload))
        .route("/api/latest/file/{id}/content", get(file::read).put(file::write))
        .route("/api/latest/message/{id}/respond", post(message::respond))
        .route("/api/latest/lock", get(lock::list))
        .route("/api/latest/lock/{name}", delete(lock::break_lock))
        .route("/api/latest/webhook/{id}/action/rotate-key", post(webhook::rotate_key))
        .route("/api/latest/secret/action/reseal", post(secret::reseal))
        .route("/api/latest/user/{id}/token", get(auth::tokens).post(auth::create_token))
        .route("/api/latest/user/{id}/token/{token}", delete(auth::revoke_token))
        .fallback(no_such_address)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(Arc::new(Api { host, bodies }))
}

/// Browsers ask for it by themselves; there is none.
async fn favicon() -> Response {
    answer::empty(StatusCode::NO_CONTENT).map(Body::new)
}

/// Nothing here is for search engines, which would start flows by calling webhooks.
async fn robots() -> Response {
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    answer::whole(StatusCode::OK, text, b"User-agent: *\nDisallow: /\n".to_vec()).map(Body::new)
}

async fn alive(api: Shared) -> Response {
    let info = api.host.info();
    let alive = json!({
        "status": "ok",
        "name": "flowhost",
        "version": env!("CARGO_PKG_VERSION"),
        "workspace": info.workspace,
    });
    answer::json(StatusCode::OK, &alive).map(Body::new)
}

/// Whether new calls are taken and can be kept: what a load balancer asks.
async fn ready(api: Shared) -> Answer {
    api.host.check_ready()?;
    Ok(answer::json(StatusCode::OK, &json!({ "status": "ready" })).map(Body::new))
}

async fn no_such_address(request: Request) -> Answer {
    let detail = format!("there is nothing at {}", request.uri().path());
    Err(Problem::new(Code::NoSuchAddress, detail).into())
}

/// The router adds `Allow` itself.
async fn method_not_allowed(method: Method) -> Answer {
    Err(Problem::new(Code::MethodNotAllowed, format!("this address does not take {method}")).into())
}

impl Api {
    /// The body of a request about a record.
    async fn record_bytes(&self, request: Request) -> Result<(Bytes, Taken), Problem> {
        self.bytes(request, RECORD_BYTES, &self.bodies.open).await
    }

    /// A file or a component.
    async fn upload(&self, request: Request, limit: u64) -> Result<(Bytes, Taken), Problem> {
        self.bytes(request, limit, &self.bodies.uploads).await
    }

    async fn bytes(&self, request: Request, limit: u64, room: &Room) -> Result<(Bytes, Taken), Problem> {
        let caller = request.extensions().get().map(|CallerAddress(address)| *address);
        let caller = caller.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)).into();
        let head = head::bytes(request.headers()) as u64;
        Reading { room, caller, head, limit, timeout: self.bodies.timeout }.read(request.into_body()).await
    }

    /// The JSON body of a user's request about a record, with the room that it takes until the request is done.
    async fn json<T: DeserializeOwned + Send + 'static>(
        &self,
        by: &Identity,
        request: Request,
    ) -> Result<(T, Taken), Problem> {
        let (body, mut taken) = self.record_bytes(request).await?;
        self.weigh(json_memory(&body), &mut taken).await?;
        let parsed = if body.len() <= PARSED_AT_ONCE {
            from_json(&body)
        } else {
            self.host.run_blocking(by.user_id, move || from_json(&body)).await?
        };
        Ok((parsed?, taken))
    }

    /// Takes the room for a value of this size in memory. A value above the largest share takes the whole share, so that its
    /// caller's other requests wait.
    async fn weigh(&self, bytes: usize, taken: &mut Taken) -> Result<(), Problem> {
        let room = (bytes as u64).min(self.bodies.open.largest());
        taken.grow(room.saturating_sub(taken.bytes())).await
    }

    /// The JSON body of a login.
    async fn login_json<T: DeserializeOwned>(&self, request: Request) -> Result<T, Problem> {
        let (body, _taken) = self.bytes(request, LOGIN_BYTES, &self.bodies.unproven).await?;
        from_json(&body)
    }
}

fn from_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error| {
        let code = if error.is_data() { Code::RecordInvalid } else { Code::MalformedJson };
        Problem::new(code, error.to_string())
    })
}
