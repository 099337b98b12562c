//! `/api/latest/flow`.

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use flowhost::model::{Flow, Record};
use flowhost::{Code, Problem};
use http::header::{CONTENT_TYPE, ETAG};
use http::{HeaderMap, HeaderValue};
use serde::Deserialize;

use super::parameters::{Common, Path, Query, resolve};
use super::token::identity;
use super::{Answer, Shared, record};

#[derive(Deserialize)]
pub(super) struct Deploy {
    #[serde(default)]
    name: Option<String>,
}

pub(super) async fn list(api: Shared, Query(common): Query<Common>, headers: HeaderMap) -> Answer {
    identity(&api.host, &headers)?;
    let flows: Vec<Record<Flow>> = api.host.records().await?;
    Ok(record(common.plain, "flow", &flows))
}

pub(super) async fn read(
    api: Shared,
    Path(segment): Path<String>,
    Query(common): Query<Common>,
    headers: HeaderMap,
) -> Answer {
    identity(&api.host, &headers)?;
    let id = resolve::<Flow>(&api.host, &segment, common.by).await?;
    Ok(record(common.plain, "flow", &api.host.record::<Flow>(id).await?))
}

pub(super) async fn deploy(api: Shared, Query(deploy): Query<Deploy>, headers: HeaderMap, request: Request) -> Answer {
    let by = identity(&api.host, &headers)?;
    let unnamed = || Problem::new(Code::Malformed, "name the flow: `?name=NAME`");
    let name = deploy.name.ok_or_else(unnamed)?;
    let component = api.bytes(request, api.host.limits().compile.component_bytes).await?;
    let deployed = api.host.deploy_as(by, &name, component.to_vec()).await?;
    Ok(record(true, "flow", &deployed))
}

pub(super) async fn versions(
    api: Shared,
    Path(segment): Path<String>,
    Query(common): Query<Common>,
    headers: HeaderMap,
) -> Answer {
    identity(&api.host, &headers)?;
    let id = resolve::<Flow>(&api.host, &segment, common.by).await?;
    Ok(record(common.plain, "version", &api.host.flow_versions(id).await?))
}

pub(super) async fn component(
    api: Shared,
    Path((segment, version)): Path<(String, u32)>,
    Query(common): Query<Common>,
    headers: HeaderMap,
) -> Answer {
    identity(&api.host, &headers)?;
    let id = resolve::<Flow>(&api.host, &segment, common.by).await?;
    let component = api.host.component(id, version).await?;
    let mut answer: Response = component.into_response();
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/wasm"));
    answer.headers_mut().remove(ETAG);
    Ok(answer)
}
