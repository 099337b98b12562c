//! What calls need of the records, in memory: the hot path makes no query.
//!
//! A snapshot is never changed. A record's change makes a new one, which the next call sees.

use std::collections::HashMap;
use std::sync::Arc;

use flowhost_model::{Digest, Flow, FlowRef, Record, RecordId, RecordType, Setting, User, Webhook, WebhookRef};
use flowhost_store::StoredRecord;

use crate::execution::Counter;
use crate::flow::{ActiveVersion, Programs};
use crate::problem::Problem;
use crate::setting::{WEBHOOK_PREFIX, WebhookSetting};
use crate::webhook::{Address, FlowTarget, Route, SharedRoute};

/// The records that calls need.
#[derive(Clone, Default)]
pub(crate) struct Snapshot {
    flows: HashMap<RecordId, ActiveVersion>,
    flow_ids: HashMap<String, RecordId>,
    /// Webhooks of the record form, by name.
    record_routes: HashMap<String, SharedRoute>,
    /// Webhooks of the setting form, by what follows the prefix in the setting's name.
    setting_routes: HashMap<String, SharedRoute>,
    /// Which route a record made, so that it goes when the record is renamed or deleted.
    route_keys: HashMap<RecordId, Address>,
    users: HashMap<RecordId, String>,
    tokens: HashMap<Digest, RecordId>,
}

impl Snapshot {
    /// The enabled webhook at this address.
    pub(crate) fn route(&self, address: &Address) -> Option<&SharedRoute> {
        match address {
            Address::Record { name } => self.record_routes.get(name),
            Address::Setting { name, .. } => self.setting_routes.get(name),
        }
    }

    /// The version that a call starts.
    pub(crate) fn active_version(&self, target: &FlowTarget) -> Option<ActiveVersion> {
        let id = match target {
            FlowTarget::Id(id) => id,
            FlowTarget::Name(name) => self.flow_ids.get(name)?,
        };
        self.flows.get(id).cloned()
    }

    /// The id of the flow with this name.
    pub(crate) fn flow_id(&self, name: &str) -> Option<RecordId> {
        self.flow_ids.get(name).copied()
    }

    /// The name of the flow with this id.
    pub(crate) fn flow_name(&self, id: RecordId) -> Option<&str> {
        self.flow_ids.iter().find(|(_, known)| **known == id).map(|(name, _)| name.as_str())
    }

    /// Whether there is an enabled user of this name.
    pub(crate) fn has_user(&self, name: &str) -> bool {
        self.users.values().any(|known| known == name)
    }

    /// The user that a token belongs to.
    pub(crate) fn user_of_token(&self, digest: &Digest) -> Option<(RecordId, &str)> {
        let id = self.tokens.get(digest)?;
        self.users.get(id).map(|name| (*id, name.as_str()))
    }

    /// All active versions.
    pub(crate) fn active_versions(&self) -> impl Iterator<Item = &ActiveVersion> {
        self.flows.values()
    }

    /// Takes in a record that was written.
    pub(crate) fn apply(&mut self, stored: StoredRecord, programs: &Programs) -> Result<(), Problem> {
        match stored.record_type {
            RecordType::Flow => self.apply_flow(stored.into_record()?, programs),
            RecordType::Webhook => self.apply_webhook(stored.into_record()?),
            RecordType::Setting => self.apply_setting(stored.into_record()?),
            RecordType::User => self.apply_user(stored.into_record()?),
            RecordType::Workspace => {}
        }
        Ok(())
    }

    /// Forgets a record that was deleted.
    pub(crate) fn remove(&mut self, id: RecordId) {
        self.flows.remove(&id);
        self.flow_ids.retain(|_, known| *known != id);
        self.remove_route(id);
        self.users.remove(&id);
        self.tokens.retain(|_, user| *user != id);
    }

    fn apply_flow(&mut self, flow: Record<Flow>, programs: &Programs) {
        let id = flow.meta.id;
        self.flow_ids.retain(|_, known| *known != id);
        self.flow_ids.insert(flow.meta.name.clone(), id);
        match flow.body {
            Flow { active_version: Some(version), digest: Some(digest) } => {
                let flow = FlowRef { id, name: flow.meta.name, version, digest };
                self.flows.insert(id, ActiveVersion { flow, program: programs.cell(digest) });
            }
            _ => {
                self.flows.remove(&id);
            }
        }
    }

    fn apply_webhook(&mut self, webhook: Record<Webhook>) {
        let running = self.remove_route(webhook.meta.id);
        if !webhook.body.is_enabled {
            return;
        }
        let name = webhook.meta.name;
        let route = Route {
            webhook: WebhookRef { id: webhook.meta.id, name: name.clone() },
            flow: FlowTarget::Id(webhook.body.flow_id),
            key_digest: webhook.body.key_digest,
            is_productive: webhook.body.is_productive,
            options: webhook.body.options,
            running,
        };
        self.route_keys.insert(webhook.meta.id, Address::Record { name: name.clone() });
        self.record_routes.insert(name, Arc::new(route));
    }

    fn apply_setting(&mut self, setting: Record<Setting>) {
        let running = self.remove_route(setting.meta.id);
        let Some(name) = setting.meta.name.strip_prefix(WEBHOOK_PREFIX).map(str::to_owned) else {
            return;
        };
        // What was written was checked; a value that an older version of this program took is skipped, not fatal.
        let Ok(webhook) = WebhookSetting::from_value(&setting.body.value) else {
            tracing::warn!(setting = %setting.meta.name, "the setting is not a webhook that this version understands");
            return;
        };
        let route = Route {
            webhook: WebhookRef { id: setting.meta.id, name: name.clone() },
            flow: FlowTarget::Name(webhook.flow_name),
            key_digest: setting.body.key_digest,
            is_productive: webhook.mode.is_productive(),
            options: webhook.options,
            running,
        };
        let address = Address::Setting { client: String::new(), name: name.clone() };
        self.route_keys.insert(setting.meta.id, address);
        self.setting_routes.insert(name, Arc::new(route));
    }

    fn apply_user(&mut self, user: Record<User>) {
        let id = user.meta.id;
        self.users.remove(&id);
        self.tokens.retain(|_, known| *known != id);
        if user.body.is_enabled {
            self.users.insert(id, user.meta.name);
            self.tokens.extend(user.body.token_digests.into_iter().map(|digest| (digest, id)));
        }
    }

    /// Removes the route that a record made. Gives its counter, which goes on counting the calls under way.
    fn remove_route(&mut self, id: RecordId) -> Counter {
        let route = match self.route_keys.remove(&id) {
            Some(Address::Record { name }) => self.record_routes.remove(&name),
            Some(Address::Setting { name, .. }) => self.setting_routes.remove(&name),
            None => None,
        };
        route.map(|route| route.running.clone()).unwrap_or_default()
    }
}
