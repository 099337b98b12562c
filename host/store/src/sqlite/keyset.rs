//! The order of a list, and cursors: where a page ends and the next begins.
//!
//! A cursor holds the values by which the last item of a page was ordered, so that the next page is found by them and not
//! by counting: what is added or removed meanwhile neither shifts a page nor repeats an item. Callers get it as an opaque
//! text; it says of which type and order it is, and is refused elsewhere.

use data_encoding::BASE64URL_NOPAD;
use flowhost_model::{Order, RecordId, RecordType};
use rusqlite::Row;
use rusqlite::types::Value as SqlValue;
use serde_json::Value;

use super::column::{Column, Form, id_value};
use super::condition::Parameters;
use crate::{Error, Result};

/// The columns that a list is ordered by. The last is the id, so no two items are equal.
pub(super) struct Keys {
    record_type: RecordType,
    keys: Vec<Key>,
}

struct Key {
    column: Column,
    is_descending: bool,
}

/// The values of the keys of one item.
pub(super) type KeyValues = Vec<SqlValue>;

impl Keys {
    /// The keys of an order that is not empty. Parts behind the id, and a property's second mention, order nothing.
    pub(super) fn new(
        record_type: RecordType,
        order: &[Order],
        column: &dyn Fn(&'static str) -> Result<Column>,
    ) -> Result<Self> {
        let mut keys: Vec<Key> = Vec::with_capacity(order.len() + 1);
        let mut is_descending = false;
        for part in order {
            is_descending = part.is_descending;
            if part.field == "id" {
                break;
            }
            if keys.iter().all(|key| key.column.field != part.field) {
                keys.push(Key { column: column(part.field)?.ordered(), is_descending });
            }
        }
        keys.push(Key { column: Column::id(), is_descending });
        Ok(Self { record_type, keys })
    }

    /// Whether nothing but the id counts, and then whether the greatest comes first.
    pub(super) fn by_id_alone(&self) -> Option<bool> {
        match &self.keys[..] {
            [id] => Some(id.is_descending),
            _ => None,
        }
    }

    /// The keys as result columns `key_0` and on.
    pub(super) fn select(&self) -> String {
        let parts = self.keys.iter().enumerate().map(|(index, key)| format!("{} AS key_{index}", key.column.sql));
        parts.collect::<Vec<_>>().join(", ")
    }

    /// The names of those result columns.
    pub(super) fn names(&self) -> String {
        (0..self.keys.len()).map(|index| format!("key_{index}")).collect::<Vec<_>>().join(", ")
    }

    /// The terms of `ORDER BY` over those result columns. SQLite takes null for the smallest of all values.
    pub(super) fn order_by(&self) -> String {
        let parts = self.keys.iter().enumerate().map(|(index, key)| {
            let direction = if key.is_descending { "DESC" } else { "ASC" };
            format!("key_{index} {direction}")
        });
        parts.collect::<Vec<_>>().join(", ")
    }

    /// That an item comes after the one with these values.
    pub(super) fn after(&self, values: KeyValues, parameters: &mut Parameters) -> String {
        let mut is_after = String::new();
        let mut bound = String::new();
        for (index, (key, value)) in self.keys.iter().zip(values).enumerate().rev() {
            let sql = &key.column.sql;
            let is_null = value == SqlValue::Null;
            let value = parameters.bind(value);
            let is_beyond = match (key.is_descending, is_null) {
                (false, true) => format!("{sql} IS NOT NULL"),
                (true, true) => "FALSE".to_owned(),
                (false, false) => format!("{sql} > {value}"),
                (true, false) if key.column.is_nullable => format!("({sql} < {value} OR {sql} IS NULL)"),
                (true, false) => format!("{sql} < {value}"),
            };
            is_after = match is_after.as_str() {
                "" => is_beyond,
                rest => format!("({is_beyond} OR ({sql} IS {value} AND {rest}))"),
            };
            // Follows from the rest; said once more, so that an index is entered at the right place.
            if index == 0 && !is_null && !key.column.is_nullable {
                bound = format!("{sql} {} {value} AND ", if key.is_descending { "<=" } else { ">=" });
            }
        }
        format!("({bound}{is_after})")
    }

    /// The values of the keys in a row, from column `first` on.
    pub(super) fn values(&self, row: &Row<'_>, first: usize) -> Result<KeyValues> {
        (first..first + self.keys.len()).map(|index| Ok(row.get(index)?)).collect()
    }

    /// The cursor behind the item with these values.
    pub(super) fn cursor(&self, values: &[SqlValue]) -> Result<String> {
        let mut json = vec![Value::String(self.signature())];
        for (key, value) in self.keys.iter().zip(values) {
            json.push(match value {
                SqlValue::Null => Value::Null,
                SqlValue::Integer(number) => Value::from(*number),
                SqlValue::Real(number) => Value::from(*number),
                SqlValue::Text(text) => Value::from(text.as_str()),
                SqlValue::Blob(bytes) => {
                    let bytes = bytes.as_slice().try_into();
                    let bytes = bytes.map_err(|_| Error::Damaged(format!("`{}` is not an id", key.column.field)))?;
                    Value::from(RecordId::from_bytes(bytes).to_string())
                }
            });
        }
        Ok(BASE64URL_NOPAD.encode(Value::Array(json).to_string().as_bytes()))
    }

    /// The values that a cursor holds.
    pub(super) fn read_cursor(&self, cursor: &str) -> Result<KeyValues> {
        self.try_read_cursor(cursor).ok_or(Error::InvalidCursor)
    }

    fn try_read_cursor(&self, cursor: &str) -> Option<KeyValues> {
        let json = BASE64URL_NOPAD.decode(cursor.as_bytes()).ok()?;
        let parts: Vec<Value> = serde_json::from_slice(&json).ok()?;
        let (signature, values) = parts.split_first()?;
        if signature.as_str() != Some(&self.signature()) || values.len() != self.keys.len() {
            return None;
        }
        self.keys.iter().zip(values).map(|(key, value)| key.read(value)).collect()
    }

    /// The type and the order, by which a foreign cursor is known.
    fn signature(&self) -> String {
        let parts = self.keys.iter().map(|key| {
            let direction = if key.is_descending { "-" } else { "" };
            format!("{direction}{}", key.column.field)
        });
        format!("{}:{}", self.record_type, parts.collect::<Vec<_>>().join(","))
    }
}

impl Key {
    /// A value from a cursor: of the form that the column has.
    fn read(&self, value: &Value) -> Option<SqlValue> {
        match (self.column.form, value) {
            (_, Value::Null) => self.column.is_nullable.then_some(SqlValue::Null),
            (Form::Text | Form::TimeText | Form::IdText, Value::String(text)) => Some(SqlValue::Text(text.clone())),
            (Form::Integer | Form::Micros | Form::Name(_), Value::Number(number)) => {
                number.as_i64().map(SqlValue::Integer).or_else(|| number.as_f64().map(SqlValue::Real))
            }
            (Form::IdBytes, Value::String(text)) => text.parse().ok().as_ref().map(id_value),
            _ => None,
        }
    }
}
