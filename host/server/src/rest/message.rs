//! `/api/latest/message`: what messages have beside other records.

use axum::extract::Request;
use flowhost::model::{RecordType, json_memory};
use http::HeaderMap;

use super::parameters::{Parameters, Path, id};
use super::token::writer;
use super::{Answer, Shared};

/// Responds to a message: the body is the response, as JSON.
pub(super) async fn respond(api: Shared, Path(segment): Path<String>, headers: HeaderMap, request: Request) -> Answer {
    let by = writer(&api.host, &headers)?;
    let parameters = Parameters::parse(request.uri().query(), &[])?;
    let (response, mut taken) = api.record_bytes(request).await?;
    api.weigh(json_memory(&response), &mut taken).await?;
    let view = api.host.respond_to_message(&by, id(&segment)?, &response).await?;
    Ok(parameters.record(RecordType::Message, view)?)
}
