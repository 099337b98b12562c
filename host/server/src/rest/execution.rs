//! `/api/latest/execution`.

use axum::body::Body;
use flowhost::model::{Execution, Flow, Status};
use flowhost::store::{ExecutionFilter, Page};
use flowhost::{Code, ExecutionView, Problem};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;

use super::parameters::{Common, Path, Query, id};
use super::token::identity;
use super::{Answer, Shared, record};
use crate::answer;

/// Executions on a page unless asked for otherwise, and the most.
const PAGE: u32 = 50;
const PAGE_LIMIT: u32 = 1_000;

/// Lines of a log at once.
const LOG_PAGE_LIMIT: u32 = 10_000;

#[derive(Deserialize)]
pub(super) struct List {
    status: Option<String>,
    /// The name of a flow.
    flow: Option<String>,
    /// The name of a webhook.
    webhook: Option<String>,
    before: Option<String>,
    limit: Option<u32>,
}

#[derive(Deserialize)]
pub(super) struct Read {
    ticket: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Lines {
    #[serde(default)]
    from: u64,
    limit: Option<u32>,
}

pub(super) async fn list(
    api: Shared,
    Query(common): Query<Common>,
    Query(list): Query<List>,
    headers: HeaderMap,
) -> Answer {
    identity(&api.host, &headers)?;
    let status: Option<Status> = list.status.map(|status| status.parse()).transpose().map_err(malformed)?;
    let flow_id = match list.flow {
        Some(name) => Some(api.host.id_by_name::<Flow>(&name).await?),
        None => None,
    };
    let webhook_id = match list.webhook {
        Some(name) => Some(api.host.webhook_by_name(&name).await?.meta.id),
        None => None,
    };
    let before = list.before.as_deref().map(id).transpose()?;
    let filter = ExecutionFilter { status, flow_id, webhook_id };
    let page = Page { before, limit: list.limit.unwrap_or(PAGE).min(PAGE_LIMIT) };
    Ok(record(common.plain, "execution", &api.host.executions(filter, page).await?))
}

/// Whoever has the ticket of an execution sees what its caller would have seen; a token shows all of it.
pub(super) async fn read(
    api: Shared,
    Path(segment): Path<String>,
    Query(common): Query<Common>,
    Query(read): Query<Read>,
    headers: HeaderMap,
) -> Answer {
    let id = id(&segment)?;
    if let Some(ticket) = read.ticket {
        if !api.host.ticket_is_valid(&ticket, id) {
            return Err(Problem::new(Code::Unauthorized, "the ticket is not valid, or not any more").into());
        }
        let execution = api.host.execution(id).await?;
        let mut answer = answer::json(StatusCode::OK, &ExecutionView::from(&execution));
        answer::insert_execution_id(answer.headers_mut(), id);
        return Ok(answer.map(Body::new));
    }
    identity(&api.host, &headers)?;
    Ok(one(common.plain, &api.host.execution(id).await?))
}

pub(super) async fn log(
    api: Shared,
    Path(segment): Path<String>,
    Query(common): Query<Common>,
    Query(lines): Query<Lines>,
    headers: HeaderMap,
) -> Answer {
    identity(&api.host, &headers)?;
    let limit = lines.limit.unwrap_or(LOG_PAGE_LIMIT).min(LOG_PAGE_LIMIT);
    let log = api.host.execution_log(id(&segment)?, lines.from, limit).await?;
    Ok(record(common.plain, "log", &log))
}

pub(super) async fn cancel(
    api: Shared,
    Path(segment): Path<String>,
    Query(common): Query<Common>,
    headers: HeaderMap,
) -> Answer {
    identity(&api.host, &headers)?;
    Ok(one(common.plain, &api.host.cancel(id(&segment)?).await?))
}

fn one(is_plain: bool, execution: &Execution) -> axum::response::Response {
    let mut answer = record(is_plain, "execution", execution);
    answer::insert_execution_id(answer.headers_mut(), execution.id);
    answer
}

fn malformed(error: impl std::fmt::Display) -> Problem {
    Problem::new(Code::Malformed, error.to_string())
}
