//! Performs the operations of its payload's `ops` on records, one after the other, and says what each gave.
//!
//! An operation has a `type`, and a record by its `name` or `id`: `{"op": "get" | "exists"}`, `{"op": "delete", "permanently"}`,
//! `{"op": "create" | "update" | "save", "members"}` and `{"op": "list", "filter", "order"}`, which gives the names of all, or
//! with `fields` those members of each. `{"op": "sleep", "type": ""}` sleeps for a day. `{"op": "set", "type": "", "name", "members"}` saves the
//! members as a setting, compares them with what is there and sets them again. With `raw` in place of `members` that text is handed over as it is, and
//! `{"op": "page", "filter", "order", "after", "limit"}` hands over its texts. The output `results` has `{"ok": what it gave}` or
//! `{"code", "message"}` for each.

#![cfg(target_family = "wasm")]

use std::time::Duration;

use flowhost_guest::bindings::flowhost::flow::records as contract;
use flowhost_guest::records::RecordRef;
use flowhost_guest::{Execution, FlowError, HostError, Input, Outputs, flow, json};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Plan {
    ops: Vec<Operation>,
}

#[derive(Deserialize)]
struct Operation {
    op: String,
    r#type: String,
    name: Option<String>,
    id: Option<String>,
    #[serde(default)]
    permanently: bool,
    #[serde(default)]
    members: Value,
    raw: Option<String>,
    filter: Option<Value>,
    order: Option<String>,
    after: Option<String>,
    #[serde(default)]
    limit: u32,
    fields: Option<Vec<String>>,
}

#[flow]
fn records(this: &Execution, plan: Input<Plan>) -> Result<Outputs, FlowError> {
    let mut results = Vec::new();
    for operation in &plan.ops {
        results.push(match perform(this, operation) {
            Ok(given) => json!({ "ok": given }),
            Err(refused) => json!({ "code": refused.code(), "message": refused.message() }),
        });
    }
    Ok(Outputs::new().set("results", results))
}

fn perform(this: &Execution, operation: &Operation) -> Result<Value, HostError> {
    let mut records = this.records(&operation.r#type);
    let which = match (&operation.name, &operation.id) {
        (Some(name), _) => RecordRef::Name(name),
        (None, id) => RecordRef::Id(id.as_deref().unwrap_or_default()),
    };
    Ok(match operation.op.as_str() {
        "get" => records.get(which)?,
        "exists" => records.exists(which)?.into(),
        "delete" if operation.permanently => records.delete_permanently(which).map(|()| Value::Null)?,
        "delete" => records.delete(which).map(|()| Value::Null)?,
        "create" => match &operation.raw {
            Some(raw) => contract::create(&operation.r#type, raw)?.into(),
            None => records.create(&operation.members)?,
        },
        "update" => match &operation.raw {
            Some(raw) => {
                let which = contract::RecordRef::Name(which.to_string());
                contract::update(&operation.r#type, &which, raw)?.into()
            }
            None => records.update(which, &operation.members)?,
        },
        "sleep" => this.sleep().for_duration(Duration::from_secs(24 * 3600)).map(|()| Value::Null)?,
        "set" => {
            let (name, settings) = (operation.name.as_deref().unwrap_or_default(), this.settings());
            settings.save(name, &operation.members)?;
            let present = settings.get::<Value>(name)?;
            settings.compare_and_set(name, present.as_ref(), Some(&operation.members))?.into()
        }
        "save" => records.save(operation.name.as_deref().unwrap_or_default(), &operation.members)?,
        "page" => {
            let filter = operation.filter.as_ref().and_then(Value::as_str);
            let (order, after) = (operation.order.as_deref(), operation.after.as_deref());
            let page = contract::list(&operation.r#type, filter, order, after, operation.limit)?;
            json!([page.records.len(), page.next])
        }
        _ => {
            if let Some(filter) = &operation.filter {
                records = records.filter(filter.clone());
            }
            if let Some(order) = &operation.order {
                records = records.order(order);
            }
            let mut found = Vec::new();
            for record in records.iter::<Value>() {
                let record = record?;
                found.push(match &operation.fields {
                    None => record["name"].clone(),
                    Some(fields) => fields.iter().map(|field| record[field.as_str()].clone()).collect(),
                });
            }
            found.into()
        }
    })
}
