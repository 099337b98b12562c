//! Fields that HTML forms send as text.
//!
//! A form knows neither numbers nor lists: every value arrives as a string, and a field that was sent once looks like no
//! list. These functions read such fields into the types that a flow wants, and take the same fields from JSON as well:
//!
//! ```
//! use flowhost_guest::{Input, form};
//! use serde::Deserialize;
//!
//! #[derive(Deserialize)]
//! struct Order {
//!     #[serde(deserialize_with = "form::parsed")]
//!     quantity: u32,
//!     #[serde(default, deserialize_with = "form::many")]
//!     extras: Vec<String>,
//!     #[serde(default, deserialize_with = "form::optional")]
//!     voucher: Option<String>,
//! }
//!
//! let order = Input::<Order>::from_json(r#"{ "quantity": "3", "extras": "ribbon", "voucher": "" }"#).unwrap();
//! assert_eq!((order.quantity, order.extras.len(), order.voucher.is_none()), (3, 1, true));
//! ```

use std::fmt::Display;
use std::str::FromStr;

use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Reads a field from its text, without the spaces around it.
pub fn parsed<'de, D, T>(field: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned + FromStr<Err: Display>,
{
    from_value(Value::deserialize(field)?)
}

/// Reads a field that may be left empty; with `#[serde(default)]` it may be missing too.
pub fn optional<'de, D, T>(field: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned + FromStr<Err: Display>,
{
    match Value::deserialize(field)? {
        Value::Null => Ok(None),
        Value::String(text) if text.trim().is_empty() => Ok(None),
        value => from_value(value).map(Some),
    }
}

/// Reads a field that may be sent once or several times; with `#[serde(default)]` it may be missing too.
pub fn many<'de, D, T>(field: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned + FromStr<Err: Display>,
{
    match Value::deserialize(field)? {
        Value::Null => Ok(Vec::new()),
        Value::Array(values) => values.into_iter().map(from_value).collect(),
        value => Ok(vec![from_value(value)?]),
    }
}

fn from_value<T, E>(value: Value) -> Result<T, E>
where
    T: DeserializeOwned + FromStr<Err: Display>,
    E: Error,
{
    match value {
        Value::String(text) => {
            text.trim().parse().map_err(|error| E::custom(format_args!("cannot read `{text}`: {error}")))
        }
        value => serde_json::from_value(value).map_err(E::custom),
    }
}

#[cfg(test)]
mod tests {
    use crate::Input;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct Fields {
        #[serde(deserialize_with = "parsed")]
        count: u8,
        #[serde(default, deserialize_with = "many")]
        sizes: Vec<u32>,
        #[serde(default, deserialize_with = "optional")]
        note: Option<String>,
    }

    fn read(json: &str) -> Result<Fields, String> {
        Input::<Fields>::from_json(json).map(|input| input.json).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn text_and_json_give_the_same() {
        let form = read(r#"{"count": " 7 ", "sizes": ["1", "2"], "note": " "}"#).unwrap();
        let json = read(r#"{"count": 7, "sizes": [1, 2], "note": null}"#).unwrap();
        assert_eq!((form.count, &form.sizes, &form.note), (json.count, &json.sizes, &json.note));
    }

    #[test]
    fn a_field_sent_once_is_a_list_of_one() {
        assert_eq!(read(r#"{"count": "1", "sizes": "4"}"#).unwrap().sizes, [4]);
    }

    #[test]
    fn what_cannot_be_read_is_quoted() {
        let error = read(r#"{"count": "seven"}"#).unwrap_err();
        assert_eq!(error, "the input does not fit: `count`: cannot read `seven`: invalid digit found in string");
    }
}
