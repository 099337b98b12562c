//! The JSON that a flow is given for a webhook call.

use flowhost_model::RawValue;
use http::{HeaderMap, Method};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::webhook::query_fields;

/// One JSON object: `headers`, `method`, `path`, `query`, `json`.
#[derive(Serialize)]
pub(crate) struct WebhookInput<'a> {
    #[serde(serialize_with = "headers")]
    pub(crate) headers: &'a HeaderMap,
    #[serde(serialize_with = "method")]
    pub(crate) method: &'a Method,
    pub(crate) path: &'a str,
    #[serde(serialize_with = "query")]
    pub(crate) query: Option<&'a str>,
    pub(crate) json: &'a RawValue,
}

impl WebhookInput<'_> {
    pub(crate) fn to_json(&self) -> Result<Box<RawValue>, serde_json::Error> {
        serde_json::value::to_raw_value(self)
    }
}

/// Names are in lower case; a repeated one is joined as HTTP allows: by commas, cookies by semicolons.
fn headers<S: Serializer>(headers: &HeaderMap, serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(headers.keys_len()))?;
    for name in headers.keys() {
        let mut values = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
        let first = values.next().unwrap_or_default();
        match values.next() {
            None => map.serialize_entry(name.as_str(), &first)?,
            Some(second) => {
                let separator = if name == http::header::COOKIE { "; " } else { ", " };
                let all: Vec<_> = [first, second].into_iter().chain(values).collect();
                map.serialize_entry(name.as_str(), &all.join(separator))?;
            }
        }
    }
    map.end()
}

fn method<S: Serializer>(method: &Method, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(method.as_str())
}

fn query<S: Serializer>(query: &Option<&str>, serializer: S) -> Result<S::Ok, S::Error> {
    query_fields(query.unwrap_or_default()).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_input_of_a_webhook_call() {
        let mut headers = HeaderMap::new();
        headers.append("X-Tag", "a".parse().unwrap());
        headers.append("Content-Type", "text/plain".parse().unwrap());
        headers.append("x-tag", "b".parse().unwrap());
        let json = RawValue::from_string(r#"{"n": 1.0}"#.into()).unwrap();
        let input = WebhookInput {
            headers: &headers,
            method: &Method::POST,
            path: "/sub",
            query: Some("q=1&q=2"),
            json: &json,
        };
        assert_eq!(
            input.to_json().unwrap().get(),
            r#"{"headers":{"x-tag":"a, b","content-type":"text/plain"},"method":"POST","path":"/sub","query":{"q":["1","2"]},"json":{"n": 1.0}}"#
        );
    }
}
