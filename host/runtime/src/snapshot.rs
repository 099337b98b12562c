//! What calls need of the records, in memory: the hot path makes no query.
//!
//! A snapshot is never changed. A record's change makes a new one, which the next call sees.

use std::collections::HashMap;
use std::sync::Arc;

use flowhost_model::{
    ApiToken, Digest, ExecutionLocation, Flow, FlowOptions, FlowRef, Permission, Record, RecordId, RecordType, Role,
    RoleAssignment, Setting, Timestamp, User, Webhook, WebhookRef, composed,
};
use flowhost_store::StoredRecord;

use crate::access::Access;
use crate::execution::{Counted, Counters};
use crate::flow::{ActiveVersion, InputCheck, Programs};
use crate::outgoing::AllowList;
use crate::problem::Problem;
use crate::setting::{WEBHOOK_PREFIX, WebhookSetting};
use crate::webhook::{Address, FlowTarget, Owner, Route, SharedRoute};

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
    roles: HashMap<RecordId, Arc<[Permission]>>,
    /// The roles of webhooks of the record form, also of disabled ones: their executions may be under way.
    webhook_roles: HashMap<RecordId, Vec<RoleAssignment>>,
    users: HashMap<RecordId, Arc<KnownUser>>,
    user_ids: HashMap<String, RecordId>,
    tokens: HashMap<Digest, KnownToken>,
    /// How many executions webhooks have, also those without a route.
    counters: Counters,
}

/// An enabled user.
#[derive(Debug)]
pub(crate) struct KnownUser {
    pub(crate) name: String,
    pub(crate) roles: Vec<RoleAssignment>,
    pub(crate) password_hash: Option<String>,
    /// Sessions that began before are over.
    pub(crate) sessions_valid_from: Option<Timestamp>,
}

/// The user that a token authorises.
pub(crate) struct TokenUser<'a> {
    pub(crate) user_id: RecordId,
    pub(crate) user: &'a KnownUser,
    /// What the token permits.
    pub(crate) access: Access,
    /// The token's id; `None` for the operator's.
    pub(crate) token_id: Option<RecordId>,
}

/// A token of a user.
#[derive(Clone, Debug)]
struct KnownToken {
    id: Option<RecordId>,
    user: RecordId,
    expires_at: Option<Timestamp>,
    role_ids: Option<Vec<RecordId>>,
}

impl Snapshot {
    /// The enabled webhook at this address.
    pub(crate) fn route(&self, address: &Address) -> Option<&SharedRoute> {
        let (routes, name) = match address {
            Address::Record { name } => (&self.record_routes, name),
            Address::Setting { name, .. } => (&self.setting_routes, name),
        };
        routes.get(&*composed(name)).or_else(|| routes.get(name))
    }

    /// Counts an execution of a webhook that no call starts now, whatever the webhook's limit.
    pub(crate) fn count(&self, webhook: RecordId) -> Option<Counted> {
        self.counters.of(webhook).enter(None)
    }

    /// The version that a call starts.
    pub(crate) fn active_version(&self, target: &FlowTarget) -> Option<ActiveVersion> {
        let id = match target {
            FlowTarget::Id(id) => id,
            FlowTarget::Name(name) => self.flow_ids.get(name)?,
            FlowTarget::Bound { name, id } => self.flow_ids.get(name).filter(|known| Some(**known) == *id)?,
        };
        self.flows.get(id).cloned()
    }

    /// The enabled webhooks that run the flow with this id, or would if it were not in the trash.
    pub(crate) fn routes_to(&self, flow: RecordId) -> impl Iterator<Item = &SharedRoute> {
        self.record_routes.values().chain(self.setting_routes.values()).filter(move |route| match &route.flow {
            FlowTarget::Id(id) => *id == flow,
            FlowTarget::Bound { id, .. } => *id == Some(flow),
            FlowTarget::Name(_) => false,
        })
    }

    /// The webhooks of the setting form that name a flow so, and are not bound to this one.
    pub(crate) fn unbound_routes(&self, name: &str, flow: RecordId) -> impl Iterator<Item = &SharedRoute> {
        self.setting_routes.values().filter(move |route| match &route.flow {
            FlowTarget::Bound { name: named, id } => named == name && *id != Some(flow),
            FlowTarget::Id(_) | FlowTarget::Name(_) => false,
        })
    }

    /// How the executions of a flow are queued and limited.
    pub(crate) fn flow_options(&self, flow: RecordId) -> Option<&FlowOptions> {
        self.flows.get(&flow).map(|version| &version.options)
    }

    /// Where a flow says that it sends requests; none where there is no such flow.
    pub(crate) fn http_allow(&self, flow: RecordId) -> Option<&AllowList> {
        self.flows.get(&flow).map(|version| &*version.http_allow)
    }

    /// The roles of a webhook of the record form.
    pub(crate) fn webhook_roles(&self, webhook: RecordId) -> &[RoleAssignment] {
        self.webhook_roles.get(&webhook).map_or(&[], Vec::as_slice)
    }

    /// The id of the flow with this name.
    pub(crate) fn flow_id(&self, name: &str) -> Option<RecordId> {
        self.flow_ids.get(&*composed(name)).or_else(|| self.flow_ids.get(name)).copied()
    }

    /// The name of the flow with this id.
    pub(crate) fn flow_name(&self, id: RecordId) -> Option<&str> {
        self.flow_ids.iter().find(|(_, known)| **known == id).map(|(name, _)| name.as_str())
    }

    /// The enabled user of this name.
    pub(crate) fn user_named(&self, name: &str) -> Option<(RecordId, &Arc<KnownUser>)> {
        let id = self.user_ids.get(&*composed(name)).or_else(|| self.user_ids.get(name))?;
        self.users.get(id).map(|user| (*id, user))
    }

    /// The enabled user with this id.
    pub(crate) fn user(&self, id: RecordId) -> Option<&Arc<KnownUser>> {
        self.users.get(&id)
    }

    /// The user that a token belongs to, with the roles that it carries.
    pub(crate) fn user_of_token(&self, digest: &Digest, now: Timestamp) -> Option<TokenUser<'_>> {
        let token = self.tokens.get(digest)?;
        if token.expires_at.is_some_and(|expiry| expiry < now) {
            return None;
        }
        let user = self.users.get(&token.user)?;
        let access = match &token.role_ids {
            None => self.access_of(&user.roles, false),
            Some(narrowed) => {
                let held = user.roles.iter().filter(|held| narrowed.contains(&held.role_id));
                self.access_of(&held.copied().collect::<Vec<_>>(), false)
            }
        };
        Some(TokenUser { user_id: token.user, user, access, token_id: token.id })
    }

    /// What these roles permit together; only those that executions get, where `propagated` is asked for.
    pub(crate) fn access_of(&self, roles: &[RoleAssignment], propagated: bool) -> Access {
        let held = roles.iter().filter(|assignment| assignment.propagate || !propagated);
        let permissions = held.filter_map(|assignment| self.roles.get(&assignment.role_id));
        permissions.flat_map(|permissions| permissions.iter().copied()).collect()
    }

    /// All active versions.
    pub(crate) fn active_versions(&self) -> impl Iterator<Item = &ActiveVersion> {
        self.flows.values()
    }

    /// Whether a record is in here, or may have to be. Most settings and all files are for flows only.
    pub(crate) fn concerns(&self, record: &StoredRecord) -> bool {
        match record.record_type {
            RecordType::Flow | RecordType::Webhook | RecordType::User | RecordType::Role => true,
            RecordType::Setting => {
                record.meta.name.starts_with(WEBHOOK_PREFIX) || self.route_keys.contains_key(&record.meta.id)
            }
            RecordType::Bundle
            | RecordType::Execution
            | RecordType::File
            | RecordType::Message
            | RecordType::Organization
            | RecordType::Project
            // These are in a place of their own.
            | RecordType::Secret
            | RecordType::Workspace => false,
        }
    }

    /// Takes in a record that was written. One in the trash is as good as gone.
    pub(crate) fn apply(&mut self, stored: StoredRecord, programs: &Programs) -> Result<(), Problem> {
        if stored.meta.deleted_at.is_some() {
            self.remove(stored.meta.id);
            return Ok(());
        }
        match stored.record_type {
            RecordType::Flow => self.apply_flow(stored.into_record()?, programs),
            RecordType::Webhook => self.apply_webhook(stored.into_record()?),
            RecordType::Setting => self.apply_setting(stored.into_record()?),
            RecordType::User => self.apply_user(stored.into_record()?),
            RecordType::Role => {
                let role: Record<Role> = stored.into_record()?;
                self.roles.insert(role.meta.id, role.body.permissions.into());
            }
            RecordType::Bundle
            | RecordType::Execution
            | RecordType::File
            | RecordType::Message
            | RecordType::Organization
            | RecordType::Project
            // These are in a place of their own.
            | RecordType::Secret
            | RecordType::Workspace => {}
        }
        Ok(())
    }

    /// Forgets a record that was deleted.
    pub(crate) fn remove(&mut self, id: RecordId) {
        self.flows.remove(&id);
        self.flow_ids.retain(|_, known| *known != id);
        self.remove_route(id);
        self.roles.remove(&id);
        self.webhook_roles.remove(&id);
        self.remove_user(id);
    }

    fn remove_user(&mut self, id: RecordId) {
        self.users.remove(&id);
        self.user_ids.retain(|_, known| *known != id);
        self.tokens.retain(|_, token| token.user != id);
    }

    fn apply_flow(&mut self, flow: Record<Flow>, programs: &Programs) {
        let id = flow.meta.id;
        let (project_id, bundle_id) = (flow.meta.project_id, flow.meta.bundle_id);
        self.flow_ids.retain(|_, known| *known != id);
        self.flow_ids.insert(flow.meta.name.clone(), id);
        match flow.body {
            Flow { active_version: Some(version), digest: Some(digest), options, metadata } => {
                let flow = FlowRef { id, name: flow.meta.name, version, digest };
                let (options, program) = (options.unwrap_or_default(), programs.cell(digest));
                let http_allow = AllowList::new(options.http_allow.iter().flatten()).unwrap_or_else(|error| {
                    // What was written was checked, by this version of the program or another.
                    tracing::warn!(flow = %flow.name, %error, "the flow may send no requests");
                    AllowList::default()
                });
                let http_allow = Arc::new(http_allow);
                let input_check = InputCheck::of(&flow.name, &options, metadata);
                let version = ActiveVersion { flow, project_id, bundle_id, options, http_allow, input_check, program };
                self.flows.insert(id, version);
            }
            _ => {
                self.flows.remove(&id);
            }
        }
    }

    fn apply_webhook(&mut self, webhook: Record<Webhook>) {
        self.remove_route(webhook.meta.id);
        self.webhook_roles.insert(webhook.meta.id, webhook.body.roles);
        if webhook.body.is_enabled != Some(true) {
            return;
        }
        let name = webhook.meta.name;
        let route = Route {
            webhook: WebhookRef { id: webhook.meta.id, name: name.clone() },
            flow: FlowTarget::Id(webhook.body.flow_id),
            key_digest: webhook.body.key_digest,
            require_login: webhook.body.require_login.unwrap_or(false),
            is_productive: webhook.body.is_productive.unwrap_or(true),
            options: webhook.body.options.unwrap_or_default(),
            project_id: webhook.meta.project_id,
            bundle_id: webhook.meta.bundle_id,
            location: webhook.body.execution_location.unwrap_or_default(),
            owner: Owner::Id(webhook.meta.modified_by),
            running: self.counters.of(webhook.meta.id),
        };
        self.route_keys.insert(webhook.meta.id, Address::Record { name: name.clone() });
        self.record_routes.insert(name, Arc::new(route));
    }

    fn apply_setting(&mut self, setting: Record<Setting>) {
        self.remove_route(setting.meta.id);
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
            flow: FlowTarget::Bound { name: webhook.flow_name, id: setting.body.flow_id },
            key_digest: setting.body.key_digest,
            require_login: false,
            is_productive: webhook.mode.is_productive(),
            options: webhook.options,
            project_id: setting.meta.project_id,
            bundle_id: setting.meta.bundle_id,
            location: ExecutionLocation::FlowRecord,
            owner: Owner::Name(webhook.user_name),
            running: self.counters.of(setting.meta.id),
        };
        let address = Address::Setting { client: String::new(), name: name.clone() };
        self.route_keys.insert(setting.meta.id, address);
        self.setting_routes.insert(name, Arc::new(route));
    }

    fn apply_user(&mut self, user: Record<User>) {
        let id = user.meta.id;
        self.remove_user(id);
        if !user.body.is_enabled() {
            return;
        }
        let User { roles, password_hash, sessions_valid_from, api_tokens, operator_token, .. } = user.body;
        let name = user.meta.name;
        self.user_ids.insert(name.clone(), id);
        self.users.insert(id, Arc::new(KnownUser { name, roles, password_hash, sessions_valid_from }));
        let operator = KnownToken { id: None, user: id, expires_at: None, role_ids: None };
        let operator = operator_token.map(|digest| (digest, operator));
        let tokens = api_tokens.into_iter().map(|token| {
            let ApiToken { id: token_id, digest, expires_at, role_ids, .. } = token;
            (digest, KnownToken { id: Some(token_id), user: id, expires_at, role_ids })
        });
        self.tokens.extend(tokens.chain(operator));
    }

    /// Removes the route that a record made.
    fn remove_route(&mut self, id: RecordId) {
        match self.route_keys.remove(&id) {
            Some(Address::Record { name }) => drop(self.record_routes.remove(&name)),
            Some(Address::Setting { name, .. }) => drop(self.setting_routes.remove(&name)),
            None => {}
        }
    }
}
