//! Properties as the tables keep them, and the values that they are compared with.

use flowhost_model::{
    Kind, ORDERED_CHARACTERS, Priority, RecordId, RecordType, Status, Timestamp, TypeDefinition, definition,
};
use rusqlite::types::Value as SqlValue;
use serde_json::Value;

use super::names;
use crate::{Error, Result};

/// A property in SQL.
#[derive(Clone, Debug)]
pub(super) struct Column {
    /// The name of the property.
    pub(super) field: &'static str,
    /// What reads it. Made of names in this program, never of what a caller sent.
    pub(super) sql: String,
    pub(super) form: Form,
    pub(super) is_nullable: bool,
    /// A text that may be as long as callers write.
    pub(super) is_long: bool,
}

/// How a property's values are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Text,
    /// Whole numbers; 0 and 1 for false and true.
    Integer,
    /// Microseconds since 1970.
    Micros,
    /// The text of a [`Timestamp`]: of one length and one offset, so that the texts' order is the instants'.
    TimeText,
    /// The bytes of an id.
    IdBytes,
    /// The text of an id.
    IdText,
    /// The number of one of these names, which is also their order.
    Name(&'static [&'static str]),
}

impl Column {
    fn kept(field: &'static str, sql: &str, form: Form) -> Self {
        Self { field, sql: sql.to_owned(), form, is_nullable: false, is_long: false }
    }

    fn nullable(field: &'static str, sql: &str, form: Form) -> Self {
        Self { is_nullable: true, ..Self::kept(field, sql, form) }
    }

    fn long(field: &'static str, sql: &str) -> Self {
        Self { is_long: true, ..Self::nullable(field, sql, Form::Text) }
    }

    /// The column as lists are ordered by it: of a long text its first characters, since cursors hold them.
    pub(super) fn ordered(self) -> Self {
        if !self.is_long {
            return self;
        }
        let sql = format!("substr({}, 1, {ORDERED_CHARACTERS})", self.sql);
        Self { sql, is_long: false, ..self }
    }

    /// What every list's order ends with.
    pub(super) fn id() -> Self {
        Self::kept("id", "id", Form::IdBytes)
    }

    /// A property of records of a type.
    pub(super) fn of_record(definition: &TypeDefinition, field: &'static str) -> Result<Self> {
        let property = definition.property(field).filter(|property| !property.is_derived);
        let property = property.ok_or(Error::UnknownField(field))?;
        Ok(match property.name {
            "id" => Self::id(),
            "name" => Self::kept(field, "name", Form::Text),
            "description" => Self::long(field, "description"),
            "project_id" => Self::nullable(field, "project_id", Form::IdBytes),
            "bundle_id" => Self::nullable(field, "bundle_id", Form::IdBytes),
            "is_readonly" => Self::kept(field, "is_readonly", Form::Integer),
            "created_at" => Self::kept(field, "created_at", Form::Micros),
            "created_by" => Self::nullable(field, "created_by", Form::IdBytes),
            "modified_at" => Self::kept(field, "modified_at", Form::Micros),
            "modified_by" => Self::nullable(field, "modified_by", Form::IdBytes),
            "is_deleted" => Self::kept(field, "(deleted_at IS NOT NULL)", Form::Integer),
            "deleted_at" => Self::nullable(field, "deleted_at", Form::Micros),
            "deleted_by" => Self::nullable(field, "deleted_by", Form::IdBytes),
            own => {
                let form = form_in_json(property.kind).ok_or(Error::UnknownField(field))?;
                let is_long = property.kind == Kind::LongText;
                Self { is_long, ..Self::nullable(field, &format!("json_extract(body, '$.{own}')"), form) }
            }
        })
    }

    /// A property of executions.
    pub(super) fn of_execution(field: &'static str) -> Result<Self> {
        Ok(match field {
            "id" => Self::id(),
            "name" => Self::kept(field, "flow_name", Form::Text),
            "status" => Self::kept(field, "status", Form::Name(Status::NAMES)),
            "priority" => Self::kept(field, "priority", Form::Name(Priority::NAMES)),
            "flow_id" => Self::kept(field, "flow_id", Form::IdBytes),
            "webhook_id" | "user_id" | "parent_id" | "project_id" | "bundle_id" | "created_by" => {
                Self::nullable(field, field, Form::IdBytes)
            }
            "status_message" => Self::long(field, "status_message"),
            "is_productive" | "is_durable" | "attempt" | "queue_wait_us" | "run_time_us" => {
                Self::kept(field, field, Form::Integer)
            }
            "created_at" => Self::kept(field, "created_at", Form::Micros),
            "started_at" | "ended_at" | "wake_at" => Self::nullable(field, field, Form::Micros),
            // Executions are never in the trash; an expression, since a number would be the number of a column.
            "is_deleted" => Self::kept(field, "(0 <> 0)", Form::Integer),
            // What other records have and executions do not.
            _ => {
                let property = definition(RecordType::Execution).property(field);
                let form = property.filter(|property| !property.is_derived).and_then(|it| form_in_json(it.kind));
                Self::nullable(field, "NULL", form.ok_or(Error::UnknownField(field))?)
            }
        })
    }

    /// A value that the property is compared with, as it is kept.
    pub(super) fn value(&self, value: &Value) -> Result<SqlValue> {
        let converted = match (self.form, value) {
            (_, Value::Null) => Some(SqlValue::Null),
            (Form::Text, Value::String(text)) => Some(SqlValue::Text(text.clone())),
            (Form::Integer, Value::Bool(flag)) => Some(SqlValue::Integer(i64::from(*flag))),
            (Form::Integer, Value::Number(number)) => match number.as_i64() {
                Some(number) => Some(SqlValue::Integer(number)),
                // Greater than every number of a column; SQLite compares both kinds exactly.
                None => number.as_f64().map(SqlValue::Real),
            },
            (Form::Micros, Value::String(text)) => text.parse().ok().map(|at: Timestamp| SqlValue::Integer(at.0)),
            (Form::TimeText, Value::String(text)) => {
                text.parse().ok().map(|at: Timestamp| SqlValue::Text(at.to_string()))
            }
            (Form::IdBytes, Value::String(text)) => text.parse().ok().as_ref().map(id_value),
            (Form::IdText, Value::String(text)) => text.parse().ok().map(|id: RecordId| SqlValue::Text(id.to_string())),
            (Form::Name(names), name) => names::number(names, name).map(SqlValue::Integer),
            _ => None,
        };
        // Filters are checked where they are read.
        converted.ok_or_else(|| Error::Storage(format!("a value does not fit `{}`", self.field)))
    }
}

/// An id as a column of bytes keeps it.
pub(super) fn id_value(id: &RecordId) -> SqlValue {
    SqlValue::Blob(id.as_bytes().to_vec())
}

/// How values of a kind are kept in a record's body; none where they cannot be compared.
fn form_in_json(kind: Kind) -> Option<Form> {
    match kind {
        Kind::Text(_) | Kind::LongText | Kind::Enum(_) => Some(Form::Text),
        Kind::Bool | Kind::Count => Some(Form::Integer),
        Kind::Timestamp => Some(Form::TimeText),
        Kind::Id(_) => Some(Form::IdText),
        Kind::Content | Kind::NameOf(_) | Kind::Json | Kind::Object | Kind::Array => None,
    }
}
