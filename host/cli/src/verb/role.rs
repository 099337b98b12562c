//! `flowhost role`: what users, webhooks and tokens may do.

use std::collections::HashMap;

use clap::Subcommand;
use flowhost_model::{Operation, Permission, RecordId, RecordType};
use serde::Deserialize;
use serde_json::json;

use super::{EVERYTHING, joined, to_trash};
use crate::client::{Client, Connection, address, by_name};
use crate::failure::{Exit, Failure};
use crate::output::Cell;

/// What stands for any type, operation or project.
const ANY: &str = "*";

/// The role that the server cannot do without.
const ADMIN: &str = "Admin";

/// What to do with roles.
#[derive(Subcommand)]
pub(crate) enum Role {
    /// List the roles
    List,
    /// Show what a role permits
    Show {
        /// The role's name
        name: String,
    },
    /// Create a role
    Create {
        /// The role's name
        name: String,
        /// What it permits, for example FLOW:READ or WEBHOOK:*; may be given several times
        #[arg(long, required = true, value_name = "TYPE:OPERATION", value_parser = permission)]
        permit: Vec<Permission>,
        /// With the records of this project only
        #[arg(long)]
        project: Option<String>,
    },
    /// Put a role into the trash; users and webhooks that have it lose its permissions
    Delete {
        /// The role's name
        name: String,
        /// Also if users or webhooks have it
        #[arg(long)]
        force: bool,
    },
}

/// The part of a role that is shown.
#[derive(Deserialize)]
struct View {
    id: String,
    name: String,
    description: Option<String>,
    permissions: Vec<Permission>,
}

/// A record of which the name is shown.
#[derive(Deserialize)]
struct Named {
    id: RecordId,
    name: String,
}

impl Role {
    /// Does it.
    pub(crate) fn run(self, connection: &Connection) -> Result<(), Failure> {
        let client = connection.operator()?;
        let output = connection.output();
        match self {
            Self::List => {
                let answer = client.list(&["role"], &[], EVERYTHING)?;
                if output.json {
                    return output.answer(&answer.body);
                }
                let roles: Vec<View> = answer.read()?;
                let row = |role: &View| -> Vec<Cell> {
                    let description = role.description.as_deref().unwrap_or_default();
                    vec![
                        role.name.as_str().into(),
                        role.permissions.len().to_string().into(),
                        role.id.as_str().into(),
                        description.into(),
                    ]
                };
                let rows: Vec<_> = roles.iter().map(row).collect();
                output.table(&["NAME", "PERMISSIONS", "ID", "DESCRIPTION"], &rows)
            }
            Self::Show { name } => {
                let answer = client.get(&by_name("role", &name))?;
                if output.json {
                    return output.answer(&answer.body);
                }
                let role: View = answer.read()?;
                let projects = projects(&client)?;
                let row = |permission: &Permission| -> Vec<Cell> {
                    let project = permission.project_id.map(|id| projects.get(&id).cloned().unwrap_or(id.to_string()));
                    vec![
                        permission.record_type.map_or(ANY, RecordType::as_str).into(),
                        permission.operation.map_or(ANY, Operation::as_str).into(),
                        project.as_deref().unwrap_or(ANY).into(),
                    ]
                };
                output.table(&["TYPE", "OPERATION", "PROJECT"], &role.permissions.iter().map(row).collect::<Vec<_>>())
            }
            Self::Create { name, mut permit, project } => {
                if let Some(project) = project {
                    let Named { id, .. } = client.get(&by_name("project", &project))?.read()?;
                    permit.iter_mut().for_each(|permission| permission.project_id = Some(id));
                }
                let role = json!({ "name": name, "permissions": permit });
                let answer = client.send_json("POST", &address(&["role"], &[]), &role)?;
                if output.json {
                    return output.answer(&answer.body);
                }
                let role: View = answer.read()?;
                output.data(&role.id)?;
                output.note(&format!("`flowhost user roles USER {}` gives it to a user", role.name));
                Ok(())
            }
            Self::Delete { name, force } => {
                // The server refuses to delete that one in any case, and says why.
                let holders = if name == ADMIN { Vec::new() } else { holders(&client, &name)? };
                if !holders.is_empty() && !force {
                    return Err(in_use(&name, &holders));
                }
                to_trash(&client, output, "role", &name)?;
                if !holders.is_empty() {
                    output.note(&format!("{} lost its permissions", joined(&holders)));
                }
                Ok(())
            }
        }
    }
}

/// A user or a webhook that may have roles.
#[derive(Deserialize)]
struct Holder {
    name: String,
    roles: Option<Vec<Assigned>>,
}

#[derive(Deserialize)]
struct Assigned {
    role_id: RecordId,
}

/// Returns the users and webhooks that have a role, as far as the caller may read them.
fn holders(client: &Client, role: &str) -> Result<Vec<String>, Failure> {
    let Named { id, .. } = client.get(&by_name("role", role))?.read()?;
    let mut holders = Vec::new();
    for kind in ["user", "webhook"] {
        let all: Vec<Holder> = client.list(&[kind], &[("fields", "name,roles")], EVERYTHING)?.read()?;
        let has_it = |one: &Holder| one.roles.iter().flatten().any(|held| held.role_id == id);
        holders.extend(all.into_iter().filter(has_it).map(|one| format!("the {kind} {}", one.name)));
    }
    Ok(holders)
}

fn in_use(role: &str, holders: &[String]) -> Failure {
    let what = format!("the role {role} is in use: {} would lose its permissions", joined(holders));
    Failure::new(Exit::Refused, what).next("give it up there first, or delete it all the same with --force")
}

fn projects(client: &Client) -> Result<HashMap<RecordId, String>, Failure> {
    let projects: Vec<Named> = client.list(&["project"], &[], EVERYTHING)?.read()?;
    Ok(projects.into_iter().map(|project| (project.id, project.name)).collect())
}

/// `TYPE:OPERATION`, in any case, each of them `*` for any.
fn permission(text: &str) -> Result<Permission, String> {
    let (record_type, operation) = text.split_once(':').ok_or("write TYPE:OPERATION, for example FLOW:READ")?;
    let (record_type, operation) = (record_type.to_ascii_uppercase(), operation.to_ascii_uppercase());
    let known = |name: &str, all: Vec<&str>| format!("`{name}` is none of {}", all.join(", "));
    let record_type = match record_type.as_str() {
        ANY => None,
        name => {
            let found = RecordType::ALL.into_iter().find(|one| one.as_str() == name);
            Some(found.ok_or_else(|| known(name, RecordType::ALL.map(RecordType::as_str).to_vec()))?)
        }
    };
    let operations = [Operation::Create, Operation::Read, Operation::Update, Operation::Delete];
    let operation = match operation.as_str() {
        ANY => None,
        name => {
            let found = operations.into_iter().find(|one| one.as_str() == name);
            Some(found.ok_or_else(|| known(name, operations.map(Operation::as_str).to_vec()))?)
        }
    };
    Ok(Permission { record_type, operation, project_id: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permission_is_a_type_and_an_operation() {
        let read = permission("flow:Read").unwrap();
        assert_eq!((read.record_type, read.operation), (Some(RecordType::Flow), Some(Operation::Read)));
        assert_eq!(permission("*:*").unwrap(), Permission::default());
        for (wrong, why) in [("FLOW", "TYPE:OPERATION"), ("FLOWER:READ", "`FLOWER`"), ("FLOW:CALL", "CREATE, READ")] {
            assert!(permission(wrong).unwrap_err().contains(why), "{wrong}");
        }
    }
}
