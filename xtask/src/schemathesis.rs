//! `cargo xtask schemathesis`: requests made of the served description of the API, thousands of them, right and wrong.
//! The host must answer each as the description says, and never fail.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::run::{self, Outcome};
use crate::server::Server;
use crate::workspace::{self, Metadata};
use crate::{guests, host, http, python};

/// Checks a host of its own; everything that it did is gone afterwards.
pub(crate) fn run() -> Outcome<()> {
    let metadata = Metadata::load()?;
    guests::build(&metadata)?;
    let flowhost = host::build(&metadata, &[])?;
    let files = workspace::root().join("xtask/schemathesis");
    let environment = metadata.target_directory.join("schemathesis");
    let programs = python::environment(&environment, &files.join("requirements.txt"))?;

    let place = tempfile::tempdir()?;
    let data = place.path().join("data");
    let mut serve = Command::new(&flowhost);
    serve.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(&data).env("FLOWHOST_LOG", "warn");
    let log = place.path().join("server.log");
    let server = Server::start(&mut serve, &log)?;
    let token = fs::read_to_string(data.join("operator-token"))?.trim().to_owned();
    let hello = metadata.guests_folder().join("hello.wasm");
    let other_user = furnish(&server.url, &token, &hello)?;

    let mut check = Command::new(programs.join("schemathesis"));
    check
        .arg("--config-file")
        .arg(files.join("schemathesis.toml"))
        .args(["run", "--url", &server.url])
        .arg(format!("{}/api/latest/openapi.json", server.url))
        .env("OPERATOR_TOKEN", &token)
        .env("OTHER_USER_ID", other_user)
        .env("SCHEMATHESIS_HOOKS", files.join("hooks.py"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        // It keeps notes where it stands.
        .current_dir(place.path());
    run::done(&mut check).map_err(|error| {
        let said = fs::read_to_string(&log).unwrap_or_default();
        format!("{error}\nthe host's log:\n{}", said.trim()).into()
    })
}

/// Makes a record of every type, and an execution: requests about nothing would all be answered alike. Gives the id of a
/// user who is not the administrator.
fn furnish(url: &str, token: &str, component: &Path) -> Outcome<String> {
    let send = |address: &str, content_type: &str, body: &[u8]| -> Outcome<Value> {
        let headers = [("Authorization", format!("Bearer {token}")), ("Content-Type", content_type.to_owned())];
        let headers = headers.map(|(name, value)| (name.to_owned(), value));
        let answer = http::send("POST", &format!("{url}/api/latest/{address}"), &headers, Some(body))?;
        if answer.status >= 300 {
            return Err(format!("POST {address}: {} {}", answer.status, answer.body).into());
        }
        Ok(serde_json::from_str(&answer.body)?)
    };
    let make = |record_type: &str, record: Value| {
        send(&format!("{record_type}?plain=true"), "application/json", record.to_string().as_bytes())
    };
    for record_type in ["bundle", "file", "project", "setting"] {
        make(record_type, json!({ "name": "known" }))?;
    }
    make("role", json!({ "name": "known", "permissions": [] }))?;
    send("flow?name=known", "application/wasm", &fs::read(component)?)?;
    make("webhook", json!({ "name": "known", "flow_name": "known", "is_enabled": true }))?;
    send("webhook/known/call", "application/json", b"{}")?;
    let user = make("user", json!({ "name": "known" }))?;
    user["id"].as_str().map(str::to_owned).ok_or_else(|| "a user without an id".into())
}
