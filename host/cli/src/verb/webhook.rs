//! `flowhost webhook`: the addresses that start flows.

use clap::Subcommand;
use serde::Deserialize;
use serde_json::json;

use super::{EVERYTHING, to_trash};
use crate::client::{Connection, address, by_name};
use crate::failure::Failure;
use crate::output::{Cell, Paint};

/// What to do with webhooks.
#[derive(Subcommand)]
pub(crate) enum Webhook {
    /// Create a webhook, which is off unless it is enabled at once
    Create {
        /// The webhook's name
        name: String,
        /// The flow that a call starts
        #[arg(long)]
        flow: String,
        /// The key that calls must carry; without it, anybody who knows the address may call
        #[arg(long, env = "FLOWHOST_KEY", hide_env_values = true)]
        key: Option<String>,
        /// Take a key of fewer than 16 characters, for a sender that cannot send a longer one
        #[arg(long, requires = "key")]
        allow_short_key: bool,
        /// Let only users who are logged in call; with a key, they need both
        #[arg(long)]
        login: bool,
        /// Start executions in development mode
        #[arg(long)]
        dev: bool,
        /// Take calls from now on
        #[arg(long)]
        enable: bool,
        /// What the answer to a successful call holds
        #[arg(long, value_parser = ["execution", "outputs", "flow"])]
        answer: Option<String>,
        /// What its executions may do beside computing; may be given several times. `flowhost role list` names the roles
        #[arg(long)]
        role: Vec<String>,
    },
    /// List the webhooks, those of settings too
    List,
    /// Show a webhook, one of a setting too
    Show {
        /// The webhook's name
        name: String,
    },
    /// Take calls from now on
    Enable {
        /// The webhook's name
        name: String,
    },
    /// Take no more calls; a disabled webhook answers like one that does not exist
    Disable {
        /// The webhook's name
        name: String,
    },
    /// Put a webhook into the trash; one that is a setting goes with it
    Delete {
        /// The webhook's name
        name: String,
    },
}

/// What is shown in place of a flow that does not exist.
const NO_FLOW: &str = "(no such flow)";

/// The part of a webhook that is shown.
#[derive(Deserialize)]
struct View {
    name: String,
    /// None where the flow does not exist.
    flow_name: Option<String>,
    is_enabled: bool,
    is_key_required: bool,
    require_login: bool,
    is_productive: bool,
    form: String,
    user_name: Option<String>,
    warning: Option<String>,
    url: String,
}

impl View {
    fn state(&self) -> Cell {
        match (self.is_enabled, &self.warning) {
            (true, Some(_)) => Cell::painted("enabled", Paint::Bad),
            (true, None) => Cell::painted("enabled", Paint::Good),
            (false, _) => Cell::painted("disabled", Paint::Faint),
        }
    }

    fn mode(&self) -> &'static str {
        if self.is_productive { "productive" } else { "development" }
    }
}

fn needed(is_needed: bool) -> &'static str {
    if is_needed { "needed" } else { "none" }
}

impl Webhook {
    /// Does it.
    pub(crate) fn run(self, connection: &Connection) -> Result<(), Failure> {
        match self {
            Self::Create { name, flow, key, allow_short_key, login, dev, enable, answer, role } => {
                let mut webhook = json!({
                    "name": name, "flow_name": flow, "is_productive": !dev, "is_enabled": enable, "require_login": login,
                });
                if let Some(key) = key {
                    webhook["key"] = key.into();
                }
                if let Some(answer) = answer {
                    webhook["options"]["answer"] = answer.into();
                }
                if allow_short_key {
                    webhook["options"]["allow_short_key"] = true.into();
                }
                if !role.is_empty() {
                    webhook["roles"] = role.iter().map(|role| json!({ "role_name": role })).collect();
                }
                change(connection, "POST", &address(&["webhook"], &[]), &webhook)
            }
            Self::List => list(connection),
            Self::Show { name } => show(connection, &name),
            Self::Enable { name } => {
                change(connection, "PATCH", &by_name("webhook", &name), &json!({ "is_enabled": true }))
            }
            Self::Disable { name } => {
                change(connection, "PATCH", &by_name("webhook", &name), &json!({ "is_enabled": false }))
            }
            Self::Delete { name } => to_trash(&connection.operator()?, connection.output(), "webhook", &name),
        }
    }
}

fn change(connection: &Connection, method: &str, address: &str, body: &serde_json::Value) -> Result<(), Failure> {
    let client = connection.operator()?;
    let output = connection.output();
    let answer = client.send_json(method, address, body)?;
    if output.json {
        return output.answer(&answer.body);
    }
    let View { name, flow_name, is_enabled, is_key_required, require_login, is_productive, warning, url, .. } =
        answer.read()?;
    let (flow, url) = (flow_name.as_deref().unwrap_or(NO_FLOW), client.url(&url));
    output.data(&url)?;
    let mode = if is_productive { "" } else { " in development mode" };
    if is_enabled {
        let key = if is_key_required { " -H 'X-Api-Key: …'" } else { "" };
        let login = if require_login { " -H 'Authorization: Bearer …'" } else { "" };
        output.note(&format!("calls of {name} run {flow}{mode}: curl{key}{login} -d '{{}}' {url}"));
    } else {
        output.note(&format!("{name} takes no calls; `flowhost webhook enable {name}` changes that"));
    }
    if let Some(warning) = warning {
        output.note(&format!("but {warning}"));
    }
    Ok(())
}

fn list(connection: &Connection) -> Result<(), Failure> {
    let client = connection.operator()?;
    let output = connection.output();
    let answer = client.list(&["webhook"], &[], EVERYTHING)?;
    if output.json {
        return output.answer(&answer.body);
    }
    let webhooks: Vec<View> = answer.read()?;
    let row = |webhook: &View| -> Vec<Cell> {
        vec![
            webhook.name.as_str().into(),
            webhook.flow_name.as_deref().unwrap_or(NO_FLOW).into(),
            webhook.state(),
            needed(webhook.is_key_required).into(),
            needed(webhook.require_login).into(),
            webhook.mode().into(),
            client.url(&webhook.url).into(),
            Cell::painted(webhook.warning.as_deref().unwrap_or_default(), Paint::Bad),
        ]
    };
    let rows: Vec<_> = webhooks.iter().map(row).collect();
    output.table(&["NAME", "FLOW", "STATE", "KEY", "LOGIN", "MODE", "ADDRESS", "WARNING"], &rows)
}

fn show(connection: &Connection, name: &str) -> Result<(), Failure> {
    let client = connection.operator()?;
    let output = connection.output();
    let answer = client.get(&by_name("webhook", name))?;
    if output.json {
        return output.answer(&answer.body);
    }
    let webhook: View = answer.read()?;
    let mut rows: Vec<Vec<Cell>> = vec![
        vec!["flow".into(), webhook.flow_name.as_deref().unwrap_or(NO_FLOW).into()],
        vec!["state".into(), webhook.state()],
        vec!["key".into(), needed(webhook.is_key_required).into()],
        vec!["login".into(), needed(webhook.require_login).into()],
        vec!["mode".into(), webhook.mode().into()],
        vec!["form".into(), webhook.form.as_str().into()],
    ];
    rows.extend(webhook.user_name.as_deref().map(|user| vec!["user".into(), user.into()]));
    rows.push(vec!["address".into(), client.url(&webhook.url).into()]);
    rows.extend(webhook.warning.as_deref().map(|why| vec!["warning".into(), Cell::painted(why, Paint::Bad)]));
    output.table(&["webhook", &webhook.name], &rows)
}
