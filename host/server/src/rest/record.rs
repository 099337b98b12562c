//! `/api/latest/<type>`: what is the same for every type of record.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::routing::{get, post};
use flowhost::model::{RecordType, TypeDefinition, yaml_memory};
use flowhost::{Code, Deletion, List, ListRequest, Problem, parse_setting_value};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode, Uri};
use serde_json::{Map, Value};

use super::parameters::{PAGE_BYTES, Parameters, Path, if_match, resolve, say_scope};
use super::token::{reader, writer};
use super::{Answer, Api, Shared, flow};
use crate::answer;

fn is_json(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|content_type| content_type.as_bytes().starts_with(b"application/json"))
}

pub(super) fn path_and_query(uri: &Uri) -> &str {
    uri.path_and_query().map_or("", |both| both.as_str())
}

/// The routes of a type's records: those methods are taken that its definition knows.
pub(super) fn routes(definition: &'static TypeDefinition) -> Router<Arc<Api>> {
    let record_type = definition.record_type;
    let mut all = get(move |api, uri, headers| list(record_type, api, uri, headers));
    let mut one = get(move |api, path, uri, headers| read(record_type, api, path, uri, headers));
    if record_type != RecordType::Message {
        one = one.patch(move |api, path, headers, request| update(record_type, api, path, headers, request));
    }
    let (path, mut router) = (format!("/api/latest/{}", definition.path), Router::new());
    if definition.is_managed {
        all = all.post(move |api, headers, request| create(record_type, api, headers, request));
        one = one.delete(move |api, path, uri, headers| delete(record_type, api, path, uri, headers));
        let restore = post(move |api, path, uri, headers| restore(record_type, api, path, uri, headers));
        router = router.route(&format!("{path}/{{id}}/action/restore"), restore);
    }
    if record_type == RecordType::Setting {
        one = one.put(set_setting);
    }
    let history = get(move |api, path, uri, headers| history(record_type, api, path, uri, headers));
    router.route(&path, all).route(&format!("{path}/{{id}}"), one).route(&format!("{path}/{{id}}/history"), history)
}

async fn list(record_type: RecordType, api: Shared, uri: Uri, headers: HeaderMap) -> Answer {
    let by = reader(&api.host, &headers)?;
    let parameters = Parameters::parse(uri.query(), &[])?;
    let page = api.host.list_records(&by, record_type, parameters.list(record_type)?).await?;
    let items = page.items.into_iter().map(|view| view.members).collect();
    let mut answer = parameters.page(record_type, List { items, next: page.next }, path_and_query(&uri));
    say_scope(&mut answer, &by, record_type);
    Ok(answer)
}

async fn create(record_type: RecordType, api: Shared, headers: HeaderMap, request: Request) -> Answer {
    if record_type == RecordType::Flow && !is_json(&headers) {
        return flow::deploy_new(api, headers, request).await;
    }
    let by = writer(&api.host, &headers)?;
    let parameters = Parameters::parse(request.uri().query(), &[])?;
    let (members, _taken) = api.json::<Map<String, Value>>(&by, request).await?;
    let view = api.host.create_record(&by, record_type, members).await?;
    Ok(parameters.record(record_type, view)?)
}

async fn read(record_type: RecordType, api: Shared, Path(name): Path<String>, uri: Uri, headers: HeaderMap) -> Answer {
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

async fn update(
    record_type: RecordType,
    api: Shared,
    Path(name): Path<String>,
    headers: HeaderMap,
    request: Request,
) -> Answer {
    let by = writer(&api.host, &headers)?;
    let parameters = Parameters::parse(request.uri().query(), &[])?;
    let id = resolve(&api.host, &by, record_type, &name, &parameters).await?;
    let (members, _taken) = api.json::<Map<String, Value>>(&by, request).await?;
    let view = api.host.update_record(&by, record_type, id, members, if_match(&headers)?).await?;
    Ok(parameters.record(record_type, view)?)
}

/// Creates a setting or replaces its value: the body is the value itself, as JSON or YAML.
async fn set_setting(api: Shared, Path(name): Path<String>, headers: HeaderMap, request: Request) -> Answer {
    let record_type = RecordType::Setting;
    let by = writer(&api.host, &headers)?;
    let parameters = Parameters::parse(request.uri().query(), &[])?;
    let known = match resolve(&api.host, &by, record_type, &name, &parameters).await {
        Ok(id) => Some(id),
        Err(problem) if problem.code == Code::RecordNotFound && parameters.is_by_name => None,
        Err(problem) => return Err(problem.into()),
    };
    let (body, mut taken) = api.record_bytes(request).await?;
    api.weigh(yaml_memory(&body), &mut taken).await?;
    // Also a short one: what YAML means may be far longer than what it says.
    let value = api.host.run_blocking(by.user_id, move || value_of(&body)).await??;
    let value = Map::from_iter([("value".to_owned(), value)]);
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

fn value_of(body: &[u8]) -> Result<Value, Problem> {
    let text = std::str::from_utf8(body)
        .map_err(|error| Problem::new(Code::RecordInvalid, format!("the value is not UTF-8: {error}")))?;
    parse_setting_value(text)
}

async fn delete(
    record_type: RecordType,
    api: Shared,
    Path(name): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Answer {
    let by = writer(&api.host, &headers)?;
    let parameters = Parameters::parse(uri.query(), &[])?;
    let id = resolve(&api.host, &by, record_type, &name, &parameters).await?;
    let deletion =
        Deletion { is_permanent: parameters.is_permanent, commit_message: parameters.commit_message.clone() };
    api.host.delete_record(&by, record_type, id, deletion, if_match(&headers)?).await?;
    Ok(answer::empty(StatusCode::NO_CONTENT).map(Body::new))
}

async fn restore(
    record_type: RecordType,
    api: Shared,
    Path(name): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Answer {
    let by = writer(&api.host, &headers)?;
    let parameters = Parameters::parse(uri.query(), &[])?;
    let id = super::parameters::id(&name)?;
    let commit_message = parameters.commit_message.clone();
    Ok(parameters.record(record_type, api.host.restore_record(&by, record_type, id, commit_message).await?)?)
}

async fn history(
    record_type: RecordType,
    api: Shared,
    Path(name): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Answer {
    let by = reader(&api.host, &headers)?;
    let parameters = Parameters::parse(uri.query(), &[])?;
    let id = resolve(&api.host, &by, record_type, &name, &parameters).await?;
    let request = ListRequest { page_bytes: Some(PAGE_BYTES), ..parameters.list.clone() };
    let page = api.host.record_history(&by, record_type, id, request).await?;
    Ok(parameters.paged("history", page, path_and_query(&uri)))
}
