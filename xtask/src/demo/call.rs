//! One call of a webhook: the curl line that a person would type, and the same request sent from here.

use std::fs;

use serde_json::Value;

use crate::http::{self, Answer};
use crate::run::Outcome;
use crate::workspace;

/// What a call carries.
pub(crate) enum Payload {
    /// This text, as `curl -d` sends it.
    Text(&'static str),
    /// A file of the checkout, byte for byte.
    File(&'static str),
}

/// A call, and what its answer must hold.
pub(crate) struct Call {
    pub(crate) address: String,
    payload: Option<Payload>,
    headers: Vec<(&'static str, &'static str)>,
    headers_file: Option<&'static str>,
    status: u16,
    expected: Vec<(&'static str, Value)>,
    expected_text: Option<&'static str>,
}

impl Call {
    /// A GET.
    pub(crate) fn get(address: impl Into<String>) -> Self {
        Self {
            address: address.into(),
            payload: None,
            headers: Vec::new(),
            headers_file: None,
            status: 200,
            expected: Vec::new(),
            expected_text: None,
        }
    }

    /// A POST.
    pub(crate) fn post(address: impl Into<String>, payload: Payload) -> Self {
        Self { payload: Some(payload), ..Self::get(address) }
    }

    /// The same with a header.
    pub(crate) fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The same with the headers of a file of the checkout, one a line.
    pub(crate) fn headers_of(mut self, file: &'static str) -> Self {
        self.headers_file = Some(file);
        self
    }

    /// The same, to be answered with this status in place of 200.
    pub(crate) fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// The same, to be answered with this value at this JSON pointer.
    pub(crate) fn expect(mut self, pointer: &'static str, value: impl Into<Value>) -> Self {
        self.expected.push((pointer, value.into()));
        self
    }

    /// The same, to be answered with this text somewhere.
    pub(crate) fn expect_text(mut self, text: &'static str) -> Self {
        self.expected_text = Some(text);
        self
    }

    /// The line to type at the checkout's root.
    pub(crate) fn as_curl(&self, server: &str) -> String {
        let mut line = String::from("curl");
        for (name, value) in &self.headers {
            line += &format!(" -H '{name}: {value}'");
        }
        if let Some(file) = self.headers_file {
            line += &format!(" -H @{file}");
        }
        match &self.payload {
            Some(Payload::Text(text)) => line += &format!(" -d '{text}'"),
            Some(Payload::File(file)) => line += &format!(" --data-binary @{file}"),
            None => {}
        }
        // A shell reads `?` and `&` as its own.
        let quote = if self.address.contains(['?', '&']) { "'" } else { "" };
        line + &format!(" {quote}{server}{}{quote}", self.address)
    }

    /// Sends it.
    pub(crate) fn send(&self, server: &str) -> Outcome<Answer> {
        let root = workspace::root();
        let mut headers: Vec<(String, String)> =
            self.headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        if let Some(file) = self.headers_file {
            let lines = fs::read_to_string(root.join(file))?;
            headers.extend(lines.lines().filter_map(|line| line.split_once(": ")).map(|(n, v)| (n.into(), v.into())));
        }
        let body = match &self.payload {
            Some(Payload::Text(text)) => Some(text.as_bytes().to_vec()),
            Some(Payload::File(file)) => Some(fs::read(root.join(file))?),
            None => None,
        };
        let is_typed = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        if body.is_some() && !is_typed {
            // What curl says of every `-d`; the host looks at the payload before it believes it.
            headers.push(("Content-Type".into(), "application/x-www-form-urlencoded".into()));
        }
        let method = if body.is_some() { "POST" } else { "GET" };
        http::send(method, &format!("{server}{}", self.address), &headers, body.as_deref())
    }

    /// What is wrong with an answer, one sentence each.
    pub(crate) fn mistakes_in(&self, answer: &Answer) -> Vec<String> {
        let mut mistakes = Vec::new();
        if answer.status != self.status {
            mistakes.push(format!("status {} in place of {}", answer.status, self.status));
        }
        let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        for (pointer, expected) in &self.expected {
            let found = body.pointer(pointer).unwrap_or(&Value::Null);
            if found != expected {
                mistakes.push(format!("{found} at {pointer} in place of {expected}"));
            }
        }
        if let Some(text) = self.expected_text.filter(|text| !answer.body.contains(text)) {
            mistakes.push(format!("`{text}` is not in the answer"));
        }
        mistakes
    }
}
