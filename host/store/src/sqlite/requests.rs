//! Requests kept with executions, which may run again, also after their end.

use std::borrow::Cow;

use flowhost_model::RequestRecord;
use rusqlite::Row;
use serde::{Deserialize, Serializer};
use serde_json::value::RawValue;

use crate::{Error, Result};

/// The headers as JSON. A header's bytes are written as the characters of the same numbers, as HTTP itself did once: any
/// bytes survive, and what is text stays readable.
pub(super) fn headers_to_json(headers: &[(String, Vec<u8>)]) -> Result<String> {
    let size: usize = headers.iter().map(|(name, value)| name.len() + value.len() + 7).sum();
    let mut json = Vec::with_capacity(size + 2);
    let readable = headers.iter().map(|(name, value)| (name.as_str(), characters(value)));
    let written = serde_json::Serializer::new(&mut json).collect_seq(readable);
    written.map_err(|error| Error::Damaged(error.to_string()))?;
    String::from_utf8(json).map_err(|error| Error::Damaged(error.to_string()))
}

/// The characters whose numbers are these bytes.
fn characters(bytes: &[u8]) -> Cow<'_, str> {
    match str::from_utf8(bytes) {
        Ok(text) if text.is_ascii() => Cow::Borrowed(text),
        _ => bytes.iter().map(|byte| char::from(*byte)).collect(),
    }
}

fn headers_from_json(json: &str) -> Result<Vec<(String, Vec<u8>)>> {
    let damaged = || Error::Damaged("headers of a request".to_owned());
    let readable: Vec<(String, String)> = serde_json::from_str(json).map_err(|_| damaged())?;
    readable
        .into_iter()
        .map(|(name, value)| {
            let bytes: std::result::Result<_, _> = value.chars().map(u8::try_from).collect();
            Ok((name, bytes.map_err(|_| damaged())?))
        })
        .collect()
}

/// Whether the body is the input's last member `json`, to the byte: it is not kept a second time then.
pub(super) fn is_in_input(body: &[u8], input: &str) -> bool {
    let before = input.as_bytes().strip_suffix(b"}").and_then(|members| members.strip_suffix(body));
    !body.is_empty() && before.is_some_and(|before| before.ends_with(b",\"json\":"))
}

/// The body that [`is_in_input`] found.
fn body_in_input(input: &str) -> Result<Vec<u8>> {
    #[derive(Deserialize)]
    struct Input<'a> {
        #[serde(borrow)]
        json: &'a RawValue,
    }
    let input: Input<'_> = serde_json::from_str(input).map_err(|_| Error::Damaged("body of a request".to_owned()))?;
    Ok(input.json.get().as_bytes().to_vec())
}

/// The request in the six columns from `first` on, if there is one. `input` is that of its execution.
pub(super) fn from_row(row: &Row<'_>, first: usize, input: &str) -> Result<Option<RequestRecord>> {
    let Some(method) = row.get(first)? else { return Ok(None) };
    let body: Option<Vec<u8>> = row.get(first + 4)?;
    Ok(Some(RequestRecord {
        method,
        path: row.get(first + 1)?,
        query: row.get(first + 2)?,
        headers: headers_from_json(&row.get::<_, String>(first + 3)?)?,
        body: body.map_or_else(|| body_in_input(input), Ok)?.into(),
        body_is_exact: row.get(first + 5)?,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_bytes_survive() {
        let headers = vec![("x-any".to_owned(), (0..=255).collect()), ("x-any".to_owned(), b"plain \"text\"".to_vec())];
        assert_eq!(headers_from_json(&headers_to_json(&headers).unwrap()).unwrap(), headers);
        assert!(headers_from_json("[[\"x\",\"\u{100}\"]]").is_err());
    }

    #[test]
    fn json_body_is_found_in_its_input_to_the_byte() {
        for body in [r#"{ "a": 1.10 }"#, "[1]", "null", r#"{"json":{"json":1}}"#] {
            let input = format!(r#"{{"headers":{{"x":"y"}},"method":"POST","path":"","query":{{}},"json":{body}}}"#);
            assert!(is_in_input(body.as_bytes(), &input), "{body}");
            assert_eq!(body_in_input(&input).unwrap(), body.as_bytes());
            for other in [format!(" {body}"), format!("{body}\n"), String::new(), "a=1".to_owned()] {
                assert!(!is_in_input(other.as_bytes(), &input), "{other:?}");
            }
        }
        assert!(!is_in_input(b"1", r#"{"json":1}"#) && !is_in_input(b"1", "1"));
    }
}
