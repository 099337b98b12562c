//! Webhooks as they are read: the records, and the settings that are webhooks.

use data_encoding::BASE64URL_NOPAD;
use flowhost_model::{Operation, RecordId, RecordType};
use flowhost_store::StoredRecord;
use serde_json::{Map, Value};

use super::service::{RecordView, may_read, no_such};
use super::state::named_from;
use crate::host::Host;
use crate::identity::Identity;
use crate::problem::Problem;
use crate::setting::WEBHOOK_PREFIX;

/// Bytes of a key that the host makes: as many as a signing key has.
const KEY_BYTES: usize = 32;

impl Host {
    /// The webhook of this name or id, in either form; one of the record form wins.
    pub async fn read_webhook(&self, by: &Identity, segment: &str, is_name: bool) -> Result<RecordView, Problem> {
        let definition = flowhost_model::definition(RecordType::Webhook);
        let missing = || no_such(definition, segment);
        let store = self.store();
        let (record, setting) = if is_name {
            let setting = format!("{WEBHOOK_PREFIX}{segment}");
            let record = store.record_by_name(RecordType::Webhook, segment.trim()).await?;
            (record, store.record_by_name(RecordType::Setting, &setting).await?)
        } else {
            let id: RecordId = segment.parse().map_err(|_| missing())?;
            let found = store.record(id).await?;
            match found {
                Some(found) if found.record_type == RecordType::Setting => (None, Some(found)),
                found => (found, None),
            }
        };
        if let Some(stored) = record {
            // Told by what was asked for: the id of a name that may not be read is nobody's business.
            let is_readable = stored.record_type == RecordType::Webhook && may_read(by, &stored);
            return if is_readable { self.view(stored).await } else { Err(missing()) };
        }
        let setting = setting.filter(|setting| setting.meta.deleted_at.is_none() && may_read_webhook(by, setting));
        self.view_setting(setting.ok_or_else(missing)?).await?.ok_or_else(missing)
    }

    /// Gives a webhook of the record form another key. The former is not valid any more.
    pub async fn rotate_webhook_key(&self, by: &Identity, id: RecordId) -> Result<String, Problem> {
        let mut bytes = [0; KEY_BYTES];
        getrandom::fill(&mut bytes).map_err(Problem::host)?;
        let key = BASE64URL_NOPAD.encode(&bytes);
        let change = Map::from_iter([
            ("key".to_owned(), Value::String(key.clone())),
            ("commit_message".to_owned(), Value::String("the key was rotated".into())),
        ]);
        self.update_record(by, RecordType::Webhook, id, change, None).await?;
        Ok(key)
    }

    /// The settings that are webhooks and are visible, by name.
    pub(super) async fn setting_webhooks(&self, by: &Identity) -> Result<Vec<RecordView>, Problem> {
        let mut query = named_from(WEBHOOK_PREFIX);
        let mut views = Vec::new();
        loop {
            let page = self.store().query_records(RecordType::Setting, query.clone()).await?;
            let settings: Vec<_> = page.records.into_iter().filter(|one| may_read_webhook(by, one)).collect();
            let own: Vec<_> = settings.iter().map(|setting| self.setting_as_webhook(setting)).collect();
            let shared = self.views(settings).await?;
            views.extend(own.into_iter().zip(shared).filter_map(|(own, shared)| Some(as_webhook(own?, shared))));
            if page.next.is_none() {
                return Ok(views);
            }
            query.after = page.next;
        }
    }

    /// A setting as the webhook that it is: the shared part is the setting's.
    async fn view_setting(&self, setting: StoredRecord) -> Result<Option<RecordView>, Problem> {
        let Some(own) = self.setting_as_webhook(&setting) else {
            return Ok(None);
        };
        Ok(Some(as_webhook(own, self.view(setting).await?)))
    }
}

/// The view of a setting with the properties of the webhook that it is, and those that it has like every record.
fn as_webhook(mut own: Map<String, Value>, setting: RecordView) -> RecordView {
    let definition = flowhost_model::definition(RecordType::Webhook);
    let properties =
        definition.all_properties().filter(|property| property.access != flowhost_model::Access::WriteOnly);
    let members = properties
        .map(|property| {
            let value = own.shift_remove(property.name).or_else(|| setting.members.get(property.name).cloned());
            (property.name.to_owned(), value.unwrap_or(Value::Null))
        })
        .collect();
    RecordView { members, ..setting }
}

pub(super) fn may_read_webhook(by: &Identity, setting: &StoredRecord) -> bool {
    by.access.may(Operation::Read, RecordType::Webhook, setting.meta.project_id)
}
