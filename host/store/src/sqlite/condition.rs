//! Filters in SQL.
//!
//! Values are always bound, never written into the text. Each condition is true or false and never null, so that `not`
//! means what it says: a comparison with a null property is false, and its opposite true.

use flowhost_model::{Comparison, Filter, LONG_TEXT_BYTES, RecordId};
use rusqlite::types::Value as SqlValue;
use serde_json::Value;

use super::column::{Column, Form};
use super::names;
use crate::Result;

/// The values of a statement's parameters, `?1` and on.
#[derive(Debug, Default)]
pub(super) struct Parameters(pub(super) Vec<SqlValue>);

impl Parameters {
    /// Adds a value; gives the parameter that stands for it, in as many places as it is needed.
    pub(super) fn bind(&mut self, value: SqlValue) -> String {
        self.0.push(value);
        format!("?{}", self.0.len())
    }
}

/// The filter as a condition. `column` finds the properties.
pub(super) fn condition(
    filter: &Filter,
    column: &dyn Fn(&'static str) -> Result<Column>,
    parameters: &mut Parameters,
) -> Result<String> {
    let mut join = |filters: &[Filter], operator: &str, of_none: &str| {
        let parts: Vec<String> =
            filters.iter().map(|filter| condition(filter, column, parameters)).collect::<Result<_>>()?;
        Ok(if parts.is_empty() { of_none.to_owned() } else { format!("({})", parts.join(operator)) })
    };
    match filter {
        Filter::And(filters) => join(filters, " AND ", "TRUE"),
        Filter::Or(filters) => join(filters, " OR ", "FALSE"),
        Filter::Not(inner) => Ok(format!("NOT {}", condition(inner, column, parameters)?)),
        Filter::Term { field, op, value, .. } => term(&column(field)?, *op, value, parameters),
    }
}

fn term(column: &Column, op: Comparison, value: &Value, parameters: &mut Parameters) -> Result<String> {
    // What an earlier version of this program took may be longer than any text is now, and SQLite does not look up from one
    // comparison with a pattern.
    let searched = format!("substr({}, 1, {LONG_TEXT_BYTES})", column.sql);
    let sql = if column.is_long && op == Comparison::Like { &searched } else { &column.sql };
    if let Form::Name(names) = column.form {
        return Ok(names::condition(sql, &names::of_term(names, op, value)));
    }
    let operator = match op {
        Comparison::IsNull if *value == Value::Bool(false) => return Ok(format!("({sql} IS NOT NULL)")),
        Comparison::IsNull => return Ok(format!("({sql} IS NULL)")),
        Comparison::Eq => return Ok(format!("({sql} IS {})", parameters.bind(column.value(value)?))),
        Comparison::Ne => return Ok(format!("({sql} IS NOT {})", parameters.bind(column.value(value)?))),
        Comparison::In => return one_of(column, value, parameters),
        Comparison::Lt => "<",
        Comparison::Le => "<=",
        Comparison::Gt => ">",
        Comparison::Ge => ">=",
        Comparison::Like => "LIKE",
    };
    if value.is_null() {
        // Nothing is greater or less than null.
        return Ok("FALSE".to_owned());
    }
    let parameter = parameters.bind(column.value(value)?);
    Ok(if column.is_nullable {
        format!("({sql} IS NOT NULL AND {sql} {operator} {parameter})")
    } else {
        format!("({sql} {operator} {parameter})")
    })
}

fn one_of(column: &Column, value: &Value, parameters: &mut Parameters) -> Result<String> {
    let sql = &column.sql;
    let values = value.as_array().map(Vec::as_slice).unwrap_or_default();
    let bound: Vec<String> = values
        .iter()
        .filter(|value| !value.is_null())
        .map(|value| Ok(parameters.bind(column.value(value)?)))
        .collect::<Result<_>>()?;
    let mut condition = match (bound.is_empty(), column.is_nullable) {
        (true, _) => "FALSE".to_owned(),
        (false, true) => format!("{sql} IS NOT NULL AND {sql} IN ({})", bound.join(", ")),
        (false, false) => format!("{sql} IN ({})", bound.join(", ")),
    };
    if values.iter().any(Value::is_null) {
        condition = format!("{sql} IS NULL OR ({condition})");
    }
    Ok(format!("({condition})"))
}

/// That `project_id` is one of these, of which there may be any number: they are bound as one JSON text.
pub(super) fn in_projects(projects: &[RecordId], parameters: &mut Parameters) -> String {
    let parameter = hex_ids(projects, parameters);
    format!("(project_id IS NOT NULL AND project_id IN (SELECT unhex(value) FROM json_each({parameter})))")
}

/// Any number of ids as one parameter: a JSON list of hexadecimal texts.
pub(super) fn hex_ids(ids: &[RecordId], parameters: &mut Parameters) -> String {
    let hex: Vec<String> = ids.iter().map(|id| id.to_string().replace('-', "")).collect();
    parameters.bind(SqlValue::Text(Value::from(hex).to_string()))
}
