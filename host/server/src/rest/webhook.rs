//! `/api/latest/webhook`: the records. Their calls are in the module `webhook` beside `rest`.

use axum::body::Body;
use axum::extract::Request;
use flowhost::{NewWebhook, Problem, WebhookChange, WebhookView};
use http::{HeaderMap, StatusCode};

use super::parameters::{By, Common, Path, Query, id};
use super::token::identity;
use super::{Answer, Api, Shared, record};
use crate::answer;

async fn find(api: &Api, segment: &str, by: By) -> Result<WebhookView, Problem> {
    match by {
        By::Id => api.host.webhook(id(segment)?).await,
        By::Name => api.host.webhook_by_name(segment).await,
    }
}

pub(super) async fn list(api: Shared, Query(common): Query<Common>, headers: HeaderMap) -> Answer {
    identity(&api.host, &headers)?;
    Ok(record(common.plain, "webhook", &api.host.webhooks().await?))
}

pub(super) async fn read(
    api: Shared,
    Path(segment): Path<String>,
    Query(common): Query<Common>,
    headers: HeaderMap,
) -> Answer {
    identity(&api.host, &headers)?;
    Ok(record(common.plain, "webhook", &find(&api, &segment, common.by).await?))
}

pub(super) async fn create(api: Shared, Query(common): Query<Common>, headers: HeaderMap, request: Request) -> Answer {
    let by = identity(&api.host, &headers)?;
    let webhook: NewWebhook = api.json(request).await?;
    Ok(record(common.plain, "webhook", &api.host.create_webhook(&by, webhook).await?))
}

pub(super) async fn change(
    api: Shared,
    Path(segment): Path<String>,
    Query(common): Query<Common>,
    headers: HeaderMap,
    request: Request,
) -> Answer {
    let by = identity(&api.host, &headers)?;
    let webhook = find(&api, &segment, common.by).await?;
    let change: WebhookChange = api.json(request).await?;
    Ok(record(common.plain, "webhook", &api.host.change_webhook(&by, webhook.meta.id, change).await?))
}

pub(super) async fn delete(
    api: Shared,
    Path(segment): Path<String>,
    Query(common): Query<Common>,
    headers: HeaderMap,
) -> Answer {
    identity(&api.host, &headers)?;
    let webhook = find(&api, &segment, common.by).await?;
    api.host.delete_webhook(webhook.meta.id).await?;
    Ok(answer::empty(StatusCode::NO_CONTENT).map(Body::new))
}
