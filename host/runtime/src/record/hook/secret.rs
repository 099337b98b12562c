//! Secrets.

use flowhost_model::RecordId;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Draft, refuse};
use crate::host::Host;
use crate::problem::{Code, Problem};
use crate::secret::{HostPattern, LONGEST_VALUE, SHORTEST_VALUE, Sealed};

/// The most hosts that a secret names.
const MOST_HOSTS: usize = 100;

impl Host {
    /// Seals the value, and checks the hosts.
    pub(super) fn prepare_secret(&self, draft: &mut Draft) -> Result<(), Problem> {
        let hosts = draft.body.get("hosts").filter(|hosts| !hosts.is_null());
        let hosts = hosts.map(Vec::<String>::deserialize).transpose().map_err(|error| refuse("hosts", error))?;
        let hosts = hosts.unwrap_or_default();
        if hosts.len() > MOST_HOSTS {
            return Err(refuse("hosts", format!("has {} hosts, at most {MOST_HOSTS} are allowed", hosts.len())));
        }
        for (index, host) in hosts.iter().enumerate() {
            HostPattern::parse(host).map_err(|reason| refuse(&format!("hosts[{index}]"), reason))?;
        }
        draft.body.insert("hosts".into(), json!(hosts));
        let is_readable = draft.body.get("is_readable").and_then(Value::as_bool).unwrap_or(false);
        draft.body.insert("is_readable".into(), json!(is_readable));
        match draft.secrets.remove("value") {
            None => {}
            Some(Value::String(value)) => {
                let sealed = self.seal(draft.meta.id, value)?;
                draft.body.insert("key_id".into(), json!(sealed.key_id));
                draft.body.insert("sealed".into(), json!(sealed.sealed));
            }
            Some(_) => {
                draft.body.shift_remove("key_id");
                draft.body.shift_remove("sealed");
            }
        }
        Ok(())
    }

    fn seal(&self, id: RecordId, value: String) -> Result<Sealed, Problem> {
        let value = zeroize::Zeroizing::new(value);
        if value.len() < SHORTEST_VALUE {
            let reason = "a value that short cannot be masked in logs and outputs, where it may stand by chance";
            return Err(refuse(
                "value",
                format!("has {} bytes, at least {SHORTEST_VALUE} are needed: {reason}", value.len()),
            ));
        }
        if value.len() > LONGEST_VALUE {
            return Err(refuse("value", format!("has {} bytes, at most {LONGEST_VALUE} are allowed", value.len())));
        }
        let keys = self.secrets().keys();
        if keys.sealing_key_id().is_none() {
            let how = "make one with `flowhost secret key FILE`, outside of the data folder, name the file in `secret_key_file` of the configuration, and start the host again";
            return Err(Problem::new(
                Code::SecretsUnavailable,
                format!("the host was started without a key for secrets; {how}"),
            ));
        }
        keys.seal(id, &value).ok_or_else(|| Problem::host("a secret could not be sealed"))
    }

    pub(super) fn secret_property(&self, name: &str, id: RecordId, body: &Map<String, Value>) -> Option<Value> {
        Some(match name {
            "is_set" => json!(body.contains_key("sealed")),
            "is_available" => {
                let sealed = Sealed::deserialize(&Value::Object(body.clone())).ok();
                json!(sealed.is_some_and(|sealed| self.secrets().keys().open(id, &sealed).is_ok()))
            }
            _ => return None,
        })
    }
}
