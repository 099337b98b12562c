//! Lists of records.

use flowhost_model::{Filter, Operation, Order, RecordType, definition};
use flowhost_store::{RecordQuery, Trash};
use serde_json::Value;

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
        self.limit.unwrap_or(PAGE).clamp(1, PAGE_LIMIT)
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
        let in_projects = match by.access.projects(Operation::Read, record_type) {
            Reach::Everything => None,
            Reach::Projects(projects) => Some(projects),
            Reach::Nothing => Some(Vec::new()),
        };
        let query = RecordQuery {
            filter: request.filter(record_type)?,
            order: request.order(record_type)?,
            after: request.after.clone(),
            limit: request.limit(),
            trash: if request.is_trash { Trash::Only } else { Trash::Exclude },
            in_projects,
        };
        let page = self.store().query_records(record_type, query).await?;
        let mut items = Vec::with_capacity(page.records.len());
        for stored in page.records {
            items.push(self.view(stored).await?);
        }
        // They are few, and come after the last of the records.
        if record_type == RecordType::Webhook && page.next.is_none() && !request.is_trash {
            items.extend(self.setting_webhooks(by, request.filter(record_type)?.as_ref()).await?);
        }
        Ok(List { items, next: page.next })
    }
}
