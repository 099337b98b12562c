//! Performs the operations of its payload's `ops` on records, one after the other, and says what each gave.
//!
//! An operation has a `type`, and a record by its `name` or `id`: `{"op": "get" | "exists"}`, `{"op": "delete", "permanently"}`,
//! `{"op": "create" | "update" | "save", "members"}` and `{"op": "list", "filter", "order"}`, which gives the names of all, or
//! with `fields` those members of each. With `raw` in place of `members` that text is handed over as it is, and `{"op": "page",
//! "filter", "order", "after", "limit"}` hands over its texts. `{"op": "sleep"}` sleeps for a day. `{"op": "set",
//! "name", "members"}` saves the members as a setting, compares them with what is there and sets them again. The output
//! `results` has `{"ok": what it gave}` or `{"code", "message"}` for each.

#![cfg(target_family = "wasm")]

use std::time::Duration;

use flowhost_guest::bindings::flowhost::flow::records as contract;
use flowhost_guest::records::RecordRef;
use flowhost_guest::{Execution, FlowError, HostError, Input, Outputs, flow, json};
use serde::Deserialize;
use serde_json::Value;
use test_guests::{Plan, results};

#[derive(Deserialize)]
struct Operation {
    #[serde(default)]
    r#type: String,
    name: Option<String>,
    id: Option<String>,
    #[serde(flatten)]
    kind: Kind,
}

#[derive(Deserialize)]
#[serde(tag = "op", rename_all = "kebab-case")]
enum Kind {
    Get,
    Exists,
    Delete {
        #[serde(default)]
        permanently: bool,
    },
    Create {
        #[serde(default)]
        members: Value,
        raw: Option<String>,
    },
    Update {
        #[serde(default)]
        members: Value,
        raw: Option<String>,
    },
    Save {
        members: Value,
    },
    List {
        filter: Option<Value>,
        order: Option<String>,
        fields: Option<Vec<String>>,
    },
    Page {
        filter: Option<String>,
        order: Option<String>,
        after: Option<String>,
        limit: u32,
    },
    Sleep,
    Set {
        members: Value,
    },
}

#[flow]
fn records(this: &Execution, plan: Input<Plan<Operation>>) -> Result<Outputs, FlowError> {
    Ok(results(&plan.ops, |operation| perform(this, operation)))
}

fn perform(this: &Execution, operation: &Operation) -> Result<Value, HostError> {
    let Operation { r#type, name, id, kind } = operation;
    let records = this.records(r#type);
    let which = match (name, id) {
        (Some(name), _) => RecordRef::Name(name),
        (None, id) => RecordRef::Id(id.as_deref().unwrap_or_default()),
    };
    Ok(match kind {
        Kind::Get => records.get(which)?,
        Kind::Exists => records.exists(which)?.into(),
        Kind::Delete { permanently: true } => records.delete_permanently(which).map(|()| Value::Null)?,
        Kind::Delete { permanently: false } => records.delete(which).map(|()| Value::Null)?,
        Kind::Create { raw: Some(raw), .. } => contract::create(r#type, raw)?.into(),
        Kind::Create { members, raw: None } => records.create(members)?,
        Kind::Update { raw: Some(raw), .. } => {
            contract::update(r#type, &contract::RecordRef::Name(which.to_string()), raw)?.into()
        }
        Kind::Update { members, raw: None } => records.update(which, members)?,
        Kind::Save { members } => records.save(name.as_deref().unwrap_or_default(), members)?,
        Kind::List { filter, order, fields } => {
            let records = filter.iter().fold(records, |records, filter| records.filter(filter.clone()));
            let records = order.iter().fold(records, |records, order| records.order(order));
            let mut found = Vec::new();
            for record in records.iter::<Value>() {
                let record = record?;
                found.push(match fields {
                    None => record["name"].clone(),
                    Some(fields) => fields.iter().map(|field| record[field.as_str()].clone()).collect(),
                });
            }
            found.into()
        }
        Kind::Page { filter, order, after, limit } => {
            let page = contract::list(r#type, filter.as_deref(), order.as_deref(), after.as_deref(), *limit)?;
            json!([page.records.len(), page.next])
        }
        Kind::Sleep => this.sleep().for_duration(Duration::from_secs(24 * 3600)).map(|()| Value::Null)?,
        Kind::Set { members } => {
            let (name, settings) = (name.as_deref().unwrap_or_default(), this.settings());
            settings.save(name, members)?;
            let present = settings.get::<Value>(name)?;
            settings.compare_and_set(name, present.as_ref(), Some(members))?.into()
        }
    })
}
