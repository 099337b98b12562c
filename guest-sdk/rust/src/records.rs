//! Records of the host: flows, webhooks, settings, users, roles, files, projects, executions and the others of its API.
//!
//! `this.records("webhook")` reaches those of a type, given by its name in the API's addresses. A record is the JSON object that
//! `GET /api/latest/<type>/<id>?plain=true` gives, read as whatever type serde can make of it. The execution's permissions hold,
//! and the rules of the API.
//!
//! ```
//! use flowhost_guest::{Execution, FlowError, Outputs, flow, json};
//! use serde::Deserialize;
//!
//! #[derive(Deserialize)]
//! struct User {
//!     name: String,
//!     email: Option<String>,
//! }
//!
//! #[flow]
//! fn remind(this: &Execution) -> Result<Outputs, FlowError> {
//!     let nameless = json!({ "field": "email", "op": "is_null", "value": true });
//!     let mut reminded = 0;
//!     for user in this.records("user").filter(nameless).order("name").iter::<User>() {
//!         let note = format!("note.{}", user?.name);
//!         this.records("setting").save(note.as_str(), &json!({ "value": "tell us your address" }))?;
//!         reminded += 1;
//!     }
//!     Ok(Outputs::new().set("reminded", reminded))
//! }
//!
//! let this = Execution::for_test()
//!     .with_record("user", json!({ "name": "ada", "email": null }))
//!     .with_record("user", json!({ "name": "kevin", "email": "kevin@example.org" }));
//! assert_eq!(remind(&this).unwrap().get("reminded").unwrap(), 1);
//! assert_eq!(this.records_saved("setting")[0]["name"], "note.ada");
//! ```
//!
//! Every function is refused with `records.unknown-type`, with `access.forbidden` where a permission is missing, and, where a
//! record is named, with `record.not-found` where there is none that the execution may read.

use std::collections::VecDeque;
use std::fmt;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::HostError;
use crate::backend::Backend;
use crate::crossing::{from_json, to_json};

/// As many records as the host gives at once.
const RECORDS_AT_ONCE: u32 = 200;

/// The records of a type that an execution reaches, from [`Execution::records`](crate::Execution::records).
#[derive(Clone, Debug)]
pub struct Records<'a> {
    pub(crate) backend: &'a Backend,
    pub(crate) record_type: String,
    pub(crate) filter: Option<Value>,
    pub(crate) order: Option<String>,
}

/// A record, by its name or by its id. A text is a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordRef<'a> {
    /// The record of this name.
    Name(&'a str),
    /// The record with this id. Executions are told by their ids alone.
    Id(&'a str),
}

impl<'a> From<&'a str> for RecordRef<'a> {
    fn from(name: &'a str) -> Self {
        Self::Name(name)
    }
}

impl<'a> From<&'a String> for RecordRef<'a> {
    fn from(name: &'a String) -> Self {
        Self::Name(name)
    }
}

impl fmt::Display for RecordRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Name(text) | Self::Id(text)) = self;
        f.write_str(text)
    }
}

/// Some records of a list.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) records: Vec<String>,
    pub(crate) next: Option<String>,
}

impl<'a> Records<'a> {
    /// A record. `serde_json::Value` reads any.
    ///
    /// Refused with `json.invalid` where it cannot be read as a `T`.
    pub fn get<'r, T: DeserializeOwned>(&self, which: impl Into<RecordRef<'r>>) -> Result<T, HostError> {
        let which = which.into();
        from_json(self.called(which), &self.backend.record(&self.record_type, which)?)
    }

    /// Whether there is such a record.
    pub fn exists<'r>(&self, which: impl Into<RecordRef<'r>>) -> Result<bool, HostError> {
        self.backend.record_exists(&self.record_type, which.into())
    }

    /// Only those records that fit this filter of the API's form: `json!({ "field": "name", "op": "like", "value": "todo.%" })`.
    #[must_use]
    pub fn filter(mut self, filter: impl Into<Value>) -> Self {
        self.filter = Some(filter.into());
        self
    }

    /// In this order, of properties separated by commas, a `-` before one for greatest first: `-modified_at,name`. Otherwise by
    /// name, and executions newest first.
    #[must_use]
    pub fn order(mut self, order: impl Into<String>) -> Self {
        self.order = Some(order.into());
        self
    }

    /// The records of the filter in their order, those in the trash left out. They are read in pages, while the iterator goes on;
    /// after an error it ends.
    ///
    /// Refused with `request.malformed` where filter or order are not what the API takes.
    pub fn iter<T: DeserializeOwned>(&self) -> Iter<'a, T> {
        Iter { records: self.clone(), page: VecDeque::new(), after: None, is_last: false, of: PhantomData }
    }

    /// Makes a record of these members, an object, and gives it as it is kept. One that names neither project nor bundle
    /// belongs where the execution does.
    ///
    /// Refused with `record.invalid`, `record.name-taken`, and as the API refuses it.
    pub fn create(&self, members: &(impl Serialize + ?Sized)) -> Result<Value, HostError> {
        let what = format!("a new {}", self.record_type);
        from_json(&what, &self.backend.create_record(&self.record_type, &to_json(&what, members)?)?)
    }

    /// Changes the members that are given, and gives the record as it is kept.
    ///
    /// Refused as [`create`](Self::create) is, and with `record.readonly`.
    pub fn update<'r>(
        &self,
        which: impl Into<RecordRef<'r>>,
        members: &(impl Serialize + ?Sized),
    ) -> Result<Value, HostError> {
        let which = which.into();
        let members = to_json(self.called(which), members)?;
        from_json(self.called(which), &self.backend.update_record(&self.record_type, which, &members)?)
    }

    /// Changes the members that are given of the record of this name, or makes it of them where there is none, and gives the
    /// record as it is kept.
    ///
    /// Refused as [`update`](Self::update) and [`create`](Self::create) are.
    pub fn save(&self, name: &str, members: &(impl Serialize + ?Sized)) -> Result<Value, HostError> {
        let what = self.called(name.into());
        let mut named: Map<String, Value> = from_json(&what, &to_json(&what, members)?)?;
        match self.update(name, &named) {
            Err(refused) if refused.code() == "record.not-found" => {}
            saved => return saved,
        }
        named.insert("name".into(), name.into());
        match self.create(&named) {
            // Somebody else has made it meanwhile.
            Err(refused) if refused.code() == "record.name-taken" => self.update(name, &named),
            saved => saved,
        }
    }

    /// Moves a record to the trash, where it is until somebody restores or deletes it.
    ///
    /// Refused with `record.readonly`, and as the API refuses it.
    pub fn delete<'r>(&self, which: impl Into<RecordRef<'r>>) -> Result<(), HostError> {
        self.backend.delete_record(&self.record_type, which.into(), false)
    }

    /// Deletes a record for good.
    ///
    /// Refused as [`delete`](Self::delete) is.
    pub fn delete_permanently<'r>(&self, which: impl Into<RecordRef<'r>>) -> Result<(), HostError> {
        self.backend.delete_record(&self.record_type, which.into(), true)
    }

    fn called(&self, which: RecordRef<'_>) -> String {
        format!("{} `{which}`", self.record_type)
    }
}

/// Goes through the records of a list, from [`Records::iter`].
#[derive(Debug)]
pub struct Iter<'a, T> {
    records: Records<'a>,
    page: VecDeque<String>,
    after: Option<String>,
    is_last: bool,
    of: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Iterator for Iter<'_, T> {
    type Item = Result<T, HostError>;

    fn next(&mut self) -> Option<Self::Item> {
        let Records { backend, record_type, filter, order } = &self.records;
        while self.page.is_empty() && !self.is_last {
            let filter = filter.as_ref().map(Value::to_string);
            let (order, after) = (order.as_deref(), self.after.as_deref());
            match backend.record_page(record_type, filter.as_deref(), order, after, RECORDS_AT_ONCE) {
                Ok(page) => {
                    self.page = page.records.into();
                    self.is_last = page.next.is_none();
                    self.after = page.next;
                }
                Err(refused) => {
                    self.is_last = true;
                    return Some(Err(refused));
                }
            }
        }
        let read = from_json(record_type, &self.page.pop_front()?);
        if read.is_err() {
            self.page.clear();
            self.is_last = true;
        }
        Some(read)
    }
}
