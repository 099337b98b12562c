//! `/api/latest/execution`.

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use flowhost::model::{Execution, RecordType};
use flowhost::{Code, List, Problem};
use http::{HeaderMap, StatusCode, Uri};
use serde_json::{Value, json};

use super::parameters::{Parameters, Path, id, say_scope};
use super::record::path_and_query;
use super::token::{reader, writer};
use super::{Answer, Shared};
use crate::answer;

/// Lines of a log at once.
const LOG_PAGE_LIMIT: u32 = 10_000;

/// Beside the common parameters: `status`, and `flow` and `webhook` by name, short for a filter; `before`, an id.
pub(super) async fn list(api: Shared, uri: Uri, headers: HeaderMap) -> Answer {
    let by = reader(&api.host, &headers)?;
    let mut parameters = Parameters::parse(uri.query(), &["status", "flow", "webhook", "before"])?;
    let mut terms: Vec<Value> = parameters.list.filter.take().into_iter().collect();
    if let Some(status) = parameters.other("status") {
        terms.push(json!({ "field": "status", "value": status }));
    }
    if let Some(name) = parameters.other("flow") {
        let flow = api.host.record_id(&by, RecordType::Flow, name).await?;
        terms.push(json!({ "field": "flow_id", "value": flow }));
    }
    if let Some(name) = parameters.other("webhook") {
        let webhook = api.host.read_webhook(&by, name, true).await?.id;
        terms.push(json!({ "field": "webhook_id", "value": webhook }));
    }
    if let Some(before) = parameters.other("before") {
        terms.push(json!({ "field": "id", "op": "lt", "value": id(before)? }));
    }
    parameters.list.filter = (!terms.is_empty()).then(|| json!({ "and": terms }));
    let request = parameters.list(RecordType::Execution)?;
    let page = api.host.list_executions(&by, request.clone()).await?;
    let items = api.host.execution_members(&page.items, request.fields.as_deref()).await?;
    let page = List { items, next: page.next };
    let mut answer = parameters.page(RecordType::Execution, page, path_and_query(&uri));
    say_scope(&mut answer, &by, RecordType::Execution);
    Ok(answer)
}

/// Whoever has the ticket of an execution sees what its caller would have seen; a token shows all of it.
pub(super) async fn read(api: Shared, Path(segment): Path<String>, uri: Uri, headers: HeaderMap) -> Answer {
    let parameters = Parameters::parse(uri.query(), &["ticket"])?;
    let id = id(&segment)?;
    if let Some(ticket) = parameters.other("ticket") {
        if !api.host.ticket_is_valid(ticket, id) {
            return Err(Problem::new(Code::Unauthorized, "the ticket is not valid, or not any more").into());
        }
        let execution = api.host.execution(id).await?;
        let mut answer = answer::execution(StatusCode::OK, &execution);
        answer::insert_execution_id(answer.headers_mut(), id);
        return Ok(answer.map(Body::new));
    }
    let by = reader(&api.host, &headers)?;
    Ok(one(&api, &parameters, api.host.read_execution(&by, id).await?).await?)
}

pub(super) async fn log(api: Shared, Path(segment): Path<String>, uri: Uri, headers: HeaderMap) -> Answer {
    let by = reader(&api.host, &headers)?;
    let parameters = Parameters::parse(uri.query(), &["from"])?;
    let from = match parameters.other("from") {
        Some(from) => from.parse().map_err(|_| Problem::new(Code::Malformed, "`from`: must be a number"))?,
        None => 0,
    };
    let limit = parameters.list.limit.unwrap_or(LOG_PAGE_LIMIT).min(LOG_PAGE_LIMIT);
    let log = api.host.execution_log(&by, id(&segment)?, from, limit).await?;
    Ok(parameters.content("log", log, None))
}

/// `cancel`, `pause`, `resume`, `rerun`, `set-productive`.
pub(super) async fn action(
    api: Shared,
    Path((segment, verb)): Path<(String, String)>,
    headers: HeaderMap,
    request: Request,
) -> Answer {
    let by = writer(&api.host, &headers)?;
    let parameters = Parameters::parse(request.uri().query(), &[])?;
    let id = id(&segment)?;
    let execution = match verb.as_str() {
        "cancel" => api.host.cancel(&by, id).await?,
        "pause" => api.host.pause(&by, id).await?,
        "resume" => api.host.resume(&by, id).await?,
        "rerun" => {
            let id = api.host.rerun(&by, id).await?;
            api.host.execution(id).await?
        }
        "set-productive" => api.host.set_productive(&by, id).await?,
        other => {
            return Err(Problem::new(Code::NoSuchAddress, format!("an execution has no action `{other}`")).into());
        }
    };
    Ok(one(&api, &parameters, execution).await?)
}

async fn one(api: &Shared, parameters: &Parameters, execution: Execution) -> Result<Response, Problem> {
    let id = execution.id;
    let fields = parameters.fields(RecordType::Execution)?;
    let members = api.host.execution_members(&[execution], fields.as_deref()).await?.pop().unwrap_or_default();
    // Without an entity tag: an execution changes by itself; nobody edits it.
    let mut answer = parameters.one(RecordType::Execution, members)?;
    answer::insert_execution_id(answer.headers_mut(), id);
    answer.extensions_mut().insert(id);
    Ok(answer)
}
