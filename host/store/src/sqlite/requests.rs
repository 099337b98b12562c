//! Requests kept with executions that may run again.

use flowhost_model::RequestRecord;
use rusqlite::Row;

use crate::{Error, Result};

/// The headers as JSON. A header's bytes are written as the characters of the same numbers, as HTTP itself did once: any
/// bytes survive, and what is text stays readable.
pub(super) fn headers_to_json(headers: &[(String, Vec<u8>)]) -> Result<String> {
    let readable: Vec<(&str, String)> = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.iter().map(|byte| char::from(*byte)).collect()))
        .collect();
    serde_json::to_string(&readable).map_err(|error| Error::Damaged(error.to_string()))
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

/// The request in the six columns from `first` on, if there is one.
pub(super) fn from_row(row: &Row<'_>, first: usize) -> Result<Option<RequestRecord>> {
    let Some(method) = row.get(first)? else { return Ok(None) };
    Ok(Some(RequestRecord {
        method,
        path: row.get(first + 1)?,
        query: row.get(first + 2)?,
        headers: headers_from_json(&row.get::<_, String>(first + 3)?)?,
        body: row.get(first + 4)?,
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
}
