//! `/api/latest/setting`.

use axum::body::Body;
use axum::extract::Request;
use flowhost::model::Setting;
use flowhost::{Code, Problem};
use http::{HeaderMap, StatusCode};

use super::parameters::{By, Common, Path, Query, resolve};
use super::token::identity;
use super::{Answer, RECORD_BYTES, Shared, record};
use crate::answer;

pub(super) async fn list(api: Shared, Query(common): Query<Common>, headers: HeaderMap) -> Answer {
    identity(&api.host, &headers)?;
    Ok(record(common.plain, "setting", &api.host.settings().await?))
}

pub(super) async fn read(
    api: Shared,
    Path(segment): Path<String>,
    Query(common): Query<Common>,
    headers: HeaderMap,
) -> Answer {
    identity(&api.host, &headers)?;
    let id = resolve::<Setting>(&api.host, &segment, common.by).await?;
    Ok(record(common.plain, "setting", &api.host.setting(id).await?))
}

/// The body is the value itself, as JSON or YAML.
pub(super) async fn set(
    api: Shared,
    Path(segment): Path<String>,
    Query(common): Query<Common>,
    headers: HeaderMap,
    request: Request,
) -> Answer {
    let by = identity(&api.host, &headers)?;
    let name = match common.by {
        By::Name => segment,
        By::Id => {
            let id = resolve::<Setting>(&api.host, &segment, By::Id).await?;
            api.host.setting(id).await?.meta.name
        }
    };
    let body = api.bytes(request, RECORD_BYTES).await?;
    let text = std::str::from_utf8(&body)
        .map_err(|error| Problem::new(Code::RecordInvalid, format!("the value is not UTF-8: {error}")))?;
    Ok(record(common.plain, "setting", &api.host.set_setting(&by, &name, text).await?))
}

pub(super) async fn delete(
    api: Shared,
    Path(segment): Path<String>,
    Query(common): Query<Common>,
    headers: HeaderMap,
) -> Answer {
    identity(&api.host, &headers)?;
    let id = resolve::<Setting>(&api.host, &segment, common.by).await?;
    api.host.delete_setting(id).await?;
    Ok(answer::empty(StatusCode::NO_CONTENT).map(Body::new))
}
