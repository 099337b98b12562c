//! Reaches for files, environment, arguments and standard input, and says what came of each attempt.

#![cfg(target_family = "wasm")]

use std::fmt::Display;
use std::{env, fs, io};

use flowhost_guest::{FlowError, Outputs, flow, json};
use serde_json::Value;

#[flow]
fn files_env() -> Result<Outputs, FlowError> {
    let mut input = String::new();
    Ok(Outputs::new()
        .set("read_file", outcome(fs::read_to_string("/etc/passwd")))
        .set("write_file", outcome(fs::write("/tmp/flowhost-escape", "out").map(|()| "written")))
        .set("list_root", outcome(fs::read_dir("/").map(Iterator::count)))
        .set("list_here", outcome(fs::read_dir(".").map(Iterator::count)))
        .set("stdin", outcome(io::stdin().read_line(&mut input).map(|_| input)))
        .set("environment", env::vars().map(|(name, _)| name).collect::<Vec<_>>())
        .set("arguments", env::args().collect::<Vec<_>>()))
}

/// `{"granted": …}` or `{"refused": …}`.
fn outcome<T: Into<Value>>(attempt: Result<T, impl Display>) -> Value {
    match attempt {
        Ok(granted) => json!({ "granted": granted.into() }),
        Err(refused) => json!({ "refused": refused.to_string() }),
    }
}
