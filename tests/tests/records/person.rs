//! People who are not the operator.

use flowhost_tests::scene::text;
use flowhost_tests::{Answer, Host, Request};
use serde_json::{Value, json};

/// A record's path below `/api/latest/`.
pub(crate) fn path(record_type: &str, record: &Value) -> String {
    format!("{record_type}/{}", text(record, "id"))
}

/// The names of a list's records.
pub(crate) fn names(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|record| text(record, "name")).collect()
}

/// A user of a host, with a token.
pub(crate) struct Person<'a> {
    pub(crate) host: &'a Host,
    pub(crate) record: Value,
    pub(crate) token: String,
}

impl<'a> Person<'a> {
    /// A user with these permissions and no others, by a role of the user's name.
    pub(crate) fn with(host: &'a Host, name: &str, permissions: &Value) -> Self {
        host.create("role", &json!({ "name": name, "permissions": permissions })).ok();
        Self::in_role(host, name, name)
    }

    /// A user in this role.
    pub(crate) fn in_role(host: &'a Host, name: &str, role: &str) -> Self {
        let record = host.create("user", &json!({ "name": name, "roles": [{ "role_name": role }] })).ok();
        let issued = host.create(&format!("{}/token", path("user", &record)), &json!({ "name": "test" })).ok();
        Self { host, token: text(&issued, "token").to_owned(), record }
    }

    /// The same user with another token.
    pub(crate) fn by_token(&self, token: &str) -> Self {
        Self { host: self.host, record: self.record.clone(), token: token.to_owned() }
    }

    pub(crate) fn id(&self) -> &str {
        text(&self.record, "id")
    }

    /// A request below `/api/latest/`, plainly, with the user's token.
    pub(crate) fn request(&self, method: &str, what: &str) -> Request<'a> {
        let separator = if what.contains('?') { '&' } else { '?' };
        let request = self.host.request(method, &format!("/api/latest/{what}{separator}plain=true"));
        request.header("Authorization", &self.token)
    }

    fn send(&self, method: &str, what: &str, body: &Value) -> Answer {
        self.request(method, what).header("Content-Type", "application/json").body(body.to_string()).send()
    }

    pub(crate) fn read(&self, what: &str) -> Answer {
        self.request("GET", what).send()
    }

    pub(crate) fn create(&self, what: &str, record: &Value) -> Answer {
        self.send("POST", what, record)
    }

    pub(crate) fn change(&self, what: &str, change: &Value) -> Answer {
        self.send("PATCH", what, change)
    }

    pub(crate) fn delete(&self, what: &str) -> Answer {
        self.request("DELETE", what).send()
    }

    pub(crate) fn set(&self, name: &str, value: &str) -> Answer {
        self.request("PUT", &format!("setting/{name}?by=name")).body(value).send()
    }

    /// Deploys bytes under a name.
    pub(crate) fn deploy(&self, name: &str, component: &[u8]) -> Answer {
        self.request("POST", &format!("flow?name={name}"))
            .header("Content-Type", "application/wasm")
            .body(component)
            .send()
    }
}

/// An action of a record, by the operator.
pub(crate) fn act_on(host: &Host, what: &str, body: &Value) -> Answer {
    let separator = if what.contains('?') { '&' } else { '?' };
    host.post_json(&format!("/api/latest/{what}{separator}plain=true"), body).as_operator().send()
}

/// A login.
pub(crate) fn login(host: &Host, user: &str, password: &str) -> Answer {
    host.post_json("/api/latest/auth/login", &json!({ "user_name": user, "password": password })).send()
}
