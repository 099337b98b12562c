//! `/api/latest/lock`: the locks that executions hold.

use axum::body::Body;
use flowhost::LockProject;
use http::{HeaderMap, StatusCode, Uri};

use super::parameters::{Parameters, Path};
use super::token::{reader, writer};
use super::{Answer, Shared};
use crate::answer;

pub(super) async fn list(api: Shared, uri: Uri, headers: HeaderMap) -> Answer {
    let by = reader(&api.host, &headers)?;
    let parameters = Parameters::parse(uri.query(), &[])?;
    let page = api.host.list_locks(&by, parameters.list.clone()).await?;
    Ok(parameters.content("lock", page.items, page.next.as_deref()))
}

/// Takes a lock from the execution that holds it. `project` names its project; with no name it is that of no project.
pub(super) async fn break_lock(api: Shared, Path(name): Path<String>, uri: Uri, headers: HeaderMap) -> Answer {
    let by = writer(&api.host, &headers)?;
    let parameters = Parameters::parse(uri.query(), &["project"])?;
    let project = match parameters.other("project") {
        None => LockProject::Any,
        Some("") => LockProject::None,
        Some(project) => LockProject::Named(project),
    };
    api.host.break_lock(&by, &name, project).await?;
    Ok(answer::empty(StatusCode::NO_CONTENT).map(Body::new))
}
