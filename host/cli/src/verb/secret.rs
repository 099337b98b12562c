//! `flowhost secret`: values that the host keeps encrypted, and the keys that it seals them with.

use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{EVERYTHING, to_trash};
use crate::client::{Connection, address, by_name};
use crate::failure::{Exit, Failure};
use crate::output::{Cell, Output, Paint};

/// What to do with secrets.
#[derive(Subcommand)]
pub(crate) enum Secret {
    /// Set a value, which is read from standard input, or asked for on a terminal
    ///
    /// One line break at the end of standard input does not belong to the value. What is not named stays as it was.
    Set {
        /// The secret's name
        name: String,
        /// A host that requests of flows may carry the value to: api.example.com, or *.example.com; may be given several
        /// times, in place of those before
        #[arg(long, value_name = "PATTERN")]
        host: Vec<String>,
        /// Let flows read the value itself; by default they only get a placeholder for requests
        #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "true|false")]
        readable: Option<bool>,
    },
    /// List the secrets; values are never shown
    #[command(visible_alias = "ls")]
    List,
    /// Put a secret into the trash
    #[command(visible_alias = "rm")]
    Delete {
        /// The secret's name
        name: String,
    },
    /// Make a key for `secret_key_file` or FLOWHOST_SECRET_KEY; needs no server
    Key {
        /// A file to make, which its owner alone may read; without it, the key is printed
        file: Option<PathBuf>,
    },
    /// Seal all secrets with the first of the server's keys, so that it needs the others no more
    Reseal,
}

/// The part of a secret that is shown.
#[derive(Deserialize)]
struct View {
    name: String,
    hosts: Vec<String>,
    is_readable: bool,
    is_set: bool,
    is_available: bool,
    key_id: Option<String>,
}

#[derive(Deserialize)]
struct Resealed {
    key_id: String,
    resealed: Vec<String>,
    unavailable: Vec<String>,
}

impl Secret {
    /// Does it.
    pub(crate) fn run(self, connection: &Connection) -> Result<(), Failure> {
        let output = connection.output();
        match self {
            Self::Set { name, host, readable } => set(connection, &name, host, readable),
            Self::List => list(connection),
            Self::Delete { name } => to_trash(&connection.operator()?, output, "secret", &name),
            Self::Key { file } => key(output, file.as_deref()),
            Self::Reseal => reseal(connection),
        }
    }
}

fn set(connection: &Connection, name: &str, hosts: Vec<String>, is_readable: Option<bool>) -> Result<(), Failure> {
    let client = connection.operator()?;
    let output = connection.output();
    let mut secret = Map::from_iter([("value".to_owned(), Value::String(value(name)?))]);
    if !hosts.is_empty() {
        secret.insert("hosts".to_owned(), hosts.into());
    }
    if let Some(is_readable) = is_readable {
        secret.insert("is_readable".to_owned(), is_readable.into());
    }
    let changed = client.send_json("PATCH", &by_name("secret", name), &Value::Object(secret.clone()));
    let answer = match changed {
        Err(failure) if failure.exit() == Exit::NotFound => {
            secret.insert("name".to_owned(), name.into());
            client.send_json("POST", &address(&["secret"], &[]), &Value::Object(secret))?
        }
        told => told?,
    };
    if output.json {
        return output.answer(&answer.body);
    }
    let View { name, hosts, is_readable, .. } = answer.read()?;
    output.data(&name)?;
    match (hosts.as_slice(), is_readable) {
        ([], false) => output.note("no flow can use it yet: name the hosts that it may be sent to, with --host"),
        ([], true) => output.note("flows may read it"),
        (hosts, false) => output.note(&format!("requests of flows may carry it to {}", hosts.join(", "))),
        (hosts, true) => output.note(&format!("flows may read it, and send it to {}", hosts.join(", "))),
    }
    Ok(())
}

/// The value: never from the command line, which other processes and the shell's history see.
fn value(name: &str) -> Result<String, Failure> {
    let unreadable = |error: io::Error| Failure::new(Exit::Local, format!("the value cannot be read: {error}"));
    if io::stdin().is_terminal() {
        return rpassword::prompt_password(format!("value of {name}: ")).map_err(unreadable);
    }
    let mut text = String::new();
    io::stdin().lock().read_to_string(&mut text).map_err(unreadable)?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    Ok(line.strip_suffix('\r').unwrap_or(line).to_owned())
}

fn list(connection: &Connection) -> Result<(), Failure> {
    let output = connection.output();
    let answer = connection.operator()?.list(&["secret"], &[], EVERYTHING)?;
    if output.json {
        return output.answer(&answer.body);
    }
    let secrets: Vec<View> = answer.read()?;
    let row = |secret: &View| -> Vec<Cell> {
        let state = match (secret.is_set, secret.is_available) {
            (false, _) => ("no value", Paint::Faint),
            (true, false) => ("key missing", Paint::Bad),
            (true, true) => ("set", Paint::Good),
        };
        vec![
            secret.name.as_str().into(),
            Cell::painted(state.0, state.1),
            if secret.hosts.is_empty() { "nowhere".into() } else { secret.hosts.join(", ").into() },
            if secret.is_readable { "by flows" } else { "no" }.into(),
            secret.key_id.as_deref().unwrap_or("").into(),
        ]
    };
    let rows: Vec<_> = secrets.iter().map(row).collect();
    output.table(&["NAME", "STATE", "SENT TO", "READABLE", "KEY"], &rows)
}

fn key(output: Output, file: Option<&Path>) -> Result<(), Failure> {
    let key = flowhost::new_secret_key().map_err(|error| Failure::new(Exit::Local, error.to_string()))?;
    let Some(file) = file else { return output.data(&key) };
    let unwritable =
        |error: io::Error| Failure::new(Exit::Local, format!("{} cannot be made: {error}", file.display()));
    let mut options = std::fs::OpenOptions::new();
    // Never over a key that is there: what it sealed would be lost.
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut made = options.open(file).map_err(unwritable)?;
    made.write_all(format!("{}\n", *key).as_bytes()).and_then(|()| made.sync_all()).map_err(unwritable)?;
    let shown = file.display();
    output.note(&format!(
        "{shown} holds a new key: name it in `secret_key_file`, and keep a copy where the data are not"
    ));
    Ok(())
}

fn reseal(connection: &Connection) -> Result<(), Failure> {
    let output = connection.output();
    let client = connection.operator()?;
    let answer =
        client.send_json("POST", &address(&["secret", "action", "reseal"], &[]), &Value::Object(Map::new()))?;
    if output.json {
        return output.answer(&answer.body);
    }
    let Resealed { key_id, resealed, unavailable } = answer.read()?;
    output.data(&format!("{} sealed with the key {key_id}", resealed.len()))?;
    if !unavailable.is_empty() {
        output.note(&format!("the server has no key for {}; they stay as they are", unavailable.join(", ")));
    }
    Ok(())
}
