//! Lists of records.

use std::cmp::Ordering;

use data_encoding::BASE64URL_NOPAD;
use flowhost_model::{Comparison, Filter, Kind, Operation, Order, RecordId, RecordType, definition};
use flowhost_store::{RecordPage, RecordQuery, Trash};
use serde_json::{Value, json};

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

    pub(crate) fn order(&self, record_type: RecordType) -> Result<Vec<Order>, Problem> {
        let order = self.order.as_deref().map(|order| Order::parse(order, definition(record_type)));
        Ok(order.transpose().map_err(malformed)?.unwrap_or_default())
    }
}

/// The records with these ids.
fn one_of(ids: impl Iterator<Item = RecordId>) -> Filter {
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
            trash: if request.is_trash { Trash::Only } else { Trash::Exclude },
            in_projects,
        };
        if query.limit == 0 {
            return Ok(List { items: Vec::new(), next: None });
        }
        let _turn = self.reading_turn(by).await;
        if record_type == RecordType::Webhook && !request.is_trash {
            return self.list_webhooks(by, query).await;
        }
        let page = self.store().query_records(record_type, query).await?;
        Ok(List { items: self.views(page.records).await?, next: page.next })
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
        let mut settings = self.setting_webhooks(by, query.filter.as_ref()).await?;
        settings.sort_by(|one, other| compare(&order, one, other));
        if let Some(last) = &place.setting {
            settings.retain(|setting| compare(&order, setting, last).is_gt());
        }
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
        while items.len() < query.limit as usize {
            let is_setting = match (records.peek(), settings.peek()) {
                (Some(record), Some(setting)) => compare(&order, setting, record).is_lt(),
                (None, Some(_)) => page.next.is_none(),
                (Some(_), None) => false,
                (None, None) => break,
            };
            let Some(item) = (if is_setting { settings.next() } else { records.next() }) else { break };
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

/// How two webhooks stand in an order as the store has it: by name unless something else is asked for, and by id where that
/// leaves them equal, in the direction of its last part.
fn compare(order: &[Order], one: &RecordView, other: &RecordView) -> Ordering {
    let by_name = [Order { field: "name", kind: Kind::LongText, is_descending: false }];
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
