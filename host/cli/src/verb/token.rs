//! `flowhost token`: what programs authorise with as a user.

use clap::Subcommand;
use serde::Deserialize;
use serde_json::json;

use crate::client::{Client, Connection, address, by_name};
use crate::failure::{Exit, Failure};

/// What to do with a user's tokens.
#[derive(Subcommand)]
pub(crate) enum Token {
    /// Create a token, which is shown this once
    Create {
        /// The user whom it authorises as
        user: String,
        /// What it is for
        name: String,
        /// When it ends, for example 2030-01-01T00:00:00Z; never unless set
        #[arg(long, value_name = "TIME")]
        expires_at: Option<String>,
        /// Narrow it to this role of the user; may be given several times
        #[arg(long, value_name = "ROLE")]
        role: Vec<String>,
    },
    /// List a user's tokens, without what authorises
    List {
        /// The user
        user: String,
    },
    /// End a token
    Revoke {
        /// The user whom it authorises as
        user: String,
        /// The token's id, or its name
        #[arg(value_name = "TOKEN")]
        which: String,
    },
}

/// The part of a token that is shown.
#[derive(Deserialize)]
struct View {
    id: String,
    name: String,
    created_at: String,
    expires_at: Option<String>,
    role_ids: Option<Vec<String>>,
    token: Option<String>,
}

/// A record of which the id is needed.
#[derive(Deserialize)]
struct Known {
    id: String,
}

impl Token {
    /// Does it.
    pub(crate) fn run(self, connection: &Connection) -> Result<(), Failure> {
        let client = connection.operator()?;
        let output = connection.output();
        match self {
            Self::Create { user, name, expires_at, role } => {
                let mut token = json!({ "name": name, "expires_at": expires_at });
                if !role.is_empty() {
                    let ids: Result<Vec<String>, Failure> = role
                        .iter()
                        .map(|role| client.get(&by_name("role", role))?.read::<Known>().map(|role| role.id))
                        .collect();
                    token["role_ids"] = ids?.into();
                }
                let answer = client.send_json("POST", &tokens(&user), &token)?;
                if output.json {
                    return output.answer(&answer.body);
                }
                let token: View = answer.read()?;
                output.data(token.token.as_deref().unwrap_or_default())?;
                output.note("keep it: it is not shown again. Programs send it as `Authorization: Bearer TOKEN`");
                Ok(())
            }
            Self::List { user } => {
                let answer = client.get(&tokens(&user))?;
                if output.json {
                    return output.answer(&answer.body);
                }
                let row = |token: View| {
                    let roles = token.role_ids.map_or("all".to_owned(), |roles| roles.len().to_string());
                    let expires_at = token.expires_at.unwrap_or_else(|| "never".into());
                    vec![token.name.into(), token.created_at.into(), expires_at.into(), roles.into(), token.id.into()]
                };
                let rows: Vec<_> = answer.read::<Vec<View>>()?.into_iter().map(row).collect();
                output.table(&["NAME", "CREATED", "EXPIRES", "ROLES", "ID"], &rows)
            }
            Self::Revoke { user, which } => {
                let id = find(&client, &user, &which)?;
                let address = address(&["user", &user, "token", &id], &[("by", "name")]);
                client.send_to("DELETE", &address, &[], Vec::new())?;
                output.note(&format!("the token {which} of {user} is not valid any more"));
                Ok(())
            }
        }
    }
}

fn tokens(user: &str) -> String {
    address(&["user", user, "token"], &[("by", "name")])
}

/// The id of the token of this id or name.
fn find(client: &Client, user: &str, token: &str) -> Result<String, Failure> {
    let held: Vec<View> = client.get(&tokens(user))?.read()?;
    let mut found = held.into_iter().filter(|held| held.id == token || held.name == token);
    let list = format!("`flowhost token list {user}` shows them");
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one.id),
        (Some(_), Some(_)) => {
            let what = format!("several tokens of {user} have the name {token}; give an id");
            Err(Failure::new(Exit::Usage, what).next(list))
        }
        _ => Err(Failure::new(Exit::NotFound, format!("{user} has no token {token}")).next(list)),
    }
}
