//! The client's half of the REST API.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::value::RawValue;
use ureq::http::{Request, Response};
use ureq::{Agent, Body};

use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::token;

/// What stands in an address as it is; every other byte is escaped.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// How long the server may take to accept a connection. On a machine that is up this takes milliseconds.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The largest answer that is read: more than any record can hold, so that only a mistaken address reaches it.
const ANSWER_BYTES: u64 = 256 << 20;

/// Which server a command talks to, and how it shows the answer.
#[derive(Args)]
pub(crate) struct Connection {
    /// The server's address; without a scheme, http:// is meant
    #[arg(long, env = "FLOWHOST_SERVER", default_value = "http://127.0.0.1:8080", global = true, value_name = "URL")]
    server: String,
    /// The token that authorises; without it, that of the data folder, for a server on this machine
    #[arg(long, env = "FLOWHOST_TOKEN", hide_env_values = true, global = true)]
    token: Option<String>,
    /// The server's data folder, if it is on this machine: its operator token is used
    #[arg(long, env = "FLOWHOST_DATA", default_value = "flowhost-data", global = true, value_name = "DIR")]
    data: PathBuf,
    /// Send tokens and keys to another machine although nothing encrypts them
    #[arg(long, env = "FLOWHOST_PLAIN_HTTP", global = true)]
    plain_http: bool,
    /// Print JSON; errors too, as JSON on standard error
    #[arg(long, global = true)]
    json: bool,
}

/// An answer of a server to a request that it accepted.
pub(crate) struct Answer {
    /// The body's bytes.
    pub(crate) body: Vec<u8>,
    /// The header `Location`.
    pub(crate) location: Option<String>,
    /// Where the next page of a list is.
    next: Option<String>,
    /// Whether it is a list of what the client may not read.
    pub(crate) is_unreadable: bool,
}

/// A connection to one server.
pub(crate) struct Client {
    agent: Agent,
    server: String,
    token: Option<String>,
    output: Output,
}

impl Connection {
    /// How the command's output looks.
    pub(crate) fn output(&self) -> Output {
        Output { json: self.json }
    }

    /// A client that acts as the operator.
    pub(crate) fn operator(&self) -> Result<Client, Failure> {
        let client = self.anonymous()?;
        let token = token::find(self.token.as_deref(), &self.data, &client.server)?;
        token::refuse_exposed("token", &client.server, self.plain_http)?;
        Ok(Client { token: Some(token), ..client })
    }

    /// A client that shows no token, as callers of webhooks are; whether it shows a key.
    pub(crate) fn caller(&self, has_key: bool) -> Result<Client, Failure> {
        let client = self.anonymous()?;
        if has_key {
            token::refuse_exposed("key", &client.server, self.plain_http)?;
        }
        Ok(client)
    }

    fn anonymous(&self) -> Result<Client, Failure> {
        let server = self.server.trim_end_matches('/');
        let server = if server.contains("://") { server.to_owned() } else { format!("http://{server}") };
        if !server.starts_with("http://") {
            let what = format!("`{server}` is not an address that begins with http://");
            let next = "TLS is not spoken here: reach a distant server through a tunnel, for example `ssh -L`";
            return Err(Failure::new(Exit::Usage, what).next(next));
        }
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            // What a proxy sees, it can keep; and the ordinary server is on this machine.
            .proxy(None)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .user_agent(concat!("flowhost/", env!("CARGO_PKG_VERSION")))
            .build()
            .new_agent();
        Ok(Client { agent, server, token: None, output: self.output() })
    }
}

impl Client {
    /// The absolute form of an address on this server.
    pub(crate) fn url(&self, address: &str) -> String {
        format!("{}{address}", self.server)
    }

    /// Reads something.
    pub(crate) fn get(&self, address: &str) -> Result<Answer, Failure> {
        self.send(Request::get(self.url(address)), None)
    }

    /// Reads a list: so many of its items at most, from as many pages as they take. The body is the list of them. Tells the
    /// person if the list has more, or if it is empty because this client may not read what it lists.
    pub(crate) fn list(&self, parts: &[&str], query: &[(&str, &str)], most: u32) -> Result<Answer, Failure> {
        let answer = self.pages(parts, query, most)?;
        if answer.next.is_some() {
            self.output.caution(&format!("there are more; `--limit {}` lists more of them", most.saturating_mul(10)));
        }
        if answer.is_unreadable {
            self.output.caution(&unreadable(parts));
        }
        Ok(answer)
    }

    /// [`Client::list`], without a word to the person.
    pub(crate) fn pages(&self, parts: &[&str], query: &[(&str, &str)], most: u32) -> Result<Answer, Failure> {
        let limit = most.to_string();
        let mut answer = self.get(&address(parts, &[query, &[("limit", limit.as_str())]].concat()))?;
        if answer.next.is_none() {
            return Ok(answer);
        }
        let mut items: Vec<Box<RawValue>> = answer.read()?;
        while let Some(address) = answer.next.take_if(|_| items.len() < most as usize) {
            let page = self.get(&address)?;
            items.extend(page.read::<Vec<Box<RawValue>>>()?);
            answer.next = page.next;
        }
        items.truncate(most as usize);
        let body = serde_json::to_vec(&items).map_err(|error| misunderstood(&error))?;
        Ok(Answer { body, ..answer })
    }

    /// Sends JSON or other content with a method of the caller's choice.
    pub(crate) fn send_to(
        &self,
        method: &str,
        address: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Result<Answer, Failure> {
        let mut request = Request::builder().method(method).uri(self.url(address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request, Some(body))
    }

    /// Sends a JSON object.
    pub(crate) fn send_json(&self, method: &str, address: &str, body: &serde_json::Value) -> Result<Answer, Failure> {
        self.send_to(method, address, &[("content-type", "application/json")], body.to_string().into_bytes())
    }

    fn send(&self, mut request: ureq::http::request::Builder, body: Option<Vec<u8>>) -> Result<Answer, Failure> {
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let malformed = |error: ureq::http::Error| {
            Failure::new(Exit::Usage, format!("the request cannot be made: {error}"))
                .next("check the server's address, the token and the key")
        };
        let answer = match body {
            Some(body) => self.agent.run(request.body(body).map_err(malformed)?),
            None => self.agent.run(request.body(()).map_err(malformed)?),
        };
        accepted(answer.map_err(|error| self.unreachable(&error))?).map_err(|error| match error {
            Refused::Answer(failure) => failure,
            Refused::Broken(error) => self.unreachable(&error),
        })
    }

    fn unreachable(&self, error: &ureq::Error) -> Failure {
        let what = match error {
            ureq::Error::Io(error) => format!("the server at {} cannot be reached: {error}", self.server),
            error => format!("the server at {} cannot be reached: {error}", self.server),
        };
        Failure::new(Exit::Unreachable, what).next("`flowhost serve` starts one; --server names another")
    }
}

/// Why there is no answer to work with.
enum Refused {
    Answer(Failure),
    Broken(ureq::Error),
}

fn accepted(answer: Response<Body>) -> Result<Answer, Refused> {
    let (head, mut body) = answer.into_parts();
    let body = body.with_config().limit(ANSWER_BYTES).read_to_vec().map_err(Refused::Broken)?;
    if !head.status.is_success() {
        let challenge = head.headers.get("www-authenticate").and_then(|value| value.to_str().ok());
        return Err(Refused::Answer(Failure::from_answer(head.status.as_u16(), challenge, &body)));
    }
    let location = head.headers.get("location").and_then(|value| value.to_str().ok()).map(str::to_owned);
    // `<ADDRESS>; rel="next"`: the server's own form.
    let link = head.headers.get("link").and_then(|value| value.to_str().ok());
    let next = link.and_then(|link| link.strip_prefix('<')?.split_once('>')).map(|(address, _)| address.to_owned());
    let is_unreadable = head.headers.get("flowhost-scope").is_some_and(|scope| scope == "nothing");
    Ok(Answer { body, location, next, is_unreadable })
}

impl Answer {
    /// The body as what it should be.
    pub(crate) fn read<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Failure> {
        std::str::from_utf8(&self.body).map_err(|error| misunderstood(&error)).and_then(parsed)
    }
}

/// A part of a server's answer as what it should be.
pub(crate) fn parsed<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T, Failure> {
    serde_json::from_str(json).map_err(|error| misunderstood(&error))
}

/// Returns the words for a list that is empty because its reader lacks the permission.
fn unreadable(parts: &[&str]) -> String {
    let kind = parts.last().copied().unwrap_or_default();
    // Locks are seen by those who may read their executions.
    let permission = if kind == "lock" { "EXECUTION" } else { &kind.to_ascii_uppercase() };
    format!("none are shown: this token may not read {kind}s; a role with {permission}:READ permits it")
}

fn misunderstood(error: &dyn std::error::Error) -> Failure {
    Failure::new(Exit::Server, format!("the server's answer is not understood: {error}"))
        .next("is it a flowhost server of this version? `flowhost --version` tells this one's")
}

/// A path of the API, its parts escaped.
pub(crate) fn path(parts: &[&str]) -> String {
    let parts: String = parts.iter().map(|part| format!("/{}", escaped(part))).collect();
    format!("/api/latest{parts}")
}

/// An address of the API: its path, then a query of names and values.
pub(crate) fn address(parts: &[&str], query: &[(&str, &str)]) -> String {
    let query: String = query.iter().map(|(name, value)| format!("{name}={}&", escaped(value))).collect();
    // Without it, an answer is wrapped into an object that names its type.
    format!("{}?{query}plain=true", path(parts))
}

fn escaped(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

/// The address of one record by its name.
pub(crate) fn by_name(kind: &str, name: &str) -> String {
    address(&[kind, name], &[("by", "name")])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped() {
        assert_eq!(
            by_name("setting", "client.webhook.a/b ü"),
            "/api/latest/setting/client.webhook.a%2Fb%20%C3%BC?by=name&plain=true"
        );
    }
}
