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

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::{delete, get, post};
use flowhost::model::{RecordType, definition};
use flowhost::{Code, Host, Problem};
use http::{Method, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::{answer, body};

pub(crate) use requester::with_requester;

pub use openapi::document as openapi_document;

/// The largest body of a record, in bytes.
const RECORD_BYTES: u64 = 2 << 20;

/// What every handler needs.
#[derive(Clone)]
pub(crate) struct Api {
    host: Host,
    body_timeout: Duration,
}

type Shared = axum::extract::State<Arc<Api>>;
type Answer = Result<Response, answer::ProblemAnswer>;

/// All routes but the addresses of webhooks. `openapi.rs` describes them.
pub(crate) fn router(host: Host, body_timeout: Duration) -> Router {
    let edited = RecordType::ALL.map(definition).into_iter().filter(|one| one.record_type != RecordType::Execution);
    let router = edited.fold(Router::new(), |router, definition| router.merge(record::routes(definition)));
    router
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
        .with_state(Arc::new(Api { host, body_timeout }))
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

/// Whether new calls are taken: what a load balancer asks.
async fn ready(api: Shared) -> Answer {
    if api.host.is_ready() {
        Ok(answer::json(StatusCode::OK, &json!({ "status": "ready" })).map(Body::new))
    } else {
        Err(Problem::new(Code::HostDraining, "the host is about to stop").into())
    }
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
    async fn bytes(&self, request: Request, limit: u64) -> Result<bytes::Bytes, Problem> {
        body::read(request.into_body(), limit, self.body_timeout).await
    }

    /// The JSON body of a request about a record.
    async fn json<T: DeserializeOwned>(&self, request: Request) -> Result<T, Problem> {
        let body = self.bytes(request, RECORD_BYTES).await?;
        serde_json::from_slice(&body).map_err(|error| {
            let code = if error.is_data() { Code::RecordInvalid } else { Code::MalformedJson };
            Problem::new(code, error.to_string())
        })
    }
}
