//! Lists of records.

use std::cmp::Ordering;

use data_encoding::BASE64URL_NOPAD;
use flowhost_model::{
    Access, Comparison, Filter, Kind, NAME_LIMIT, ORDERED_CHARACTERS, Operation, Order, RecordId, RecordType,
    definition, is_shared,
};
use flowhost_store::{RecordPage, RecordQuery, Trash};
use serde_json::{Map, Value, json};

use super::service::RecordView;
use crate::access::Reach;
use crate::host::Host;
use crate::identity::Identity;
use crate::problem::{Code, Problem};

/// Records on a page, unless asked for otherwise, and the most.
const PAGE: u32 = 50;
const PAGE_LIMIT: u32 = 1_000;

/// Which records a list holds.
#[derive(Clone, Debug, Default)]
pub struct ListRequest {
    /// A condition, as JSON.
    pub filter: Option<Value>,
    /// Names of properties, separated by commas; a `-` before a name for greatest first.
    pub order: Option<String>,
    /// Where the page before ended.
    pub after: Option<String>,
    /// How many at most.
    pub limit: Option<u32>,
    /// The page ends with the record that brings it to so many bytes; no such end where this is none.
    pub page_bytes: Option<usize>,
    /// The names of the properties that are read and shown; none for all of them.
    pub fields: Option<Vec<String>>,
    /// Those in the trash, in place of the others.
    pub is_trash: bool,
}

/// A page of a list.
#[derive(Clone, Debug)]
pub struct List<T> {
    /// What is on the page.
    pub items: Vec<T>,
    /// Where the next page begins; none on the last.
    pub next: Option<String>,
}

impl ListRequest {
    pub(crate) fn limit(&self) -> u32 {
        self.limit.unwrap_or(PAGE).min(PAGE_LIMIT)
    }

    pub(crate) fn filter(&self, record_type: RecordType) -> Result<Option<Filter>, Problem> {
        let filter = self.filter.as_ref().map(|filter| Filter::parse(filter, definition(record_type)));
        filter.transpose().map_err(malformed)
    }

    /// Whether a property is to be shown.
    pub(crate) fn shows(&self, property: &str) -> bool {
        self.fields.as_ref().is_none_or(|fields| fields.iter().any(|field| field == property))
    }

    /// Whether what is shown needs the part of the records that is their type's own.
    fn needs_bodies(&self, record_type: RecordType) -> bool {
        let mut properties = definition(record_type).all_properties();
        properties.any(|property| {
            let is_of_body = !is_shared(property.name) && !matches!(property.name, "identity_type" | "last_activity");
            is_of_body && property.access != Access::WriteOnly && self.shows(property.name)
        })
    }

    pub(crate) fn order(&self, record_type: RecordType) -> Result<Vec<Order>, Problem> {
        let order = self.order.as_deref().map(|order| Order::parse(order, definition(record_type)));
        Ok(order.transpose().map_err(malformed)?.unwrap_or_default())
    }
}

/// The records with these ids.
pub(crate) fn one_of(ids: impl Iterator<Item = RecordId>) -> Filter {
    let value = ids.map(|id| Value::String(id.to_string())).collect();
    Filter::Term { field: "id", kind: Kind::Id(None), op: Comparison::In, value }
}

fn malformed(error: impl std::fmt::Display) -> Problem {
    Problem::new(Code::Malformed, error.to_string())
}

impl Host {
    /// A page of the records of a type that the identity may read.
    pub async fn list_records(
        &self,
        by: &Identity,
        record_type: RecordType,
        request: ListRequest,
    ) -> Result<List<RecordView>, Problem> {
        let mut filter = request.filter(record_type)?;
        let in_projects = match by.access.projects(Operation::Read, record_type) {
            Reach::Everything => None,
            // A project is in none; those that the identity has something to do in are told by their ids.
            _ if record_type == RecordType::Project => {
                let own = one_of(by.access.own_projects());
                filter = Some(Filter::And(filter.into_iter().chain([own]).collect()));
                None
            }
            Reach::Projects(projects) => Some(projects),
            Reach::Nothing => Some(Vec::new()),
        };
        let query = RecordQuery {
            filter,
            order: request.order(record_type)?,
            after: request.after.clone(),
            limit: request.limit(),
            page_bytes: request.page_bytes,
            with_bodies: request.needs_bodies(record_type),
            trash: if request.is_trash { Trash::Only } else { Trash::Exclude },
            in_projects,
        };
        if query.limit == 0 {
            return Ok(List { items: Vec::new(), next: None });
        }
        let mut list = if record_type == RecordType::Webhook && !request.is_trash {
            // Those that are settings are put in order by what the records hold.
            self.list_webhooks(by, RecordQuery { with_bodies: true, ..query }).await?
        } else {
            let page = self.store().query_records(record_type, query).await?;
            List { items: self.views(page.records).await?, next: page.next }
        };
        if request.fields.is_some() {
            list.items.iter_mut().for_each(|item| item.members.retain(|name, _| request.shows(name)));
        }
        Ok(list)
    }

    /// A page of the webhooks of both forms, in one order. The records come from the store page by page; the settings that
    /// are webhooks are few, and sorted here.
    async fn list_webhooks(&self, by: &Identity, mut query: RecordQuery) -> Result<List<RecordView>, Problem> {
        let place = match &query.after {
            Some(after) => WebhookPlace::parse(after)
                .ok_or_else(|| malformed("`after`: it is not where a page of this list ended"))?,
            None => WebhookPlace::default(),
        };
        let order = query.order.clone();
        let settings = self.setting_webhooks(by).await?;
        let settings = self.matching(settings, query.filter.clone(), order.clone(), place.setting.clone()).await?;
        query.after = place.record.clone();
        let page = if place.records_are_done {
            RecordPage::default()
        } else {
            self.store().query_records(RecordType::Webhook, query.clone()).await?
        };
        let (mut records, mut settings) =
            (self.views(page.records).await?.into_iter().peekable(), settings.into_iter().peekable());
        let mut next = WebhookPlace { setting: place.setting, ..WebhookPlace::default() };
        let (mut items, mut taken) = (Vec::new(), 0);
        let mut room = query.page_bytes.unwrap_or(usize::MAX);
        while items.len() < query.limit as usize && room > 0 {
            let is_setting = match (records.peek(), settings.peek()) {
                (Some(record), Some(setting)) => compare(&order, setting, record).is_lt(),
                (None, Some(_)) => page.next.is_none(),
                (Some(_), None) => false,
                (None, None) => break,
            };
            let Some(item) = (if is_setting { settings.next() } else { records.next() }) else { break };
            room = room.saturating_sub(bytes(&item.members));
            if is_setting {
                next.setting = Some(item.clone());
            } else {
                taken += 1;
            }
            items.push(item);
        }
        let has_records = records.peek().is_some() || page.next.is_some();
        if !has_records && settings.peek().is_none() {
            return Ok(List { items, next: None });
        }
        next.records_are_done = !has_records;
        next.record = match (records.peek().is_some(), taken) {
            (false, _) => page.next,
            (true, 0) => place.record,
            // The place in the midst of the page.
            (true, taken) => {
                query.limit = taken;
                self.store().query_records(RecordType::Webhook, query).await?.next
            }
        };
        Ok(List { items, next: Some(next.text(&order)) })
    }
}

/// How many bytes the texts of a record have.
fn bytes(members: &Map<String, Value>) -> usize {
    let of_value = |value: &Value| match value {
        Value::String(text) => text.len(),
        Value::Array(_) | Value::Object(_) => value.to_string().len(),
        _ => 0,
    };
    members.iter().map(|(name, value)| name.len() + of_value(value)).sum()
}

impl Host {
    /// The settings that are webhooks, fit a filter and come after `last`, in an order. On a thread of its own, and for no
    /// longer than a list may take: the filter is the caller's, and so may the texts be.
    async fn matching(
        &self,
        settings: Vec<RecordView>,
        filter: Option<Filter>,
        order: Vec<Order>,
        last: Option<RecordView>,
    ) -> Result<Vec<RecordView>, Problem> {
        let limit = self.limits().list;
        let work = move || {
            let began = std::time::Instant::now();
            let mut found = Vec::new();
            for setting in settings {
                if began.elapsed() > limit {
                    return Err(flowhost_store::Error::TooCostly);
                }
                let fits = filter.as_ref().is_none_or(|filter| filter.matches(&setting.members));
                if fits && last.as_ref().is_none_or(|last| compare(&order, &setting, last).is_gt()) {
                    found.push(setting);
                }
            }
            found.sort_by(|one, other| compare(&order, one, other));
            Ok(found)
        };
        Ok(tokio::task::spawn_blocking(work).await.map_err(Problem::host)??)
    }
}

/// How two webhooks stand in an order as the store has it: by name unless something else is asked for, and by id where that
/// leaves them equal, in the direction of its last part.
fn compare(order: &[Order], one: &RecordView, other: &RecordView) -> Ordering {
    let by_name = [Order { field: "name", kind: Kind::Text(NAME_LIMIT as u32), is_descending: false }];
    let order = if order.is_empty() { &by_name } else { order };
    let by_id = one.id.cmp(&other.id);
    let is_descending = order.last().is_some_and(|last| last.is_descending);
    order
        .iter()
        .map(|part| part.compare(&one.members, &other.members))
        .find(|ordering| ordering.is_ne())
        .unwrap_or(if is_descending { by_id.reverse() } else { by_id })
}

/// Where a page of webhooks of both forms ended.
#[derive(Debug, Default)]
struct WebhookPlace {
    /// In the list of the records.
    record: Option<String>,
    records_are_done: bool,
    /// The last of the settings, with what it is ordered by.
    setting: Option<RecordView>,
}

impl WebhookPlace {
    fn text(&self, order: &[Order]) -> String {
        let setting = self.setting.as_ref().map(|setting| {
            let is_ordered_by = |name: &str| name == "name" || order.iter().any(|part| part.field == name);
            let mut members = setting.members.clone();
            members.retain(|name, _| is_ordered_by(name));
            for value in members.values_mut() {
                if let Value::String(text) = value
                    && let Some((end, _)) = text.char_indices().nth(ORDERED_CHARACTERS)
                {
                    text.truncate(end);
                }
            }
            json!({ "id": setting.id, "members": members })
        });
        let place = json!({ "record": self.record, "done": self.records_are_done, "setting": setting });
        BASE64URL_NOPAD.encode(place.to_string().as_bytes())
    }

    fn parse(text: &str) -> Option<Self> {
        let place: Value = serde_json::from_slice(&BASE64URL_NOPAD.decode(text.as_bytes()).ok()?).ok()?;
        let setting = match place.get("setting")? {
            Value::Null => None,
            setting => Some(RecordView {
                id: setting.get("id")?.as_str()?.parse().ok()?,
                members: setting.get("members")?.as_object()?.clone(),
                revision: 0,
            }),
        };
        Some(Self {
            record: place.get("record")?.as_str().map(str::to_owned),
            records_are_done: place.get("done")?.as_bool()?,
            setting,
        })
    }
}
