//! `/api/latest/<type>`: what is the same for every type of record.

use axum::body::Body;
use axum::extract::Request;
use flowhost::model::RecordType;
use flowhost::{Code, Deletion, List, Problem, parse_setting_value};
use http::{HeaderMap, StatusCode, Uri};
use serde_json::{Map, Value, json};

use super::parameters::{Parameters, Path, if_match, record_type, resolve};
use super::token::{reader, writer};
use super::{Answer, RECORD_BYTES, Shared};
use crate::answer;

fn path_and_query(uri: &Uri) -> &str {
    uri.path_and_query().map_or("", |both| both.as_str())
}

pub(super) async fn list(api: Shared, Path(segment): Path<String>, uri: Uri, headers: HeaderMap) -> Answer {
    list_of(api, record_type(&segment)?, uri, headers).await
}

pub(super) async fn list_of(api: Shared, record_type: RecordType, uri: Uri, headers: HeaderMap) -> Answer {
    let by = reader(&api.host, &headers)?;
    let parameters = Parameters::parse(uri.query(), &[])?;
    let page = api.host.list_records(&by, record_type, parameters.list.clone()).await?;
    let items = page.items.into_iter().map(|view| view.members).collect();
    Ok(parameters.page(record_type, List { items, next: page.next }, path_and_query(&uri))?)
}

pub(super) async fn create(api: Shared, Path(segment): Path<String>, headers: HeaderMap, request: Request) -> Answer {
    create_of(api, record_type(&segment)?, headers, request).await
}

pub(super) async fn create_of(api: Shared, record_type: RecordType, headers: HeaderMap, request: Request) -> Answer {
    let by = writer(&api.host, &headers)?;
    let parameters = Parameters::parse(request.uri().query(), &[])?;
    let members: Map<String, Value> = api.json(request).await?;
    let view = api.host.create_record(&by, record_type, members).await?;
    Ok(parameters.record(record_type, view)?)
}

pub(super) async fn read(
    api: Shared,
    Path((segment, name)): Path<(String, String)>,
    uri: Uri,
    headers: HeaderMap,
) -> Answer {
    let record_type = record_type(&segment)?;
    let by = reader(&api.host, &headers)?;
    let parameters = Parameters::parse(uri.query(), &[])?;
    let view = match record_type {
        RecordType::Webhook => api.host.read_webhook(&by, &name, parameters.is_by_name).await?,
        _ => {
            let id = resolve(&api.host, &by, record_type, &name, &parameters).await?;
            api.host.read_record(&by, record_type, id).await?
        }
    };
    Ok(parameters.record(record_type, view)?)
}

pub(super) async fn update(
    api: Shared,
    Path((segment, name)): Path<(String, String)>,
    headers: HeaderMap,
    request: Request,
) -> Answer {
    let record_type = record_type(&segment)?;
    let by = writer(&api.host, &headers)?;
    let parameters = Parameters::parse(request.uri().query(), &[])?;
    let id = resolve(&api.host, &by, record_type, &name, &parameters).await?;
    let members: Map<String, Value> = api.json(request).await?;
    let view = api.host.update_record(&by, record_type, id, members, if_match(&headers)?).await?;
    Ok(parameters.record(record_type, view)?)
}

/// Creates a setting or replaces its value: the body is the value itself, as JSON or YAML.
pub(super) async fn set_setting(
    api: Shared,
    Path((segment, name)): Path<(String, String)>,
    headers: HeaderMap,
    request: Request,
) -> Answer {
    let record_type = record_type(&segment)?;
    if record_type != RecordType::Setting {
        let detail = "only a setting's value is put; change other records with PATCH";
        return Err(Problem::new(Code::MethodNotAllowed, detail).into());
    }
    let by = writer(&api.host, &headers)?;
    let parameters = Parameters::parse(request.uri().query(), &[])?;
    let known = match resolve(&api.host, &by, record_type, &name, &parameters).await {
        Ok(id) => Some(id),
        Err(problem) if problem.code == Code::RecordNotFound && parameters.is_by_name => None,
        Err(problem) => return Err(problem.into()),
    };
    let body = api.bytes(request, RECORD_BYTES).await?;
    let text = std::str::from_utf8(&body)
        .map_err(|error| Problem::new(Code::RecordInvalid, format!("the value is not UTF-8: {error}")))?;
    let value = Map::from_iter([("value".to_owned(), parse_setting_value(text)?)]);
    let view = match known {
        Some(id) => api.host.update_record(&by, record_type, id, value, if_match(&headers)?).await?,
        None if if_match(&headers)?.is_some() => {
            return Err(Problem::new(Code::PreconditionFailed, "there is no such setting any more").into());
        }
        None => {
            let named = std::iter::once(("name".to_owned(), Value::String(name))).chain(value).collect();
            api.host.create_record(&by, record_type, named).await?
        }
    };
    Ok(parameters.record(record_type, view)?)
}

pub(super) async fn delete(
    api: Shared,
    Path((segment, name)): Path<(String, String)>,
    uri: Uri,
    headers: HeaderMap,
) -> Answer {
    let record_type = record_type(&segment)?;
    let by = writer(&api.host, &headers)?;
    let parameters = Parameters::parse(uri.query(), &[])?;
    let id = resolve(&api.host, &by, record_type, &name, &parameters).await?;
    let deletion =
        Deletion { is_permanent: parameters.is_permanent, commit_message: parameters.commit_message.clone() };
    api.host.delete_record(&by, record_type, id, deletion, if_match(&headers)?).await?;
    Ok(answer::empty(StatusCode::NO_CONTENT).map(Body::new))
}

pub(super) async fn restore(
    api: Shared,
    Path((segment, name)): Path<(String, String)>,
    uri: Uri,
    headers: HeaderMap,
) -> Answer {
    let record_type = record_type(&segment)?;
    let by = writer(&api.host, &headers)?;
    let parameters = Parameters::parse(uri.query(), &[])?;
    let id = super::parameters::id(&name)?;
    let commit_message = parameters.commit_message.clone();
    Ok(parameters.record(record_type, api.host.restore_record(&by, record_type, id, commit_message).await?)?)
}

pub(super) async fn history(
    api: Shared,
    Path((segment, name)): Path<(String, String)>,
    uri: Uri,
    headers: HeaderMap,
) -> Answer {
    let record_type = record_type(&segment)?;
    let by = reader(&api.host, &headers)?;
    let parameters = Parameters::parse(uri.query(), &[])?;
    let id = resolve(&api.host, &by, record_type, &name, &parameters).await?;
    let history = api.host.record_history(&by, record_type, id).await?;
    Ok(parameters.content("history", json!(history), None))
}
