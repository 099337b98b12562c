//! Lists of records.

use flowhost_model::{Kind, NAME_LIMIT, Order, RecordType, definition};
use rusqlite::types::Value as SqlValue;
use rusqlite::{Connection, params_from_iter};

use super::column::Column;
use super::condition::{Parameters, condition, in_projects};
use super::keyset::Keys;
use super::records::{COLUMN_COUNT, COLUMNS, bytes, from_row};
use crate::{RecordPage, RecordQuery, Result, Trash};

const BY_NAME: Order = Order { field: "name", kind: Kind::Text(NAME_LIMIT as u32), is_descending: false };

/// A page of a list of records of a type.
pub(super) fn page(connection: &Connection, record_type: RecordType, query: &RecordQuery) -> Result<RecordPage> {
    let keys = keys(record_type, query)?;
    let mut parameters = Parameters::default();
    let sql = sql(record_type, query, &keys, &mut parameters)?;
    // Not kept prepared: there are as many as there are filters.
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query(params_from_iter(parameters.0))?;
    let mut page = RecordPage::default();
    let mut last = Vec::new();
    let mut room = query.page_bytes;
    while let Some(row) = rows.next()? {
        if page.records.len() == query.limit as usize || room == Some(0) {
            page.next = if last.is_empty() { None } else { Some(keys.cursor(&last)?) };
            break;
        }
        let record = from_row(row)?;
        room = room.map(|room| room.saturating_sub(bytes(&record)));
        page.records.push(record);
        last = keys.values(row, COLUMN_COUNT)?;
    }
    Ok(page)
}

fn keys(record_type: RecordType, query: &RecordQuery) -> Result<Keys> {
    let order = if query.order.is_empty() { &[BY_NAME][..] } else { &query.order };
    Keys::new(record_type, order, &|field| Column::of_record(definition(record_type), field))
}

/// One record more than the page has, by which it is known whether another page follows. Keys are found and sorted first;
/// bodies, which may be large, are read for the page alone.
fn sql(record_type: RecordType, query: &RecordQuery, keys: &Keys, parameters: &mut Parameters) -> Result<String> {
    let column = |field| Column::of_record(definition(record_type), field);
    let mut conditions =
        vec![format!("record_type = {}", parameters.bind(SqlValue::Text(record_type.as_str().to_owned())))];
    match query.trash {
        Trash::Exclude => conditions.push("deleted_at IS NULL".to_owned()),
        Trash::Only => conditions.push("deleted_at IS NOT NULL".to_owned()),
        Trash::Include => {}
    }
    if let Some(projects) = &query.in_projects {
        conditions.push(in_projects(projects, parameters));
    }
    if let Some(filter) = &query.filter {
        conditions.push(condition(filter, &column, parameters)?);
    }
    if let Some(cursor) = &query.after {
        conditions.push(keys.after(keys.read_cursor(cursor)?, parameters));
    }
    let limit = parameters.bind(SqlValue::Integer(i64::from(query.limit) + 1));
    let columns = if query.with_bodies { COLUMNS.to_owned() } else { COLUMNS.replace("body", "'{}' AS body") };
    Ok(format!(
        "SELECT {columns}, {names} FROM (
             SELECT rowid AS hit, {select} FROM record WHERE {conditions} ORDER BY {order_by} LIMIT {limit}
         ) CROSS JOIN record ON record.rowid = hit ORDER BY {order_by}",
        names = keys.names(),
        select = keys.select(),
        conditions = conditions.join(" AND "),
        order_by = keys.order_by(),
    ))
}

/// How SQLite finds a page of a list of records: the steps of its plan.
#[cfg(test)]
pub(super) fn explain(folder: &std::path::Path, record_type: RecordType, query: &RecordQuery) -> Result<Vec<String>> {
    let connection = super::open::reader(&super::open::Files::new(folder))?;
    let mut parameters = Parameters::default();
    let sql = sql(record_type, query, &keys(record_type, query)?, &mut parameters)?;
    let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
    let steps = statement.query_map(params_from_iter(parameters.0), |row| row.get("detail"))?;
    Ok(steps.collect::<rusqlite::Result<_>>()?)
}
