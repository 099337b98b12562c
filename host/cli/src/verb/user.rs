//! `flowhost user`: the people in whose name executions run.

use std::collections::HashMap;
use std::path::PathBuf;

use clap::Subcommand;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{EVERYTHING, WEBHOOK_PREFIX, joined, to_trash};
use crate::client::{Answer, Client, Connection, address, by_name};
use crate::failure::{Exit, Failure};
use crate::output::{Cell, Output, Paint, shell_word};

/// What to do with users.
#[derive(Subcommand)]
pub(crate) enum User {
    /// Create a user
    Create {
        /// The user's name
        name: String,
        /// A role to give; may be given several times
        #[arg(long)]
        role: Vec<String>,
    },
    /// List the users
    List,
    /// Set a user's password, which ends the sessions that there are
    Password {
        /// The user's name
        name: String,
        /// A file with the password in one line, or - for standard input
        file: PathBuf,
    },
    /// Show a user's roles, or set them, in place of those that the user has
    Roles {
        /// The user's name
        name: String,
        /// The roles to set; without them, the user's roles are shown and nothing changes
        roles: Vec<String>,
        /// Take all roles away from the user
        #[arg(long, conflicts_with = "roles")]
        none: bool,
    },
    /// Let a user log in and lend permissions again
    Enable {
        /// The user's name
        name: String,
    },
    /// Let a user neither log in nor lend permissions; webhooks that name the user answer on, without permissions
    Disable {
        /// The user's name
        name: String,
    },
    /// Put a user into the trash; webhooks that name the user answer on, without permissions
    Delete {
        /// The user's name
        name: String,
    },
}

/// The part of a user that is shown.
#[derive(Deserialize)]
struct View {
    id: String,
    name: String,
    is_enabled: bool,
    has_password: bool,
    roles: Option<Vec<Assigned>>,
}

/// A role that a user has.
#[derive(Deserialize)]
struct Assigned {
    role_id: String,
}

/// A role of which the name is shown.
#[derive(Deserialize)]
struct Role {
    id: String,
    name: String,
}

impl User {
    /// Does it.
    pub(crate) fn run(self, connection: &Connection) -> Result<(), Failure> {
        let client = connection.operator()?;
        let output = connection.output();
        let change = |name: &str, change: Value, said: &str| {
            shown(output, &client.send_json("PATCH", &by_name("user", name), &change)?, said)
        };
        match self {
            Self::Create { name, role } => {
                let user = json!({ "name": name, "roles": assigned(&role) });
                let answer = client.send_json("POST", &address(&["user"], &[]), &user)?;
                let next = format!("`flowhost user password {name} -` sets a password");
                shown(output, &answer, &format!("{name} can be named as `user_name` in settings; {next}"))
            }
            Self::List => list(&client, output),
            Self::Password { name, file } => {
                let password = read_line(&file)?;
                change(&name, json!({ "password": password }), "the password is set; earlier sessions have ended")
            }
            Self::Roles { name, roles, none } if roles.is_empty() && !none => show_roles(&client, output, &name),
            Self::Roles { name, roles, .. } => {
                change(&name, json!({ "roles": assigned(&roles) }), "the roles hold from the next request on")
            }
            Self::Enable { name } => change(&name, json!({ "is_enabled": true }), "enabled"),
            Self::Disable { name } => {
                change(&name, json!({ "is_enabled": false }), "disabled")?;
                tell_remaining(&client, output, &name)
            }
            Self::Delete { name } => {
                to_trash(&client, output, "user", &name)?;
                tell_remaining(&client, output, &name)
            }
        }
    }
}

/// The user of an answer: the id, and a word about what was done.
fn shown(output: Output, answer: &Answer, said: &str) -> Result<(), Failure> {
    if output.json {
        return output.answer(&answer.body);
    }
    let user: View = answer.read()?;
    output.data(&user.id)?;
    output.note(said);
    Ok(())
}

/// The part of a webhook that tells whose it is.
#[derive(Deserialize)]
struct Owned {
    name: String,
    user_name: Option<String>,
}

/// Tells the person which webhooks still answer in the name of a user who is disabled or gone.
fn tell_remaining(client: &Client, output: Output, user: &str) -> Result<(), Failure> {
    let webhooks: Vec<Owned> = client.list(&["webhook"], &[("fields", "name,user_name")], EVERYTHING)?.read()?;
    let names: Vec<String> = webhooks
        .into_iter()
        .filter(|webhook| webhook.user_name.as_deref() == Some(user))
        .map(|webhook| shell_word(&format!("{WEBHOOK_PREFIX}{}", webhook.name)).into_owned())
        .collect();
    if !names.is_empty() {
        output.caution(&format!("these webhooks name {user} and answer on, without permissions: {}", joined(&names)));
        output.note("`flowhost setting delete NAME` ends one; `flowhost setting set NAME FILE` gives it another user");
    }
    Ok(())
}

/// Prints the names of a user's roles, one a line.
fn show_roles(client: &Client, output: Output, name: &str) -> Result<(), Failure> {
    let answer = client.get(&by_name("user", name))?;
    if output.json {
        return output.answer(&answer.body);
    }
    let user: View = answer.read()?;
    let names = role_names(client)?;
    for role in held(&user, &names) {
        output.data(role)?;
    }
    let user = shell_word(name);
    output.note(&format!("`flowhost user roles {user} ROLE…` sets other roles; `--none` takes all of them away"));
    Ok(())
}

/// Returns the names of all roles by their ids.
fn role_names(client: &Client) -> Result<HashMap<String, String>, Failure> {
    let roles: Vec<Role> = client.list(&["role"], &[], EVERYTHING)?.read()?;
    Ok(roles.into_iter().map(|role| (role.id, role.name)).collect())
}

/// Returns the names of a user's roles; the id of a role whose name the caller may not read.
fn held<'a>(user: &'a View, names: &'a HashMap<String, String>) -> Vec<&'a str> {
    user.roles.iter().flatten().map(|held| names.get(&held.role_id).unwrap_or(&held.role_id).as_str()).collect()
}

fn list(client: &Client, output: Output) -> Result<(), Failure> {
    let answer = client.list(&["user"], &[], EVERYTHING)?;
    if output.json {
        return output.answer(&answer.body);
    }
    let users: Vec<View> = answer.read()?;
    let roles = role_names(client)?;
    let row = |user: &View| -> Vec<Cell> {
        let state = if user.is_enabled { ("enabled", Paint::Good) } else { ("disabled", Paint::Faint) };
        vec![
            user.name.as_str().into(),
            Cell::painted(state.0, state.1),
            if user.has_password { "set" } else { "none" }.into(),
            held(user, &roles).join(", ").into(),
            user.id.as_str().into(),
        ]
    };
    output.table(&["NAME", "STATE", "PASSWORD", "ROLES", "ID"], &users.iter().map(row).collect::<Vec<_>>())
}

fn assigned(roles: &[String]) -> Value {
    roles.iter().map(|role| json!({ "role_name": role })).collect()
}

/// A password: from a file, so that neither other processes nor the shell's history see it.
fn read_line(file: &std::path::Path) -> Result<String, Failure> {
    let unreadable = |reason: String| Failure::new(Exit::Local, format!("{} cannot be read: {reason}", file.display()));
    let bytes = super::read_input(file).map_err(|error| unreadable(error.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|error| unreadable(error.to_string()))?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    Ok(line.strip_suffix('\r').unwrap_or(line).to_owned())
}
