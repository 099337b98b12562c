//! Ids as people give them: whole, their beginning, or `latest`.

use flowhost_model::RecordId;
use serde::Deserialize;
use serde_json::json;

use crate::client::Client;
use crate::failure::{Exit, Failure};

/// Stands for the newest execution.
const LATEST: &str = "latest";

/// Hexadecimal digits of a whole id.
const DIGITS: usize = 32;

/// What a type of record is called in an address, and by people.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Execution,
    Message,
}

#[derive(Deserialize)]
struct Found {
    id: RecordId,
}

/// Returns the id of the execution that is to be read: by its id, the beginning of one, or `latest`.
pub(crate) fn execution_to_read(client: &Client, text: &str) -> Result<String, Failure> {
    if text != LATEST {
        return whole(client, Kind::Execution, text);
    }
    // The list begins with the newest.
    let found: Vec<Found> = client.pages(&["execution"], &[("fields", "id")], 1)?.read()?;
    let none = || Failure::new(Exit::NotFound, "there is no execution that this token may read");
    found.first().map(|found| found.id.to_string()).ok_or_else(none)
}

/// Returns the id that this is, or that alone begins with it.
pub(crate) fn whole(client: &Client, kind: Kind, text: &str) -> Result<String, Failure> {
    if let Ok(id) = text.parse::<RecordId>() {
        return Ok(id.to_string());
    }
    let (path, name) = match kind {
        Kind::Execution => ("execution", "an execution"),
        Kind::Message => ("message", "a message"),
    };
    let Some((first, last)) = range(text) else {
        let what = format!("`{text}` is neither the id of {name} nor the beginning of one");
        let next = match kind {
            // A newer one may have come since the person looked.
            Kind::Execution if text == LATEST => "`latest` is for `executions show` and `logs`; give an id",
            Kind::Execution => {
                "`flowhost executions list` shows the ids; `executions show` and `logs` also take `latest`"
            }
            Kind::Message => "`flowhost messages list` shows the ids",
        };
        return Err(Failure::new(Exit::NotFound, what).next(next));
    };
    let bound = |op: &str, id: RecordId| json!({ "field": "id", "op": op, "value": id.to_string() });
    let filter = json!({ "and": [bound("ge", first), bound("le", last)] }).to_string();
    let found: Vec<Found> = client.pages(&[path], &[("fields", "id"), ("filter", &filter)], 2)?.read()?;
    match found.as_slice() {
        [one] => Ok(one.id.to_string()),
        [] => {
            let what = format!("there is no {path} whose id begins with `{text}`");
            Err(Failure::new(Exit::NotFound, what).next(format!("`flowhost {path}s list` shows the ids")))
        }
        [one, other, ..] => {
            let what = format!("several {path}s have ids that begin with `{text}`; give more of it");
            Err(Failure::new(Exit::Usage, what).next(format!("two of them are {} and {}", one.id, other.id)))
        }
    }
}

/// Returns the first and the last id that begin with these digits; `None` if they begin none.
fn range(text: &str) -> Option<(RecordId, RecordId)> {
    let digits: String = text.chars().filter(|c| *c != '-').collect();
    if digits.is_empty() || digits.len() > DIGITS || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let filled = |fill: &str| format!("{digits}{}", fill.repeat(DIGITS - digits.len())).parse().ok();
    Some((filled("0")?, filled("f")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beginning_of_an_id_is_a_range_of_ids() {
        let (first, last) = range("01a202e4-F4").unwrap();
        assert_eq!(first.to_string(), "01a202e4-f400-0000-0000-000000000000");
        assert_eq!(last.to_string(), "01a202e4-f4ff-ffff-ffff-ffffffffffff");
        for none in ["", "-", "latest", "xyz", &"0".repeat(33)] {
            assert!(range(none).is_none(), "{none}");
        }
    }
}
