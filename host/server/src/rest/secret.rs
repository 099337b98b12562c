//! `/api/latest/secret`: what secrets have beside other records.

use axum::extract::Request;
use http::HeaderMap;
use serde_json::json;

use super::parameters::Parameters;
use super::token::writer;
use super::{Answer, Shared};

/// Seals all secrets with the first of the host's keys.
pub(super) async fn reseal(api: Shared, headers: HeaderMap, request: Request) -> Answer {
    let by = writer(&api.host, &headers)?;
    let parameters = Parameters::parse(request.uri().query(), &[])?;
    let resealed = api.host.reseal_secrets(&by).await?;
    Ok(parameters.content("secret", json!(resealed), None))
}
