//! `/api/latest/lock`: the locks that executions hold.

use axum::body::Body;
use flowhost::LockProject;
use flowhost::model::RecordType;
use http::{HeaderMap, StatusCode, Uri};

use super::parameters::{Parameters, Path, say_scope};
use super::record::path_and_query;
use super::token::{reader, writer};
use super::{Answer, Shared};
use crate::answer;

pub(super) async fn list(api: Shared, uri: Uri, headers: HeaderMap) -> Answer {
    let by = reader(&api.host, &headers)?;
    let parameters = Parameters::parse(uri.query(), &[])?;
    let page = api.host.list_locks(&by, parameters.list.clone()).await?;
    let mut answer = parameters.paged("lock", page, path_and_query(&uri));
    // Who may read an execution sees its locks.
    say_scope(&mut answer, &by, RecordType::Execution);
    Ok(answer)
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
