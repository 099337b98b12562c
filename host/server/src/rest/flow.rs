//! `/api/latest/flow`: what flows have beside other records, their versions.

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use flowhost::model::RecordType;
use flowhost::{Code, Problem};
use http::header::{CONTENT_TYPE, ETAG};
use http::{HeaderMap, HeaderValue, Uri};
use serde::Deserialize;
use serde_json::json;

use super::parameters::{Parameters, Path, etag, resolve};
use super::token::{reader, writer};
use super::{Answer, Shared};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Activate {
    version: u32,
}

/// A component for the flow named by `name`, which is made if there is none.
pub(super) async fn deploy_new(api: Shared, headers: HeaderMap, request: Request) -> Answer {
    let by = writer(&api.host, &headers)?;
    let parameters = Parameters::parse(request.uri().query(), &["name"])?;
    let unnamed = || Problem::new(Code::Malformed, "`name`: name the flow, `?name=NAME`");
    let name = parameters.other("name").ok_or_else(unnamed)?.to_owned();
    deploy(&api, &by, &name, parameters.commit_message, request).await
}

/// A component, as the next version of a flow that exists.
pub(super) async fn upload(api: Shared, Path(segment): Path<String>, headers: HeaderMap, request: Request) -> Answer {
    let by = writer(&api.host, &headers)?;
    let parameters = Parameters::parse(request.uri().query(), &[])?;
    let id = resolve(&api.host, &by, RecordType::Flow, &segment, &parameters).await?;
    let flow = api.host.read_record(&by, RecordType::Flow, id).await?;
    if flow.members.get("is_deleted") != Some(&json!(false)) {
        return Err(Problem::new(Code::RecordReadonly, "the flow is in the trash; restore it first").into());
    }
    let name = flow.members.get("name").and_then(|name| name.as_str()).unwrap_or_default().to_owned();
    deploy(&api, &by, &name, parameters.commit_message, request).await
}

async fn deploy(
    api: &Shared,
    by: &flowhost::Identity,
    name: &str,
    commit_message: Option<String>,
    request: Request,
) -> Answer {
    let (component, _taken) = api.upload(request, api.host.limits().compile.component_bytes).await?;
    let deployed = api.host.deploy_as(by, name, component.to_vec(), commit_message).await?;
    Ok(answer_of(api, by, deployed).await?)
}

async fn answer_of(api: &Shared, by: &flowhost::Identity, deployed: flowhost::Deployed) -> Result<Response, Problem> {
    let flow = api.host.view_deployed(&deployed).await?;
    let answer = json!({
        "flow": flow.members,
        "version": deployed.version,
        "is_new_flow": deployed.is_new_flow,
        "is_unchanged": deployed.is_unchanged,
        "missing": api.host.missing(by, &deployed),
    });
    let mut answer = Parameters { is_plain: true, ..Parameters::default() }.content("flow", answer, None);
    answer.headers_mut().insert(ETAG, etag(flow.revision));
    answer.extensions_mut().insert(flow.id);
    Ok(answer)
}

pub(super) async fn activate(api: Shared, Path(segment): Path<String>, headers: HeaderMap, request: Request) -> Answer {
    let by = writer(&api.host, &headers)?;
    let parameters = Parameters::parse(request.uri().query(), &[])?;
    let id = resolve(&api.host, &by, RecordType::Flow, &segment, &parameters).await?;
    let (Activate { version }, _taken) = api.json(&by, request).await?;
    let deployed = api.host.activate_version(&by, id, version, parameters.commit_message).await?;
    Ok(answer_of(&api, &by, deployed).await?)
}

pub(super) async fn versions(api: Shared, Path(segment): Path<String>, uri: Uri, headers: HeaderMap) -> Answer {
    let by = reader(&api.host, &headers)?;
    let parameters = Parameters::parse(uri.query(), &[])?;
    let id = resolve(&api.host, &by, RecordType::Flow, &segment, &parameters).await?;
    Ok(parameters.content("version", json!(api.host.flow_versions(&by, id).await?), None))
}

pub(super) async fn component(
    api: Shared,
    Path((segment, version)): Path<(String, String)>,
    uri: Uri,
    headers: HeaderMap,
) -> Answer {
    let by = reader(&api.host, &headers)?;
    let parameters = Parameters::parse(uri.query(), &[])?;
    let id = resolve(&api.host, &by, RecordType::Flow, &segment, &parameters).await?;
    let malformed = |_| Problem::new(Code::Malformed, format!("`{version}` is not the number of a version"));
    let component = api.host.component(&by, id, version.parse().map_err(malformed)?).await?;
    let mut answer: Response = component.into_response();
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/wasm"));
    Ok(answer)
}
