//! What a host makes at its first start, and makes sure of at every other.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use flowhost_model::{
    Body, Organization, Permission, Project, Record, RecordId, RecordType, Role, RoleAssignment, Timestamp, User,
    Workspace,
};
use flowhost_store::{Expected, RecordWrite, Store, StoredRecord, Write};

use crate::identity::{ADMIN, ADMIN_ROLE, DEFAULT_ROLES, new_token, token_digest};
use crate::problem::{Code, Problem};

/// The project that every record belongs to which names no other place.
pub(crate) const DEFAULT_PROJECT: &str = "Default project";

/// The owner of an installation, until somebody names another.
const ORGANIZATION: &str = "Default organization";

/// Where a host's first token is written, in its data folder.
const OPERATOR_TOKEN: &str = "operator-token";

/// The records that a host cannot do without.
pub(crate) struct Foundations {
    pub(crate) workspace_id: RecordId,
    pub(crate) organization_id: RecordId,
    pub(crate) default_project: RecordId,
    pub(crate) admin_id: RecordId,
}

/// Makes sure of them.
pub(crate) async fn ensure(
    store: &dyn Store,
    folder: &Path,
    workspace: &str,
    now: Timestamp,
) -> Result<Foundations, Problem> {
    let organization_id = ensure_one(store, ORGANIZATION, Organization {}, now).await?;
    let workspace_id = ensure_workspace(store, workspace, now).await?;
    let default_project = ensure_named(store, DEFAULT_PROJECT, Project {}, now).await?;
    let admin_role = ensure_named(store, ADMIN_ROLE, Role { permissions: vec![Permission::default()] }, now).await?;
    ensure_default_roles(store, now).await?;
    let admin_id = ensure_admin(store, folder, admin_role, now).await?;
    Ok(Foundations { workspace_id, organization_id, default_project, admin_id })
}

async fn insert<B: Body>(store: &dyn Store, record: &Record<B>) -> Result<(), Problem> {
    let record = StoredRecord::from_record(record)?;
    let write = RecordWrite { record, expected: Expected::Absent, commit_message: None, is_remembered: true };
    store.write(vec![Write::Record(write)]).await?;
    Ok(())
}

/// The only record of its type, made if there is none.
async fn ensure_one<B: Body>(store: &dyn Store, name: &str, body: B, now: Timestamp) -> Result<RecordId, Problem> {
    match store.records(B::TYPE).await?.into_iter().next() {
        Some(stored) => Ok(stored.meta.id),
        None => {
            let record = Record::new(name, None, body, now)?;
            insert(store, &record).await?;
            Ok(record.meta.id)
        }
    }
}

/// The record of this name, made if there is none.
async fn ensure_named<B: Body>(store: &dyn Store, name: &str, body: B, now: Timestamp) -> Result<RecordId, Problem> {
    match store.record_by_name(B::TYPE, name).await? {
        Some(stored) => Ok(stored.meta.id),
        None => {
            let record = Record::new(name, None, body, now)?;
            insert(store, &record).await?;
            Ok(record.meta.id)
        }
    }
}

/// The workspace, by the name that this start gives it.
async fn ensure_workspace(store: &dyn Store, name: &str, now: Timestamp) -> Result<RecordId, Problem> {
    let id = ensure_one(store, name, Workspace {}, now).await?;
    if let Some(mut stored) = store.record(id).await?.filter(|stored| stored.meta.name != name) {
        stored.meta.name = name.to_owned();
        let expected = Expected::Revision(stored.revision);
        let write = RecordWrite { record: stored, expected, commit_message: None, is_remembered: true };
        store.write(vec![Write::Record(write)]).await?;
    }
    Ok(id)
}

/// The default roles are made once, at the first start: whoever deletes or changes one means it.
async fn ensure_default_roles(store: &dyn Store, now: Timestamp) -> Result<(), Problem> {
    if store.records(RecordType::Role).await?.len() > 1 {
        return Ok(());
    }
    for default in DEFAULT_ROLES.iter().filter(|default| default.name != ADMIN_ROLE) {
        let mut role = Record::new(default.name, None, Role { permissions: default.permissions() }, now)?;
        role.meta.description = Some(default.description.to_owned());
        insert(store, &role).await?;
    }
    Ok(())
}

/// Makes sure that there is a user `admin` with a token in the data folder. Whoever owns the folder owns the host, so that
/// a token whose file is gone is replaced.
async fn ensure_admin(
    store: &dyn Store,
    folder: &Path,
    admin_role: RecordId,
    now: Timestamp,
) -> Result<RecordId, Problem> {
    let file = folder.join(OPERATOR_TOKEN);
    let former = store.record_by_name(RecordType::User, ADMIN).await?;
    let (mut admin, expected): (Record<User>, _) = match former {
        Some(stored) => {
            let expected = Expected::Revision(stored.revision);
            (stored.into_record()?, expected)
        }
        None => {
            let roles = vec![RoleAssignment { role_id: admin_role, propagate: true }];
            let admin = User { is_enabled: Some(true), roles, ..User::default() };
            (Record::new(ADMIN, None, admin, now)?, Expected::Absent)
        }
    };
    let unusable = |error: io::Error| Problem::new(Code::HostError, format!("{}: {error}", file.display()));
    if expected == Expected::Absent || !file.try_exists().map_err(unusable)? {
        let token = new_token().map_err(Problem::host)?;
        write_token(&file, &token).map_err(unusable)?;
        admin.body.operator_token = Some(token_digest(&token));
        let record = StoredRecord::from_record(&admin)?;
        store
            .write(vec![Write::Record(RecordWrite { record, expected, commit_message: None, is_remembered: true })])
            .await?;
    }
    Ok(admin.meta.id)
}

fn write_token(file: &Path, token: &str) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    writeln!(file, "{token}")?;
    file.sync_all()
}
