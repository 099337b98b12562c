//! Lists of executions, of which there are many.
//!
//! What a filter says about the status, the flow, the webhook, the parent, the project and the time, as far as all of it
//! must hold, decides which part of which index is scanned. The indexes have the status before the id, so a list in the
//! order of the ids is merged from one scan for each status that may occur, each no longer than the page. The rest of a
//! filter is checked row by row.

use std::path::Path;

use flowhost_model::{Comparison, Filter, Kind, Order, RecordId, RecordType, Timestamp};
use rusqlite::types::Value as SqlValue;
use rusqlite::{Connection, params_from_iter};

use super::column::{Column, id_value};
use super::condition::{Parameters, condition, in_projects};
use super::executions::{COLUMN_COUNT, bytes_of_row, columns, from_row};
use super::id_range::IdRange;
use super::keyset::Keys;
use super::open::{self, Files};
use super::skew::{Skew, skew};
use super::status_set::StatusSet;
use crate::{ExecutionPage, ExecutionQuery, Result};

/// The most projects that are scanned one by one. Who sees more of them sees much of all, and finds it in the order of time.
const PROJECTS: usize = 8;

const NEWEST_FIRST: Order = Order { field: "id", kind: Kind::Id(None), is_descending: true };

/// A page of a list of executions.
pub(super) fn page(connection: &Connection, query: &ExecutionQuery) -> Result<ExecutionPage> {
    // The distance of times and ids is that of the rows which are read.
    let transaction = connection.unchecked_transaction()?;
    let keys = keys(query)?;
    let (sql, parameters) = sql(query, &keys, skew(&transaction)?)?;
    // Not kept prepared: there are as many as there are filters.
    let mut statement = transaction.prepare(&sql)?;
    let mut rows = statement.query(params_from_iter(parameters.0))?;
    let mut page = ExecutionPage::default();
    let mut last = Vec::new();
    let mut room = query.page_bytes;
    while let Some(row) = rows.next()? {
        if page.executions.len() == query.limit as usize || room == Some(0) {
            page.next = if last.is_empty() { None } else { Some(keys.cursor(&last)?) };
            break;
        }
        let bytes = bytes_of_row(row)?;
        room = room.map(|room| room.saturating_sub(bytes));
        page.executions.push(from_row(row)?);
        last = keys.values(row, COLUMN_COUNT)?;
    }
    Ok(page)
}

/// The order of admission is the order of the ids.
pub(super) fn keys(query: &ExecutionQuery) -> Result<Keys> {
    let order: Vec<Order> = match &query.order[..] {
        [] => vec![NEWEST_FIRST],
        order => order
            .iter()
            .map(|part| match part.field {
                "created_at" => Order { is_descending: part.is_descending, ..NEWEST_FIRST },
                _ => *part,
            })
            .collect(),
    };
    Keys::new(RecordType::Execution, &order, &Column::of_execution)
}

/// What must hold of each execution of a list.
struct Wanted {
    statuses: StatusSet,
    ids: IdRange,
    flow_id: Option<RecordId>,
    webhook_id: Option<RecordId>,
    parent_id: Option<RecordId>,
    project_id: Option<RecordId>,
    /// What is checked row by row.
    rest: Vec<String>,
}

impl Wanted {
    /// Takes from a filter what an index serves.
    fn add(&mut self, filter: &Filter, skew: Skew, parameters: &mut Parameters) -> Result<()> {
        if let Some(statuses) = StatusSet::of_filter(filter) {
            self.statuses = self.statuses.and(statuses);
            return Ok(());
        }
        match filter {
            Filter::And(filters) => return filters.iter().try_for_each(|filter| self.add(filter, skew, parameters)),
            Filter::Term { field, op, value, .. } => {
                let id = value.as_str().and_then(|text| text.parse().ok());
                match (*field, *op, id) {
                    ("flow_id", Comparison::Eq, Some(id)) if self.flow_id.is_none() => {
                        self.flow_id = Some(id);
                        return Ok(());
                    }
                    ("webhook_id", Comparison::Eq, Some(id)) if self.webhook_id.is_none() => {
                        self.webhook_id = Some(id);
                        return Ok(());
                    }
                    ("parent_id", Comparison::Eq, Some(id)) if self.parent_id.is_none() => {
                        self.parent_id = Some(id);
                        return Ok(());
                    }
                    ("project_id", Comparison::Eq, Some(id)) if self.project_id.is_none() => {
                        self.project_id = Some(id);
                        return Ok(());
                    }
                    ("id", op, Some(id)) => {
                        if let Some(ids) = IdRange::of_comparison(op, id) {
                            self.ids = self.ids.and(ids);
                            return Ok(());
                        }
                    }
                    ("created_at", op, _) => {
                        if let Some(at) = value.as_str().and_then(|text| text.parse().ok()) {
                            self.ids = self.ids.and(ids_of_time(op, at, skew));
                        }
                        // The range is wider than the condition.
                    }
                    _ => {}
                }
            }
            Filter::Or(_) | Filter::Not(_) => {}
        }
        self.rest.push(condition(filter, &Column::of_execution, parameters)?);
        Ok(())
    }
}

impl Wanted {
    /// The projects that executions must be of, where they are few.
    fn few_projects(&self, query: &ExecutionQuery) -> Option<Vec<RecordId>> {
        let mut projects = match (&query.in_projects, self.project_id) {
            (Some(projects), Some(id)) => projects.iter().copied().filter(|project| *project == id).collect(),
            (Some(projects), None) => projects.clone(),
            (None, id) => vec![id?],
        };
        projects.sort();
        projects.dedup();
        (projects.len() <= PROJECTS).then_some(projects)
    }
}

fn ids_of_time(op: Comparison, at: Timestamp, skew: Skew) -> IdRange {
    match op {
        Comparison::Eq => skew.ids(Some(at), Some(at)),
        Comparison::Lt | Comparison::Le => skew.ids(None, Some(at)),
        Comparison::Gt | Comparison::Ge => skew.ids(Some(at), None),
        Comparison::Ne | Comparison::Like | Comparison::In | Comparison::IsNull => IdRange::ALL,
    }
}

/// The statement of a list and its parameters: one execution more than the page has, by which it is known whether another
/// page follows. It names its index, so that no list is ever a scan of the whole table by a wrong guess. Rows are found and
/// sorted by their keys first; what they hold, which may be large, is read for the page alone.
pub(super) fn sql(query: &ExecutionQuery, keys: &Keys, skew: Skew) -> Result<(String, Parameters)> {
    let mut parameters = Parameters::default();
    let mut wanted = Wanted {
        statuses: StatusSet::ALL,
        ids: IdRange::ALL,
        flow_id: None,
        webhook_id: None,
        parent_id: None,
        project_id: None,
        rest: Vec::new(),
    };
    if let Some(filter) = &query.filter {
        wanted.add(filter, skew, &mut parameters)?;
    }
    let by_id_alone = keys.by_id_alone();
    if let Some(cursor) = &query.after {
        let values = keys.read_cursor(cursor)?;
        match (by_id_alone, values.last()) {
            (Some(is_descending), Some(SqlValue::Blob(bytes))) => {
                let op = if is_descending { Comparison::Lt } else { Comparison::Gt };
                let id = bytes.as_slice().try_into().map(RecordId::from_bytes);
                let ids = id.ok().and_then(|id| IdRange::of_comparison(op, id));
                wanted.ids = wanted.ids.and(ids.ok_or(crate::Error::InvalidCursor)?);
            }
            _ => wanted.rest.push(keys.after(values, &mut parameters)),
        }
    }
    let limit = parameters.bind(SqlValue::Integer(i64::from(query.limit) + 1));

    // Of a parent, a webhook, a flow or a project, in this order: the former are of few of the latter.
    let few_projects = wanted.few_projects(query);
    let mut conditions = Vec::new();
    let mut scans: Vec<Vec<String>> = Vec::new();
    let index = if let Some(id) = wanted.parent_id {
        scans.push(vec![format!("parent_id = {}", parameters.bind(id_value(&id)))]);
        "execution_by_parent"
    } else if let Some(id) = wanted.webhook_id {
        scans.push(vec![format!("webhook_id = {}", parameters.bind(id_value(&id)))]);
        "execution_by_webhook"
    } else if let Some(id) = wanted.flow_id {
        scans.push(vec![format!("flow_id = {}", parameters.bind(id_value(&id)))]);
        "execution_by_flow"
    } else if let Some(projects) = few_projects.as_ref().filter(|projects| !projects.is_empty()) {
        scans.extend(projects.iter().map(|id| vec![format!("project_id = {}", parameters.bind(id_value(id)))]));
        "execution_by_project"
    } else if wanted.statuses != StatusSet::ALL {
        scans.push(Vec::new());
        "execution_by_status"
    } else {
        scans.push(Vec::new());
        "execution_by_id"
    };
    if few_projects.is_some_and(|projects| projects.is_empty()) {
        // Otherwise all rows would be read to find that none is of any of no projects.
        conditions.push("FALSE".to_owned());
    }
    for (field, id, own_index) in
        [("webhook_id", wanted.webhook_id, "execution_by_webhook"), ("flow_id", wanted.flow_id, "execution_by_flow")]
    {
        // What the chosen index does not serve.
        if index != own_index
            && let Some(id) = id
        {
            conditions.push(format!("{field} = {}", parameters.bind(id_value(&id))));
        }
    }
    if index != "execution_by_project" {
        let projects = [query.in_projects.as_deref(), wanted.project_id.as_ref().map(std::slice::from_ref)];
        conditions.extend(projects.into_iter().flatten().map(|projects| in_projects(projects, &mut parameters)));
    }
    conditions.extend(wanted.ids.conditions(&mut parameters));
    conditions.append(&mut wanted.rest);

    let is_merged = by_id_alone.is_some() && index != "execution_by_id";
    if is_merged {
        let mut statuses: Vec<String> = wanted.statuses.numbers().map(|number| format!("status = {number}")).collect();
        if statuses.is_empty() {
            statuses.push("FALSE".to_owned());
        }
        let each = scans
            .iter()
            .flat_map(|scan| statuses.iter().map(|status| [&scan[..], std::slice::from_ref(status)].concat()));
        scans = each.collect();
    } else if wanted.statuses != StatusSet::ALL {
        conditions.push(wanted.statuses.condition());
    }
    let (select, order_by) = (keys.select(), keys.order_by());
    let scans: Vec<String> = scans
        .into_iter()
        .map(|mut scan| {
            scan.extend(conditions.iter().cloned());
            let wheres = if scan.is_empty() { "TRUE".to_owned() } else { scan.join(" AND ") };
            format!(
                "SELECT * FROM (SELECT seq AS hit, {select} FROM execution INDEXED BY {index}
                 WHERE {wheres} ORDER BY {order_by} LIMIT {limit})"
            )
        })
        .collect();
    let hits = format!("{} ORDER BY {order_by} LIMIT {limit}", scans.join(" UNION ALL "));
    let sql = format!(
        "SELECT {}, {} FROM ({hits}) CROSS JOIN execution ON execution.seq = hit ORDER BY {order_by}",
        columns(query.parts),
        keys.names(),
    );
    Ok((sql, parameters))
}

/// How SQLite finds a page of a list of executions in the data folder: the steps of its plan, for those who look into a
/// list that takes long.
pub fn explain_executions(folder: &Path, query: &ExecutionQuery) -> Result<Vec<String>> {
    let connection = open::reader(&Files::new(folder))?;
    let (sql, parameters) = sql(query, &keys(query)?, skew(&connection)?)?;
    let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
    let steps = statement.query_map(params_from_iter(parameters.0), |row| row.get("detail"))?;
    Ok(steps.collect::<rusqlite::Result<_>>()?)
}
