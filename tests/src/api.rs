//! The REST API in a few words, in the operator's name.

use serde_json::{Value, json};

use crate::client::{Answer, Request};
use crate::guests::component;
use crate::host::Host;
use crate::patience::until;

/// A webhook that a test has made.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// Its record, as the API gave it.
    pub record: Value,
}

/// An execution that has ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Its record, as the API gave it.
    pub record: Value,
}

impl Host {
    /// Deploys a guest or an example under its own name.
    ///
    /// # Panics
    ///
    /// When it is refused.
    pub fn deploy(&self, guest: &str) -> Value {
        self.deploy_as(guest, component(guest)).ok()
    }

    /// Deploys bytes under a name.
    pub fn deploy_as(&self, name: &str, component: impl AsRef<[u8]>) -> Answer {
        let request = self.post(&format!("/api/latest/flow?name={}&plain=true", escaped(name)), component);
        request.header("Content-Type", "application/wasm").as_operator().send()
    }

    /// Makes an enabled webhook of this name without a key for a guest, which is deployed first.
    ///
    /// # Panics
    ///
    /// When either is refused.
    pub fn webhook(&self, name: &str, guest: &str) -> Webhook {
        self.webhook_with(name, guest, &json!({}))
    }

    /// [`Host::webhook`], with more members of its record: `key`, `options`, `is_productive`.
    pub fn webhook_with(&self, name: &str, guest: &str, members: &Value) -> Webhook {
        self.deploy(guest);
        let mut record = json!({ "name": name, "flow_name": guest, "is_enabled": true });
        record.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        Webhook { record: self.create("webhook", &record).ok() }
    }

    /// [`Host::webhook`], made by a setting: its executions may do what the user `admin` may.
    pub fn webhook_of_admin(&self, name: &str, guest: &str) -> Webhook {
        self.deploy(guest);
        let value = format!("flow_name: {guest}\nuser_name: admin\n");
        self.set(&format!("client.webhook.{name}"), value).ok();
        Webhook { record: self.read(&format!("webhook/{}?by=name", escaped(name))).ok() }
    }

    /// Creates a record.
    pub fn create(&self, record_type: &str, record: &Value) -> Answer {
        self.post_json(&format!("/api/latest/{record_type}?plain=true"), record).as_operator().send()
    }

    /// Creates a user.
    ///
    /// # Panics
    ///
    /// When it is refused.
    pub fn user(&self, name: &str) -> Value {
        self.create("user", &json!({ "name": name })).ok()
    }

    /// Sets a setting to YAML or JSON text.
    pub fn set(&self, name: &str, value: impl AsRef<[u8]>) -> Answer {
        let target = format!("/api/latest/setting/{}?by=name&plain=true", escaped(name));
        self.request("PUT", &target).body(value).as_operator().send()
    }

    /// Reads something below `/api/latest/`, plainly.
    pub fn read(&self, what: &str) -> Answer {
        let separator = if what.contains('?') { '&' } else { '?' };
        self.get(&format!("/api/latest/{what}{separator}plain=true")).as_operator().send()
    }

    /// All records of a list below `/api/latest/`, from all of its pages.
    pub fn all(&self, list: &str) -> Vec<Value> {
        let (path, query) = list.split_once('?').unwrap_or((list, ""));
        let (mut records, mut after) = (Vec::new(), String::new());
        loop {
            let target = format!("/api/latest/{path}?{query}&limit=1000{after}");
            let mut page = self.get(&target).as_operator().send().ok();
            records.append(page[path].as_array_mut().unwrap());
            match page["next"].as_str() {
                Some(next) => after = format!("&after={}", escaped(next)),
                None => return records,
            }
        }
    }

    /// Deletes something below `/api/latest/`.
    pub fn delete(&self, what: &str) -> Answer {
        self.request("DELETE", &format!("/api/latest/{what}")).as_operator().send()
    }

    /// Changes something below `/api/latest/`.
    pub fn change(&self, what: &str, change: &Value) -> Answer {
        let request = self.request("PATCH", &format!("/api/latest/{what}?plain=true"));
        request.body(change.to_string()).header("Content-Type", "application/json").as_operator().send()
    }

    /// Waits until an execution is there and what it says about itself satisfies the test.
    pub fn wait_until(&self, id: &str, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        until(&format!("execution {id} {what}"), || {
            let answer = self.read(&format!("execution/{id}"));
            (answer.status == 200).then(|| answer.ok()).filter(&is_so)
        })
    }

    /// Waits until an execution has ended.
    pub fn wait_until_ended(&self, id: &str) -> Ended {
        let has_ended =
            |execution: &Value| execution["status"].as_str().is_some_and(|status| status.starts_with("ENDED_"));
        Ended { record: self.wait_until(id, "has ended", has_ended) }
    }

    /// The executions of a webhook, newest first, as lists show them.
    pub fn executions_of(&self, webhook: &str) -> Vec<Value> {
        let list = self.read(&format!("execution?webhook={}&limit=1000", escaped(webhook))).ok();
        list.as_array().unwrap().clone()
    }

    /// The log of an execution.
    pub fn log_of(&self, id: &str) -> Vec<Value> {
        self.read(&format!("execution/{id}/log")).ok().as_array().unwrap().clone()
    }

    /// Cancels an execution.
    pub fn cancel(&self, id: &str) -> Answer {
        self.request("POST", &format!("/api/latest/execution/{id}/action/cancel?plain=true")).as_operator().send()
    }
}

impl Webhook {
    /// The path of its address.
    pub fn path(&self) -> &str {
        self.record["url"].as_str().unwrap()
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.record["name"].as_str().unwrap()
    }

    /// The path of its record below `/api/latest/`.
    pub fn record_path(&self) -> String {
        format!("webhook/{}", self.record["id"].as_str().unwrap())
    }

    /// A call with a JSON payload.
    pub fn call<'a>(&self, host: &'a Host, payload: &Value) -> Request<'a> {
        host.post_json(self.path(), payload)
    }

    /// An asynchronous call with a JSON payload: the id of its execution.
    ///
    /// # Panics
    ///
    /// When it is not accepted.
    pub fn call_async(&self, host: &Host, payload: &Value) -> String {
        let answer = host.post_json(&format!("{}?async", self.path()), payload).send();
        assert_eq!(answer.status, 202, "{}", answer.text());
        answer.json()["id"].as_str().unwrap().to_owned()
    }
}

impl Ended {
    /// Its status.
    pub fn status(&self) -> &str {
        self.record["status"].as_str().unwrap()
    }

    /// Its outputs, of an execution that ended well.
    ///
    /// # Panics
    ///
    /// When it did not.
    pub fn success(&self) -> &Value {
        assert_eq!(self.status(), "ENDED_SUCCESS", "{}", self.record);
        self.outputs()
    }

    /// Its outputs.
    pub fn outputs(&self) -> &Value {
        &self.record["output_value"]
    }

    /// The code of its failure.
    pub fn failure(&self) -> Option<&str> {
        self.record["failure"]["code"].as_str()
    }
}

/// A segment of a path or a value of a query.
fn escaped(text: &str) -> String {
    text.bytes().fold(String::new(), |escaped, byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => escaped + &char::from(byte).to_string(),
        _ => format!("{escaped}%{byte:02X}"),
    })
}
