//! Flows.

use flowhost_model::RecordId;
use serde_json::{Value, json};

use crate::host::Host;
use crate::webhook::FlowTarget;

/// Whether the active version of a flow cannot be run, as far as that is known.
pub(super) fn flow_problem(host: &Host, target: &FlowTarget) -> bool {
    host.snapshot().active_version(target).is_some_and(|version| host.is_unusable(version.flow.digest))
}

impl Host {
    pub(super) fn flow_property(&self, name: &str, id: RecordId) -> Option<Value> {
        match name {
            "has_syntax_error" => Some(json!(flow_problem(self, &FlowTarget::Id(id)))),
            // No interface is deprecated yet.
            "has_deprecation" => Some(json!(false)),
            _ => None,
        }
    }
}
