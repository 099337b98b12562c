//! Webhooks of the record form.

use flowhost_model::{Record, RecordId, RecordType, RoleAssignment, Webhook, WebhookOptions, bounded_text};
use flowhost_store::StoredRecord;
use http::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Draft, flow_problem, refuse};
use crate::host::Host;
use crate::identity::Identity;
use crate::limits::BODY_BYTES_CAP;
use crate::problem::{Code, Problem};
use crate::setting::{WEBHOOK_PREFIX, WebhookSetting, check_key};
use crate::webhook::{FlowTarget, METHODS};

/// What callers of a webhook get whose flow cannot run.
const UNANSWERED: &str = "calls are answered as if the webhook did not exist";

/// Checks name, flow, options and key, and fills in what is unset.
fn prepare(draft: &mut Draft) -> Result<(), Problem> {
    check_webhook_name("name", &draft.meta.name)?;
    if draft.body.get("flow_id").is_none_or(Value::is_null) {
        return Err(refuse("flow_id", "is missing; name the flow, by either `flow_id` or `flow_name`"));
    }
    for (property, default) in [("is_enabled", false), ("is_productive", true), ("require_login", false)] {
        let value = draft.body.entry(property).or_insert(Value::Null);
        if value.is_null() {
            *value = Value::Bool(default);
        }
    }
    let location = draft.body.entry("execution_location").or_insert(Value::Null);
    if location.is_null() {
        *location = json!("flow_record");
    }
    let options = draft.body.get("options").filter(|options| !options.is_null());
    let options = options.map(WebhookOptions::deserialize).transpose().map_err(|error| refuse("options", error))?;
    let options = options.unwrap_or_default();
    check_options(&options)?;
    draft.body.insert("options".into(), json!(options));
    match draft.secrets.remove("key") {
        None => {}
        Some(Value::String(key)) => {
            let digest = check_key(&key, &options)?;
            draft.body.insert("key_digest".into(), json!(digest));
        }
        Some(_) => {
            draft.body.shift_remove("key_digest");
        }
    }
    Ok(())
}

/// Whether this can be a segment of an address: clients resolve dots away before they call.
pub(super) fn check_webhook_name(place: &str, name: &str) -> Result<(), Problem> {
    if name.is_empty() || name.contains('/') || matches!(name, "call" | "." | "..") {
        return Err(refuse(
            place,
            "a webhook's name is a part of its address: it has no `/` and is not `call`, `.` or `..`",
        ));
    }
    Ok(())
}

/// The longest time, in milliseconds, that a synchronous call may wait: connections through most networks are cut long before.
const WAIT_MS_CAP: u64 = 3_600_000;

/// Refuses options that nothing can come of, or that would not hold.
pub(crate) fn check_options(options: &WebhookOptions) -> Result<(), Problem> {
    if options.max_executions == Some(0) {
        return Err(refuse("options.max_executions", "is at least 1; to stop calls, disable the webhook"));
    }
    if options.wait_ms.is_some_and(|wait| !(1..=WAIT_MS_CAP).contains(&wait)) {
        let advice = format!("is 1 to {WAIT_MS_CAP}, an hour; a caller who need not wait calls with `?async`");
        return Err(refuse("options.wait_ms", advice));
    }
    if options.max_body_bytes.is_some_and(|bytes| bytes > BODY_BYTES_CAP) {
        return Err(refuse("options.max_body_bytes", format!("is at most {BODY_BYTES_CAP}")));
    }
    let methods = options.methods.as_deref();
    if methods.is_some_and(<[_]>::is_empty) {
        return Err(refuse("options.methods", "names no method; to stop calls, disable the webhook"));
    }
    let is_known = |method: &&String| METHODS.iter().any(|known| known.as_str() == **method);
    if let Some(method) = methods.unwrap_or_default().iter().find(|method| !is_known(method)) {
        let known = METHODS.each_ref().map(Method::as_str).join(", ");
        return Err(refuse("options.methods", format!("`{}` is none of {known}", bounded_text(method, 20))));
    }
    Ok(())
}

/// Joins the warnings that there are.
fn join(warnings: [Option<String>; 2]) -> Option<String> {
    let warnings: Vec<String> = warnings.into_iter().flatten().collect();
    (!warnings.is_empty()).then(|| warnings.join("; "))
}

/// A segment of a path: what is not plain is percent-encoded.
pub(crate) fn encode_segment(segment: &str) -> String {
    segment.bytes().fold(String::with_capacity(segment.len()), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
        encoded
    })
}

impl Host {
    /// Checks the webhook. Whoever decides what its roles are used for, the flow that it runs and who may call it, must have
    /// what they permit.
    ///
    /// Not so whoever switches it on and off, or moves or renames it: others decided what that starts.
    pub(super) fn prepare_webhook(
        &self,
        by: &Identity,
        draft: &mut Draft,
        former: Option<&StoredRecord>,
    ) -> Result<(), Problem> {
        let touches_key = draft.touches("key");
        prepare(draft)?;
        // The roles of a new webhook, like those that are written, were checked themselves.
        let Some(former) = former else { return Ok(()) };
        let held: Record<Webhook> = former.clone().into_record()?;
        let is_same = draft.body.get("roles").is_none_or(|roles| *roles == json!(held.body.roles));
        let flow_id = draft.body.get("flow_id").cloned();
        let require_login = draft.body.get("require_login").and_then(Value::as_bool);
        // Roles that are taken away may be given back, to the flow and the callers that were chosen meanwhile.
        if is_same
            && !touches_key
            && flow_id == Some(json!(held.body.flow_id))
            && require_login == Some(held.body.require_login.unwrap_or(false))
        {
            return Ok(());
        }
        self.refuse_lent_roles(by, &held.body.roles)
    }

    /// Whoever takes a webhook out of the trash lends its flow the roles again.
    pub(super) fn refuse_restored_webhook(&self, by: &Identity, stored: &StoredRecord) -> Result<(), Problem> {
        let webhook: Record<Webhook> = stored.clone().into_record()?;
        self.refuse_lent_roles(by, &webhook.body.roles)
    }

    /// What the executions of a webhook may do, the one who asks must be allowed to do.
    fn refuse_lent_roles(&self, by: &Identity, roles: &[RoleAssignment]) -> Result<(), Problem> {
        if by.access.covers(&self.snapshot().access_of(roles, true)) {
            return Ok(());
        }
        let detail = "the webhook's roles permit its executions more than you may yourself; ask who may do all of that";
        Err(Problem::new(Code::Forbidden, detail))
    }

    pub(super) fn webhook_property(
        &self,
        name: &str,
        stored: &StoredRecord,
        body: &Map<String, Value>,
    ) -> Option<Value> {
        let target = || {
            let webhook = Webhook::deserialize(&Value::Object(body.clone())).ok();
            webhook.map(|webhook| FlowTarget::Id(webhook.flow_id))
        };
        Some(match name {
            "flow_name" => {
                let id = body.get("flow_id").and_then(Value::as_str).and_then(|text| text.parse().ok());
                json!(id.and_then(|id| self.snapshot().flow_name(id).map(str::to_owned)))
            }
            "is_key_required" => json!(body.contains_key("key_digest")),
            "form" => json!("record"),
            "warning" => json!(self.warning_of_record(stored, body)),
            "url" => json!(format!("/api/latest/webhook/{}/call", encode_segment(&stored.meta.name))),
            "has_syntax_error" => json!(target().is_some_and(|target| flow_problem(self, &target))),
            // No interface is deprecated yet.
            "has_deprecation" => json!(false),
            _ => return None,
        })
    }

    /// Returns what keeps calls of a webhook in the record form from doing what its record says.
    fn warning_of_record(&self, stored: &StoredRecord, body: &Map<String, Value>) -> Option<String> {
        let webhook = Webhook::deserialize(&Value::Object(body.clone())).ok()?;
        let snapshot = self.snapshot();
        let flow = snapshot.flow_name(webhook.flow_id);
        let is_owned = stored.meta.modified_by.is_some_and(|user| snapshot.user(user).is_some());
        let warnings = [
            match flow {
                None => Some(format!("its flow does not exist any more: {UNANSWERED}")),
                Some(flow) => self.warning_of_version(flow, &FlowTarget::Id(webhook.flow_id)),
            },
            (webhook.is_productive == Some(false) && !is_owned).then(|| {
                "the user who changed it last is gone or disabled: in development mode, its executions pause until they \
                 are resumed"
                    .to_owned()
            }),
        ];
        join(warnings)
    }

    /// [`Host::warning_of_record`] of one in the setting form, which is bound to this flow.
    fn warning_of_setting(&self, webhook: &WebhookSetting, bound: Option<RecordId>) -> Option<String> {
        let (flow, user) = (&webhook.flow_name, &webhook.user_name);
        let warnings = [
            match self.snapshot().flow_id(flow) {
                None => Some(format!("there is no flow `{flow}`: {UNANSWERED}")),
                Some(id) if Some(id) != bound => Some(format!(
                    "it does not run the flow `{flow}`, which a user has deployed who may do less than `{user}`: \
                     {UNANSWERED}; to let it, a user who may do all of that writes the setting again"
                )),
                Some(id) => self.warning_of_version(flow, &FlowTarget::Id(id)),
            },
            self.snapshot()
                .user_named(user)
                .is_none()
                .then(|| format!("its user `{user}` is gone or disabled: calls run without a user's permissions")),
        ];
        join(warnings)
    }

    fn warning_of_version(&self, flow: &str, target: &FlowTarget) -> Option<String> {
        let is_missing = self.snapshot().active_version(target).is_none();
        is_missing.then(|| format!("its flow `{flow}` has no active version: {UNANSWERED}"))
    }

    /// A setting that is a webhook, as a webhook is read; none where it is another setting.
    pub(crate) fn setting_as_webhook(&self, stored: &StoredRecord) -> Option<Map<String, Value>> {
        let name = stored.meta.name.strip_prefix(WEBHOOK_PREFIX)?;
        let body: Map<String, Value> = serde_json::from_str(&stored.body).ok()?;
        let webhook = WebhookSetting::from_value(body.get("value")?).ok()?;
        let bound = body.get("flow_id").and_then(Value::as_str).and_then(|id| id.parse().ok());
        let target = FlowTarget::Bound { name: webhook.flow_name.clone(), id: bound };
        // What it runs, not what has the name.
        let flow_id = self.snapshot().flow_id(&webhook.flow_name).filter(|id| Some(*id) == bound);
        let workspace = encode_segment(&self.info().workspace);
        let own: Map<String, Value> = [
            ("name", json!(name)),
            ("record_type", json!(RecordType::Webhook.as_str())),
            ("resource_type", json!(RecordType::Webhook.as_str())),
            ("identity_type", json!(RecordType::Webhook.as_str())),
            ("flow_id", json!(flow_id)),
            ("flow_name", json!(webhook.flow_name)),
            ("user_name", json!(webhook.user_name)),
            ("is_enabled", json!(true)),
            ("is_key_required", json!(body.contains_key("key_digest"))),
            ("require_login", json!(false)),
            ("is_productive", json!(webhook.mode.is_productive())),
            ("execution_location", json!("flow_record")),
            ("options", json!(webhook.options)),
            ("form", json!("setting")),
            ("warning", json!(self.warning_of_setting(&webhook, bound))),
            ("url", json!(format!("/api/latest/webhook/{workspace}/{}", encode_segment(name)))),
            ("has_syntax_error", json!(flow_problem(self, &target))),
            ("has_deprecation", json!(false)),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
        Some(own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_encoded_unless_it_is_plain() {
        assert_eq!(encode_segment("sign-up_1.a~"), "sign-up_1.a~");
        assert_eq!(encode_segment("a b/é"), "a%20b%2F%C3%A9");
    }
}
