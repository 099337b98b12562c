//! The REST API: records and executions, for whoever has a token.

mod execution;
mod flow;
mod parameters;
mod setting;
mod token;
mod user;
mod webhook;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::{get, post, put};
use flowhost::{Code, Host, Problem};
use http::{Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::{answer, body};

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

/// All routes but the addresses of webhooks.
pub(crate) fn router(host: Host, body_timeout: Duration) -> Router {
    Router::new()
        .route("/api/latest/alive", get(alive))
        .route("/api/latest/flow", get(flow::list).post(flow::deploy))
        .route("/api/latest/flow/{id}", get(flow::read))
        .route("/api/latest/flow/{id}/version", get(flow::versions))
        .route("/api/latest/flow/{id}/version/{version}/component", get(flow::component))
        .route("/api/latest/webhook", get(webhook::list).post(webhook::create))
        .route("/api/latest/webhook/{id}", get(webhook::read).patch(webhook::change).delete(webhook::delete))
        .route("/api/latest/setting", get(setting::list))
        .route("/api/latest/setting/{id}", put(setting::set).get(setting::read).delete(setting::delete))
        .route("/api/latest/user", get(user::list).post(user::create))
        .route("/api/latest/execution", get(execution::list))
        .route("/api/latest/execution/{id}", get(execution::read))
        .route("/api/latest/execution/{id}/log", get(execution::log))
        .route("/api/latest/execution/{id}/action/cancel", post(execution::cancel))
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

async fn no_such_address(request: Request) -> Answer {
    let detail = format!("there is nothing at {}", request.uri().path());
    Err(Problem::new(Code::NoSuchAddress, detail).into())
}

/// The router adds `Allow` itself.
async fn method_not_allowed(method: Method) -> Answer {
    Err(Problem::new(Code::MethodNotAllowed, format!("this address does not take {method}")).into())
}

/// A record, or a list of them, of this type: bare where `plain` was asked for, else in an object.
fn record(is_plain: bool, record_type: &str, content: &impl Serialize) -> Response {
    let answer = if is_plain {
        answer::json(StatusCode::OK, content)
    } else {
        answer::json(StatusCode::OK, &std::collections::BTreeMap::from([(record_type, content)]))
    };
    answer.map(Body::new)
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
