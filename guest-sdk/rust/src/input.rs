//! What a flow was started with.

use std::collections::BTreeMap;
use std::ops::Deref;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::FlowError;
use crate::json;

/// What a flow was started with: a webhook call, or a payload alone.
///
/// A webhook call gives an object with the five members `headers`, `method`, `path`, `query` and `json`. Anything else, for
/// example what another flow started this one with, is the payload itself; the other fields are then empty. The payload is
/// read as `T`, and its fields can be reached through the input: `input.email` is `input.json.email`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Input<T> {
    /// The request's headers, names in lower case, repeated ones joined.
    pub headers: BTreeMap<String, String>,
    /// The request's method; empty where no webhook started the execution.
    pub method: String,
    /// What followed the webhook's address, with its leading slash; empty where nothing did.
    pub path: String,
    /// The decoded query, every name with its values in order.
    pub query: BTreeMap<String, Vec<String>>,
    /// The payload; null where the request had none that the host could read.
    pub json: T,
}

impl<T> Input<T> {
    /// A payload without a webhook call around it, for tests.
    pub fn new(json: T) -> Self {
        Self { headers: BTreeMap::new(), method: String::new(), path: String::new(), query: BTreeMap::new(), json }
    }

    /// The same input with a header.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.insert(name.to_ascii_lowercase(), value.into());
        self
    }

    /// The same input with one more value in its query.
    #[must_use]
    pub fn with_query(mut self, name: &str, value: impl Into<String>) -> Self {
        self.query.entry(name.into()).or_default().push(value.into());
        self
    }

    /// One header, if it was sent. The name's case does not matter.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(&name.to_ascii_lowercase()).map(String::as_str)
    }

    /// The first value of a name in the query, if it is there.
    pub fn query_value(&self, name: &str) -> Option<&str> {
        self.query.get(name)?.first().map(String::as_str)
    }
}

impl<T: DeserializeOwned> Input<T> {
    /// Reads what the host hands to a flow.
    ///
    /// What does not fit `T` returns an error with the code [`FlowError::INVALID_INPUT`], a message that names the field, and
    /// the field's path once more in the details.
    ///
    /// Half of a surrogate pair in a text, which JSON allows and Rust does not, counts as U+FFFD. A number that does not fit into
    /// 64 bits, such as `1e400`, counts as a text of its digits. Read the payload as a `Box<RawValue>` to have it to the byte.
    pub fn from_json(json: &str) -> Result<Self, FlowError> {
        let Ok(call) = serde_json::from_str::<WebhookCall<'_>>(json) else {
            return read(json, "").map(Self::new);
        };
        let query = call.query.into_iter().map(|(name, values)| (name, values.into())).collect();
        Ok(Self {
            headers: call.headers,
            method: call.method,
            path: call.path,
            query,
            json: read(call.json.get(), "json")?,
        })
    }
}

impl Input<Value> {
    /// Reads the payload as a type that is known only now, for example from a header that names an event.
    ///
    /// What does not fit gives the same error as [`from_json`](Input::from_json).
    pub fn payload<T: DeserializeOwned>(&self) -> Result<T, FlowError> {
        let place = if self.method.is_empty() { "" } else { "json" };
        read_tracked(&self.json, place)
    }
}

impl<T> Deref for Input<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.json
    }
}

/// What a flow's function can take as its input: an [`Input`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the input of a flow",
    label = "expected `Input<T>`, where `T` can be deserialised",
    note = "`Input<serde_json::Value>` takes any JSON; other types implement `serde::Deserialize`"
)]
pub trait FromInput: Sized {
    /// Reads what the host hands to a flow.
    fn from_input(json: &str) -> Result<Self, FlowError>;
}

impl<T: DeserializeOwned> FromInput for Input<T> {
    fn from_input(json: &str) -> Result<Self, FlowError> {
        Self::from_json(json)
    }
}

/// A webhook call as the host writes it down. The payload stays text until its type is known, so that no digit is lost.
#[derive(Deserialize)]
struct WebhookCall<'a> {
    headers: BTreeMap<String, String>,
    method: String,
    path: String,
    query: BTreeMap<String, QueryValues>,
    #[serde(borrow)]
    json: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum QueryValues {
    One(String),
    Many(Vec<String>),
}

impl From<QueryValues> for Vec<String> {
    fn from(values: QueryValues) -> Self {
        match values {
            QueryValues::One(value) => vec![value],
            QueryValues::Many(values) => values,
        }
    }
}

/// Reads the payload; `place` is where it stands in the input.
fn read<T: DeserializeOwned>(json: &str, place: &str) -> Result<T, FlowError> {
    json::read(json, |json| {
        let mut reader = serde_json::Deserializer::from_str(json);
        let value = read_tracked(&mut reader, place)?;
        reader.end().map_err(|error| does_not_fit(place, ".", &error))?;
        Ok(value)
    })
}

/// Reads a value and names the place of what does not fit.
fn read_tracked<'de, T, D>(reader: D, place: &str) -> Result<T, FlowError>
where
    T: DeserializeOwned,
    D: Deserializer<'de, Error = serde_json::Error>,
{
    serde_path_to_error::deserialize(reader)
        .map_err(|error| does_not_fit(place, &error.path().to_string(), error.inner()))
}

fn does_not_fit(place: &str, within: &str, error: &serde_json::Error) -> FlowError {
    let mut problem = error.to_string();
    // The position counts from the start of the payload, which the caller may have sent in another form.
    if let Some(end) = problem.rfind(" at line ") {
        problem.truncate(end);
    }
    let mut field = match (place, within) {
        ("", within) => within.to_owned(),
        (place, ".") => place.to_owned(),
        (place, within) if within.starts_with('[') => format!("{place}{within}"),
        (place, within) => format!("{place}.{within}"),
    };
    // Serde says of a missing field only which object lacks it.
    let missing = problem.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`'));
    if let Some(name) = missing {
        field = if field == "." { name.to_owned() } else { format!("{field}.{name}") };
        problem = "missing".into();
    }
    FlowError::invalid_input(format_args!("the input does not fit: `{field}`: {problem}"))
        .with_details(serde_json::json!({ "field": field, "problem": problem }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "read only to see that it can be")]
    struct Signup {
        email: String,
        address: Option<Address>,
    }

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "read only to see that it can be")]
    struct Address {
        lines: Vec<String>,
    }

    fn call(payload: &Value) -> String {
        json!({
            "headers": {"content-type": "application/json"},
            "method": "POST",
            "path": "/new",
            "query": {"page": "2", "tag": ["a", "b"]},
            "json": payload,
        })
        .to_string()
    }

    fn refused(input: &str) -> FlowError {
        Input::<Signup>::from_json(input).unwrap_err()
    }

    #[test]
    fn a_webhook_call_is_taken_apart() {
        let input = Input::<Signup>::from_json(&call(&json!({"email": "a@b"}))).unwrap();
        assert_eq!(input.email, "a@b");
        assert_eq!((input.method.as_str(), input.path.as_str()), ("POST", "/new"));
        assert_eq!(input.header("Content-Type"), Some("application/json"));
        assert_eq!((input.query_value("page"), input.query["tag"].len()), (Some("2"), 2));
    }

    #[test]
    fn anything_else_is_the_payload() {
        let input = Input::<Signup>::from_json(r#"{"email": "a@b"}"#).unwrap();
        assert_eq!((input.email.as_str(), input.method.as_str()), ("a@b", ""));
        assert_eq!(Input::<Value>::from_json(r#"{"method": "POST", "json": 1}"#).unwrap().json["json"], 1);
        assert_eq!(Input::<Value>::from_json("null").unwrap().json, Value::Null);
    }

    #[test]
    fn a_payload_can_be_read_later() {
        let input = Input::<Value>::from_json(&call(&json!({"email": "a@b"}))).unwrap();
        assert_eq!(input.payload::<Signup>().unwrap().email, "a@b");
        let error = Input::<Value>::from_json(&call(&json!({}))).unwrap().payload::<Signup>().unwrap_err();
        assert_eq!(error.message(), "the input does not fit: `json.email`: missing");
    }

    #[test]
    fn a_missing_field_is_named() {
        let error = refused(&call(&json!({})));
        assert_eq!(error.message(), "the input does not fit: `json.email`: missing");
        assert_eq!(error.code(), Some("flow.invalid-input"));
        assert_eq!(error.details(), Some(&json!({"field": "json.email", "problem": "missing"})));
        assert_eq!(refused("{}").message(), "the input does not fit: `email`: missing");
    }

    #[test]
    fn a_field_of_another_type_is_named_by_its_path() {
        let error = refused(&call(&json!({"email": "a@b", "address": {"lines": ["x", 2]}})));
        assert_eq!(
            error.message(),
            "the input does not fit: `json.address.lines[1]`: invalid type: integer `2`, expected a string"
        );
    }

    #[test]
    fn an_element_of_a_list_is_named_by_its_place() {
        let error = Input::<Vec<u8>>::from_json(&call(&json!([1, "two"]))).unwrap_err();
        assert_eq!(error.details().unwrap()["field"], "json[1]");
    }

    #[test]
    fn an_empty_request_says_what_was_expected() {
        let error = refused(&call(&Value::Null));
        assert_eq!(error.message(), "the input does not fit: `json`: invalid type: null, expected struct Signup");
    }

    #[test]
    fn what_no_flow_reads_fails_no_call() {
        let payload = r#"{"email":"a@b","text":"cut \ud83d","count":1e400}"#;
        let sent = call(&json!(0)).replace("\"json\":0", &format!("\"json\":{payload}"));
        assert_eq!(Input::<Signup>::from_json(&sent).unwrap().email, "a@b");
        let input = Input::<Value>::from_json(&sent).unwrap();
        assert_eq!(*input, json!({ "email": "a@b", "text": "cut \u{fffd}", "count": "1e400" }));
        assert_eq!(Input::<Value>::from_json(payload).unwrap()["email"], "a@b");
    }

    #[test]
    fn digits_are_not_lost() {
        let input = Input::<Box<RawValue>>::from_json(
            &call(&json!(0)).replace("\"json\":0", "\"json\":1.000000000000000000001"),
        );
        assert_eq!(input.unwrap().json.get(), "1.000000000000000000001");
    }
}
