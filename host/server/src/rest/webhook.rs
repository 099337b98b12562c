//! `/api/latest/webhook`: what webhooks have beside other records. Their calls are in the module `webhook` beside `rest`.

use axum::extract::Request;
use flowhost::model::RecordType;
use http::HeaderMap;
use serde_json::json;

use super::parameters::{Parameters, Path, resolve};
use super::token::writer;
use super::{Answer, Shared};

/// Gives a webhook another key, which is shown this once.
pub(super) async fn rotate_key(
    api: Shared,
    Path(segment): Path<String>,
    headers: HeaderMap,
    request: Request,
) -> Answer {
    let by = writer(&api.host, &headers)?;
    let parameters = Parameters::parse(request.uri().query(), &[])?;
    let id = resolve(&api.host, &by, RecordType::Webhook, &segment, &parameters).await?;
    let key = api.host.rotate_webhook_key(&by, id).await?;
    Ok(parameters.content("webhook", json!({ "id": id, "key": key }), None))
}
