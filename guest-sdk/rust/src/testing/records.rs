//! Records in memory, by the rules of the host as far as they are the same for all types.

use std::cmp::Ordering;

use serde_json::{Map, Value, json};

use super::Backend;
use crate::crossing::from_json;
use crate::records::{Page, RecordRef};
use crate::{Execution, HostError};

/// The types of the host's API.
const TYPES: [&str; 12] = [
    "bundle",
    "execution",
    "file",
    "flow",
    "organization",
    "project",
    "role",
    "secret",
    "setting",
    "user",
    "webhook",
    "workspace",
];

/// The types that nobody makes by hand.
const NOT_MADE: [&str; 3] = ["execution", "organization", "workspace"];

/// A record: its type, its members, whether it is in the trash.
#[derive(Debug)]
pub(crate) struct Record {
    record_type: String,
    members: Map<String, Value>,
    is_deleted: bool,
}

/// Tests: native only.
impl Execution {
    /// The same execution with a record of this type: an object, which is given an `id` where it has none. Settings and files
    /// made here are apart from those of [`settings`](Self::settings) and [`files`](Self::files).
    ///
    /// # Panics
    ///
    /// When `members` is no object.
    #[must_use]
    pub fn with_record(self, record_type: &str, members: impl Into<Value>) -> Self {
        let Value::Object(members) = members.into() else { panic!("a record is an object") };
        self.backend.keep_record(record_type, members);
        self
    }

    /// All records of a type as they stand now, in the order in which they were made, without those in the trash.
    pub fn records_saved(&self, record_type: &str) -> Vec<Value> {
        self.backend.records_of(record_type)
    }
}

impl Backend {
    pub(crate) fn record(&self, record_type: &str, which: RecordRef<'_>) -> Result<String, HostError> {
        let at = self.record_place(record_type, which)?;
        Ok(json!(self.records.borrow()[at].members).to_string())
    }

    pub(crate) fn record_exists(&self, record_type: &str, which: RecordRef<'_>) -> Result<bool, HostError> {
        match self.record_place(record_type, which) {
            Ok(_) => Ok(true),
            Err(refused) if refused.code() == "record.not-found" => Ok(false),
            Err(refused) => Err(refused),
        }
    }

    pub(crate) fn record_page(
        &self,
        record_type: &str,
        filter: Option<&str>,
        order: Option<&str>,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Page, HostError> {
        known(record_type)?;
        let filter: Option<Value> = filter.map(|filter| from_json("the filter", filter)).transpose()?;
        let mut found = Vec::new();
        for record in self.records_of(record_type) {
            if filter.as_ref().map_or(Ok(true), |filter| fits(filter, &record))? {
                found.push(record);
            }
        }
        found.sort_by(|one, other| in_order(order.unwrap_or("name"), one, other));
        let start =
            after.map_or(Ok(0), str::parse).map_err(|_| malformed("`after`: no page of this list ended there"))?;
        let end = found.len().min(start + limit as usize);
        let next = (end < found.len()).then(|| end.to_string());
        let records = found.into_iter().take(end).skip(start).map(|record| record.to_string()).collect();
        Ok(Page { records, next })
    }

    fn records_of(&self, record_type: &str) -> Vec<Value> {
        let records = self.records.borrow();
        let of_type = records.iter().filter(|record| record.record_type == record_type && !record.is_deleted);
        of_type.map(|record| Value::Object(record.members.clone())).collect()
    }

    pub(crate) fn create_record(&self, record_type: &str, json: &str) -> Result<String, HostError> {
        known(record_type)?;
        if NOT_MADE.contains(&record_type) {
            let message = format_args!("a {record_type} cannot be made");
            return Err(HostError::new("request.method-not-allowed", message));
        }
        let members: Map<String, Value> = from_json("the members", json)?;
        let name = members.get("name").and_then(Value::as_str).unwrap_or_default();
        if name.is_empty() {
            return Err(HostError::new("record.invalid", "`name`: is missing"));
        }
        self.refuse_taken(record_type, name, None)?;
        let id = self.keep_record(record_type, members);
        self.record(record_type, RecordRef::Id(&id))
    }

    pub(crate) fn update_record(
        &self,
        record_type: &str,
        which: RecordRef<'_>,
        json: &str,
    ) -> Result<String, HostError> {
        let at = self.record_place(record_type, which)?;
        let members: Map<String, Value> = from_json("the members", json)?;
        if let Some(name) = members.get("name").and_then(Value::as_str) {
            self.refuse_taken(record_type, name, Some(at))?;
        }
        let mut records = self.records.borrow_mut();
        if records[at].members.get("is_readonly") == Some(&Value::Bool(true)) && !members.contains_key("is_readonly") {
            return Err(HostError::new("record.readonly", "the record is read-only; clear `is_readonly` first"));
        }
        records[at].members.extend(members);
        Ok(json!(records[at].members).to_string())
    }

    pub(crate) fn delete_record(
        &self,
        record_type: &str,
        which: RecordRef<'_>,
        is_permanent: bool,
    ) -> Result<(), HostError> {
        let at = self.record_place(record_type, which)?;
        let mut records = self.records.borrow_mut();
        if records[at].members.get("is_readonly") == Some(&Value::Bool(true)) {
            return Err(HostError::new("record.readonly", "the record is read-only; clear `is_readonly` first"));
        }
        if is_permanent {
            records.remove(at);
        } else {
            records[at].is_deleted = true;
        }
        Ok(())
    }

    /// Keeps a record, and gives its id.
    fn keep_record(&self, record_type: &str, mut members: Map<String, Value>) -> String {
        let mut records = self.records.borrow_mut();
        let made = format!("00000000-0000-7000-8000-{:012}", records.len() + 1);
        let id = members.entry("id").or_insert(Value::String(made)).as_str().unwrap_or_default().to_owned();
        records.push(Record { record_type: record_type.into(), members, is_deleted: false });
        id
    }

    fn record_place(&self, record_type: &str, which: RecordRef<'_>) -> Result<usize, HostError> {
        known(record_type)?;
        let (member, text) = match which {
            RecordRef::Name(name) => ("name", name.trim()),
            RecordRef::Id(id) => ("id", id),
        };
        let is_it = |record: &Record| {
            record.record_type == record_type
                && record.members.get(member).and_then(Value::as_str) == Some(text)
                && !(record.is_deleted && member == "name")
        };
        let missing = || HostError::new("record.not-found", format_args!("there is no {record_type} `{which}`"));
        self.records.borrow().iter().position(is_it).ok_or_else(missing)
    }

    fn refuse_taken(&self, record_type: &str, name: &str, own: Option<usize>) -> Result<(), HostError> {
        match self.record_place(record_type, RecordRef::Name(name)) {
            Ok(at) if Some(at) != own => {
                let message = format_args!("a {record_type} named `{name}` exists already");
                Err(HostError::new("record.name-taken", message))
            }
            _ => Ok(()),
        }
    }
}

fn known(record_type: &str) -> Result<(), HostError> {
    if TYPES.contains(&record_type) {
        return Ok(());
    }
    Err(HostError::new("records.unknown-type", format_args!("`{record_type}` is no type of record")))
}

fn malformed(why: &str) -> HostError {
    HostError::new("request.malformed", why)
}

/// Whether a record fits a filter of the API's form.
fn fits(filter: &Value, record: &Value) -> Result<bool, HostError> {
    for (group, is_any) in [("and", false), ("or", true)] {
        if let Some(terms) = filter.get(group) {
            let terms = terms.as_array().ok_or_else(|| malformed("`filter`: a group is a list"))?;
            let fitting = terms.iter().map(|term| fits(term, record)).collect::<Result<Vec<bool>, _>>()?;
            return Ok(if is_any { fitting.contains(&true) } else { !fitting.contains(&false) });
        }
    }
    if let Some(term) = filter.get("not") {
        return Ok(!fits(term, record)?);
    }
    let field = filter.get("field").and_then(Value::as_str);
    let held = &record[field.ok_or_else(|| malformed("`filter.field`: must be the name of a property"))?];
    let value = &filter["value"];
    let ordering = || if held.is_null() { None } else { compared(held, value) };
    Ok(match filter.get("op").map_or(Some("eq"), Value::as_str) {
        Some("eq") => held == value,
        Some("ne") => held != value,
        Some("lt") => ordering().is_some_and(Ordering::is_lt),
        Some("le") => ordering().is_some_and(Ordering::is_le),
        Some("gt") => ordering().is_some_and(Ordering::is_gt),
        Some("ge") => ordering().is_some_and(Ordering::is_ge),
        Some("like") => match (held, value) {
            (Value::String(held), Value::String(pattern)) => {
                is_like(&held.to_ascii_lowercase(), &pattern.to_ascii_lowercase())
            }
            _ => false,
        },
        Some("in") => value.as_array().is_some_and(|values| values.contains(held)),
        Some("is_null") => Value::Bool(held.is_null()) == *value,
        _ => return Err(malformed("`filter.op`: is none that the API knows")),
    })
}

/// `%` is any text, `_` one character.
fn is_like(text: &str, pattern: &str) -> bool {
    let Some(first) = pattern.chars().next() else { return text.is_empty() };
    let rest = &pattern[first.len_utf8()..];
    if first == '%' {
        return text.char_indices().any(|(at, _)| is_like(&text[at..], rest)) || is_like("", rest);
    }
    text.chars().next().is_some_and(|own| (first == '_' || first == own) && is_like(&text[own.len_utf8()..], rest))
}

fn in_order(order: &str, one: &Value, other: &Value) -> Ordering {
    for part in order.split(',').map(str::trim) {
        let (field, is_descending) = part.strip_prefix('-').map_or((part, false), |field| (field, true));
        let (held, other_held) = (&one[field], &other[field]);
        let ordering = compared(held, other_held).unwrap_or_else(|| other_held.is_null().cmp(&held.is_null()));
        if ordering.is_ne() {
            return if is_descending { ordering.reverse() } else { ordering };
        }
    }
    Ordering::Equal
}

/// How two values stand; none where they are of two kinds.
fn compared(one: &Value, other: &Value) -> Option<Ordering> {
    match (one, other) {
        (Value::String(one), Value::String(other)) => Some(one.cmp(other)),
        (Value::Bool(one), Value::Bool(other)) => Some(one.cmp(other)),
        (Value::Number(one), Value::Number(other)) => one.as_f64()?.partial_cmp(&other.as_f64()?),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(records: crate::records::Records<'_>) -> Vec<String> {
        let named = records.iter::<Value>().map(|record| record.unwrap()["name"].as_str().unwrap().to_owned());
        named.collect()
    }

    #[test]
    fn a_record_is_made_found_changed_and_deleted() {
        let this = Execution::for_test();
        let projects = this.records("project");
        let made = projects.create(&json!({ "name": "shop", "description": "d" })).unwrap();
        let id = made["id"].as_str().unwrap();
        assert_eq!(projects.get::<Value>("shop").unwrap(), made);
        assert_eq!(projects.get::<Value>(RecordRef::Id(id)).unwrap(), made);
        assert_eq!(projects.create(&json!({ "name": "shop" })).unwrap_err().code(), "record.name-taken");
        let changed = projects.update(RecordRef::Id(id), &json!({ "name": "store" })).unwrap();
        assert_eq!((&changed["name"], &changed["description"]), (&json!("store"), &json!("d")));
        assert!(projects.exists("store").unwrap() && !projects.exists("shop").unwrap());
        projects.delete("store").unwrap();
        assert_eq!(projects.get::<Value>("store").unwrap_err().code(), "record.not-found");
        assert!(projects.exists(RecordRef::Id(id)).unwrap() && this.records_saved("project").is_empty());
        projects.delete_permanently(RecordRef::Id(id)).unwrap();
        assert_eq!(projects.delete(RecordRef::Id(id)).unwrap_err().code(), "record.not-found");
    }

    #[test]
    fn saving_changes_or_makes() {
        let this = Execution::for_test().with_record("setting", json!({ "name": "a", "value": 1, "description": "d" }));
        let settings = this.records("setting");
        assert_eq!(settings.save("a", &json!({ "value": 2 })).unwrap()["description"], "d");
        assert_eq!(settings.save("b", &json!({ "value": 3 })).unwrap()["name"], "b");
        assert_eq!(settings.save("c", "no object").unwrap_err().code(), "json.invalid");
        let values: Vec<Value> = this.records_saved("setting").into_iter().map(|one| one["value"].clone()).collect();
        assert_eq!(values, [2, 3]);
    }

    #[test]
    fn records_are_listed_in_their_order_by_their_filter_over_pages() {
        let mut this = Execution::for_test().with_record("role", json!({ "name": "user" }));
        for number in 0..450 {
            let (name, email) = (format!("u{number:03}"), (number % 2 == 0).then(|| format!("{number}@example.org")));
            this = this.with_record("user", json!({ "name": name, "email": email }));
        }
        let users = this.records("user");
        assert_eq!(names(users.clone()).len(), 450);
        assert_eq!(names(users.clone().order("-name"))[..2], ["u449", "u448"]);
        let like = json!({ "field": "name", "op": "like", "value": "U0_1" });
        assert_eq!(names(users.clone().filter(like.clone())).len(), 10);
        let both = json!({ "and": [like, { "not": { "field": "email", "op": "is_null", "value": false } }] });
        assert_eq!(names(users.clone().filter(both)).len(), 10);
        let refused: Vec<_> = users.filter(json!({ "op": "eq" })).iter::<Value>().collect();
        assert!(matches!(&refused[..], [Err(refused)] if refused.code() == "request.malformed"));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let this = Execution::for_test().with_record("flow", json!({ "name": "f", "is_readonly": true }));
        assert_eq!(this.records("flows").exists("f").unwrap_err().code(), "records.unknown-type");
        assert_eq!(this.records("flow").get::<u8>("f").unwrap_err().code(), "json.invalid");
        assert_eq!(this.records("flow").create(&json!({})).unwrap_err().code(), "record.invalid");
        assert_eq!(this.records("flow").delete("f").unwrap_err().code(), "record.readonly");
        assert_eq!(
            this.records("flow").save("f", &json!({ "description": "" })).unwrap_err().code(),
            "record.readonly"
        );
        let made = this.records("execution").create(&json!({ "name": "e" }));
        assert_eq!(made.unwrap_err().code(), "request.method-not-allowed");
    }
}
