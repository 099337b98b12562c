//! Uses secrets, and says what it should keep to itself.
//!
//! The payload's `place` and `read` name secrets whose placeholder or value is asked for; the output `told` has for each
//! `{"placeholder"}`, `{"length"}` or `{"code", "message"}`, and for each request of `send` `{"status"}` or the same, with the address of the
//! response as `url` where its `tell_url` is true. The values that were read, and the texts of `words`, are said in several
//! forms wherever `say` names: `log`, `print`, `output`. `end` is `error` or `panic`, with these texts in it. With
//! `change`, the setting of that name is added to when everything was read, the values are told as progress, and the flow waits
//! until there is a setting `go`.

#![cfg(target_family = "wasm")]

use std::io::Write;
use std::time::Duration;

use data_encoding::BASE64;
use flowhost_guest::http::Response;
use flowhost_guest::{Execution, FlowError, HostError, Input, Level, Outputs, flow, json};
use serde::Deserialize;
use serde_json::Value;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Plan {
    read: Vec<String>,
    place: Vec<String>,
    words: Vec<String>,
    say: Vec<String>,
    end: String,
    change: Option<String>,
    send: Vec<Send>,
}

/// A request in whose texts `<NAME>` stands for the placeholder of the secret.
#[derive(Deserialize)]
struct Send {
    url: String,
    #[serde(default)]
    headers: Vec<(String, String)>,
    body: Option<String>,
    /// The secret that is the password.
    basic: Option<String>,
    #[serde(default)]
    tell_url: bool,
}

#[flow]
fn secrets(this: &Execution, plan: Input<Plan>) -> Result<Outputs, FlowError> {
    let mut words = plan.words.clone();
    let mut told = Vec::new();
    for name in &plan.place {
        told.push(given(this.secrets().placeholder(name)));
    }
    for name in &plan.read {
        let read = this.secrets().get(name);
        words.extend(read.iter().cloned());
        told.push(match read {
            Ok(value) => json!({ "length": value.len() }),
            Err(refused) => given(Err(refused)),
        });
    }
    for request in &plan.send {
        told.push(match send(this, &plan.place, request) {
            Ok(response) if request.tell_url => json!({ "status": response.status(), "url": response.url() }),
            Ok(response) => json!({ "status": response.status() }),
            Err(refused) => given(Err(refused)),
        });
    }
    this.set_output("asked", &told)?;
    if let Some(name) = &plan.change {
        this.progress(words.join(" "));
        this.settings().increment(name, 1)?;
        while !this.settings().exists("go")? {
            this.sleep().for_duration(Duration::from_millis(10))?;
        }
    }
    let forms: Vec<String> = words
        .iter()
        .flat_map(|word| {
            [word.clone(), Value::from(word.as_str()).to_string(), BASE64.encode(format!("user:{word}").as_bytes())]
        })
        .collect();
    let all = forms.join(" ");
    for place in &plan.say {
        match place.as_str() {
            "log" => {
                this.info(&all);
                this.log(Level::Warn, "fields", &json!({ "list": forms, (words.join("")): true }));
            }
            "print" => {
                println!("out {all}");
                eprintln!("err {all}");
                print!("half a line of {all}");
                std::io::stdout().flush().map_err(|error| FlowError::new(error.to_string()))?;
            }
            "output" => {
                this.set_output("set", &forms)?;
                this.set_output(&words.join(" "), &1)?;
            }
            other => return Err(FlowError::new(format!("nothing is said to `{other}`"))),
        }
    }
    match plan.end.as_str() {
        "error" => {
            let details = json!({ "list": forms, "text": all });
            return Err(FlowError::new(all.clone()).with_code(all).with_details(details));
        }
        "panic" => panic!("{all}"),
        _ => {}
    }
    Ok(Outputs::new().set("told", told).set("returned", if plan.say.is_empty() { Vec::new() } else { forms }))
}

fn send(this: &Execution, names: &[String], request: &Send) -> Result<Response, HostError> {
    let filled = |text: &str| -> Result<String, HostError> {
        let mut text = text.to_owned();
        for name in names {
            text = text.replace(&format!("<{name}>"), &this.secrets().placeholder(name)?);
        }
        Ok(text)
    };
    let mut made = this.http().request(if request.body.is_some() { "POST" } else { "GET" }, filled(&request.url)?);
    for (name, value) in &request.headers {
        made = made.header(name, filled(value)?);
    }
    if let Some(name) = &request.basic {
        let credentials = BASE64.encode(format!("user:{}", this.secrets().placeholder(name)?).as_bytes());
        made = made.header("Authorization", format!("Basic {credentials}"));
    }
    if let Some(body) = &request.body {
        made = made.body(filled(body)?);
    }
    made.send()
}

fn given(told: Result<String, HostError>) -> Value {
    match told {
        Ok(placeholder) => json!({ "placeholder": placeholder }),
        Err(refused) => json!({ "code": refused.code(), "message": refused.message() }),
    }
}
