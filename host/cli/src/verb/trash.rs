//! `flowhost trash`: what was deleted, and can come back.

use clap::Subcommand;
use flowhost_model::{RecordType, definition};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::EVERYTHING;
use crate::client::{Answer, Client, Connection, address, parsed};
use crate::failure::{Exit, Failure};

/// What to do with the trash.
#[derive(Subcommand)]
pub(crate) enum Trash {
    /// List what is in the trash
    List,
    /// Take a record out of the trash; a project or a bundle with what went with it
    Restore {
        /// The record's type, for example flow
        #[arg(value_parser = managed_type)]
        record_type: RecordType,
        /// The record's id, or its name
        record: String,
    },
    /// Delete a record for good
    Delete {
        /// The record's type, for example flow
        #[arg(value_parser = managed_type)]
        record_type: RecordType,
        /// The record's id, or its name
        record: String,
    },
}

/// The part of a record that is shown.
#[derive(Deserialize)]
struct View {
    id: String,
    name: String,
    deleted_at: String,
}

impl Trash {
    /// Does it.
    pub(crate) fn run(self, connection: &Connection) -> Result<(), Failure> {
        let client = connection.operator()?;
        let output = connection.output();
        match self {
            Self::List => {
                let mut records: Vec<(RecordType, Box<RawValue>)> = Vec::new();
                let mut unreadable = Vec::new();
                for record_type in managed_types() {
                    let answer = trash(&client, record_type, &[])?;
                    if answer.is_unreadable {
                        unreadable.push(format!("{}s", definition(record_type).path));
                    }
                    let found: Vec<Box<RawValue>> = answer.read()?;
                    records.extend(found.into_iter().map(|record| (record_type, record)));
                }
                if !unreadable.is_empty() {
                    output.caution(&format!("some are not shown: this token may not read {}", unreadable.join(", ")));
                }
                if output.json {
                    let records: Vec<&RawValue> = records.iter().map(|(_, record)| &**record).collect();
                    return output.answer(json!(records).to_string().as_bytes());
                }
                let mut rows = Vec::new();
                for (record_type, record) in &records {
                    let View { id, name, deleted_at } = parsed(record.get())?;
                    rows.push(vec![definition(*record_type).path.into(), name.into(), deleted_at.into(), id.into()]);
                }
                output.table(&["TYPE", "NAME", "DELETED", "ID"], &rows)
            }
            Self::Restore { record_type, record } => {
                let (path, id) = (definition(record_type).path, find(&client, record_type, &record)?);
                let address = address(&[path, &id, "action", "restore"], &[]);
                let answer = client.send_to("POST", &address, &[], Vec::new())?;
                if output.json {
                    return output.answer(&answer.body);
                }
                output.data(&id)?;
                output.note(&format!("the {path} {record} is back"));
                Ok(())
            }
            Self::Delete { record_type, record } => {
                let (path, id) = (definition(record_type).path, find(&client, record_type, &record)?);
                let address = address(&[path, &id], &[("permanently", "true")]);
                client.send_to("DELETE", &address, &[], Vec::new())?;
                output.note(&format!("the {path} {record} is gone for good"));
                Ok(())
            }
        }
    }
}

fn managed_types() -> impl Iterator<Item = RecordType> {
    RecordType::ALL.into_iter().filter(|record_type| definition(*record_type).is_managed)
}

fn managed_type(text: &str) -> Result<RecordType, String> {
    let found = managed_types().find(|record_type| definition(*record_type).path == text.to_ascii_lowercase());
    let all: Vec<&str> = managed_types().map(|record_type| definition(record_type).path).collect();
    found.ok_or_else(|| format!("it is one of {}", all.join(", ")))
}

/// The records of a type in the trash.
fn trash(client: &Client, record_type: RecordType, query: &[(&str, &str)]) -> Result<Answer, Failure> {
    client.pages(&[definition(record_type).path], &[query, &[("trash", "true")]].concat(), EVERYTHING)
}

/// The id of the record in the trash of this id or name; several may have one name.
fn find(client: &Client, record_type: RecordType, record: &str) -> Result<String, Failure> {
    let is = |field: &str| json!({ "field": field, "value": record });
    let filter = match record.parse::<flowhost_model::RecordId>() {
        Ok(_) => is("id"),
        Err(_) => is("name"),
    };
    let found: Vec<View> = trash(client, record_type, &[("filter", &filter.to_string())])?.read()?;
    let path = definition(record_type).path;
    match found.as_slice() {
        [one] => Ok(one.id.clone()),
        [] => {
            let what = format!("there is no {path} {record} in the trash");
            Err(Failure::new(Exit::NotFound, what).next("`flowhost trash list` shows what is"))
        }
        several => {
            let ids: Vec<&str> = several.iter().map(|record| record.id.as_str()).collect();
            let what = format!("there are several {path}s {record} in the trash; give an id");
            Err(Failure::new(Exit::Usage, what).next(format!("they are {}", ids.join(", "))))
        }
    }
}
