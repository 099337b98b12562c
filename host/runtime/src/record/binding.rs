//! Which flow a webhook in the setting form runs.
//!
//! The setting names its flow, and the flow acts as the setting's user. So a name alone is not enough: a user who deploys
//! something under it would act as that user. The setting is bound to a flow by its id, by a person who may lend the user: the
//! writer of the setting, if there is a flow of that name already, or else who gives a flow the name, if that person may do
//! all that the user may. A call runs the bound flow, as long as that has the name.

use flowhost_model::{Comparison, Filter, Kind, Meta, RecordId, RecordType, Setting, User, definition};
use flowhost_store::{Expected, RecordQuery, RecordWrite, Store, StoredRecord, Write};
use serde_json::{Value, json};

use super::change::{Effect, RecordChange};
use super::service::members_of;
use crate::host::Host;
use crate::identity::Identity;
use crate::problem::Problem;
use crate::setting::{WEBHOOK_PREFIX, WebhookSetting};
use crate::webhook::Owner;

/// The member of a setting's body with the flow that a webhook is bound to.
pub(super) const BOUND: &str = "flow_id";

/// A setting that the host itself changes.
fn rebound(stored: StoredRecord, flow: Option<RecordId>) -> Result<StoredRecord, Problem> {
    let mut body = members_of(&stored.body)?;
    body.insert(BOUND.to_owned(), json!(flow));
    Ok(StoredRecord { body: Value::Object(body).to_string(), ..stored })
}

/// The change without a trace in the setting's history, whose value stays as it is.
fn write(record: StoredRecord) -> Write {
    let expected = Expected::Revision(record.revision);
    Write::Record(RecordWrite { record, expected, commit_message: None, is_remembered: false })
}

impl Host {
    /// Binds the webhooks in the setting form that name this flow to it, as far as `by` may do all that their users may. To
    /// be asked while [`Host::writing`] is held, when a flow gets a name.
    pub(crate) async fn bind_webhooks(
        &self,
        by: &Identity,
        flow: RecordId,
        name: &str,
    ) -> Result<RecordChange, Problem> {
        let mut change = RecordChange::default();
        let routes: Vec<_> = self.snapshot().unbound_routes(name, flow).cloned().collect();
        for route in routes {
            let Owner::Name(user) = &route.owner else { continue };
            let webhook = &route.webhook.name;
            let stored = self.store().record_by_name(RecordType::User, user).await?;
            let is_lent = match stored {
                None => false,
                Some(stored) => by.access.covers(&self.access_of_user(&stored.into_record::<User>()?.body)),
            };
            if !is_lent {
                tracing::warn!(
                    webhook,
                    flow = name,
                    "`{}` may do less than the webhook's user `{user}`, so that the webhook does not run this flow; to let it, a user who may do all of that writes the setting `{WEBHOOK_PREFIX}{webhook}` again",
                    by.user_name
                );
                continue;
            }
            if let Some(setting) = self.store().record(route.webhook.id).await? {
                let record = rebound(setting, Some(flow))?;
                change.writes.push(write(record.clone()));
                change.effects.push(Effect::Written(record));
            }
        }
        Ok(change)
    }

    /// The setting as it is restored, bound to the flow that has the name now, or to one of those that are restored with it.
    /// Its restorer may lend its user, which was checked before.
    pub(super) async fn bind_restored(&self, stored: StoredRecord, flows: &[Meta]) -> Result<StoredRecord, Problem> {
        let setting = stored.clone().into_record::<Setting>()?;
        let Ok(webhook) = WebhookSetting::from_value(&setting.body.value) else { return Ok(stored) };
        let with_it = flows.iter().find(|flow| flow.name == webhook.flow_name).map(|flow| flow.id);
        let flow = match with_it {
            Some(id) => Some(id),
            None => self.store().record_by_name(RecordType::Flow, &webhook.flow_name).await?.map(|flow| flow.meta.id),
        };
        rebound(stored, flow)
    }

    /// What a user may do, whether or not it is enabled.
    pub(crate) fn access_of_user(&self, user: &User) -> crate::access::Access {
        self.snapshot().access_of(&user.roles, false)
    }
}

/// Binds webhooks that an earlier version wrote, which knew flows by name only: each to the flow that it ran.
pub(crate) async fn bind_former(store: &dyn Store) -> Result<(), Problem> {
    let kind = definition(RecordType::Setting).property("name").map_or(Kind::LongText, |property| property.kind);
    let term = |op, text: &str| Filter::Term { field: "name", kind, op, value: Value::String(text.to_owned()) };
    // The first text behind all that begin with the prefix.
    let end = WEBHOOK_PREFIX.replace("webhook.", "webhook/");
    let filter = Some(Filter::And(vec![term(Comparison::Ge, WEBHOOK_PREFIX), term(Comparison::Lt, &end)]));
    let mut query = RecordQuery { filter, ..RecordQuery::default() };
    loop {
        let page = store.query_records(RecordType::Setting, query.clone()).await?;
        let mut writes = Vec::new();
        for stored in page.records {
            let body = members_of(&stored.body)?;
            let webhook = body.get("value").and_then(|value| WebhookSetting::from_value(value).ok());
            let Some(webhook) = webhook.filter(|_| !body.contains_key(BOUND)) else { continue };
            let flow = store.record_by_name(RecordType::Flow, &webhook.flow_name).await?;
            writes.push(write(rebound(stored, flow.map(|flow| flow.meta.id))?));
        }
        if !writes.is_empty() {
            store.write(writes).await?;
        }
        match page.next {
            None => return Ok(()),
            next => query.after = next,
        }
    }
}

#[cfg(test)]
mod tests {
    use flowhost_model::{Flow, Record, Timestamp};
    use flowhost_store::sqlite::{SqliteOptions, SqliteStore};

    use super::*;

    async fn kept(store: &dyn Store, record: StoredRecord) -> RecordId {
        let id = record.meta.id;
        let write = RecordWrite { record, expected: Expected::Absent, commit_message: None, is_remembered: true };
        store.write(vec![Write::Record(write)]).await.unwrap();
        id
    }

    /// A setting as an earlier version kept it.
    fn former(name: &str, flow: &str) -> StoredRecord {
        let setting =
            Setting { value: json!({ "flow_name": flow, "user_name": "u" }), key_digest: None, flow_id: None };
        let mut stored = StoredRecord::from_record(&Record::new(name, None, setting, Timestamp(0)).unwrap()).unwrap();
        let mut body = members_of(&stored.body).unwrap();
        body.shift_remove(BOUND);
        stored.body = Value::Object(body).to_string();
        stored
    }

    async fn bound(store: &dyn Store, id: RecordId) -> Option<Value> {
        members_of(&store.record(id).await.unwrap().unwrap().body).unwrap().get(BOUND).cloned()
    }

    #[tokio::test]
    async fn former_webhooks_are_bound_once_to_what_they_ran() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path(), SqliteOptions::default()).unwrap();
        let flow = |name: &str| {
            StoredRecord::from_record(&Record::new(name, None, Flow::default(), Timestamp(0)).unwrap()).unwrap()
        };
        let early = kept(&store, flow("early")).await;
        let mut webhooks = Vec::new();
        // More than a page has.
        for number in 0..120 {
            webhooks.push(kept(&store, former(&format!("{WEBHOOK_PREFIX}{number}"), "early")).await);
        }
        let late = kept(&store, former(&format!("{WEBHOOK_PREFIX}late"), "late")).await;
        let plain = kept(&store, former("client.webhook-", "early")).await;
        bind_former(&store).await.unwrap();
        // What comes later is not taken for what ran.
        kept(&store, flow("late")).await;
        let revision = store.revision().await.unwrap();
        bind_former(&store).await.unwrap();
        assert_eq!(store.revision().await.unwrap(), revision);
        for webhook in webhooks {
            assert_eq!(bound(&store, webhook).await, Some(json!(early)));
        }
        assert_eq!((bound(&store, late).await, bound(&store, plain).await), (Some(Value::Null), None));
    }
}
