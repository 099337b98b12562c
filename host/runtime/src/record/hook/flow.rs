//! Flows.

use flowhost_model::{FlowOptions, RecordId};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Draft, refuse};
use crate::flow::InputCheck;
use crate::host::Host;
use crate::outgoing::AllowList;
use crate::problem::Problem;
use crate::webhook::FlowTarget;

/// Checks the options.
pub(super) fn prepare(draft: &mut Draft) -> Result<(), Problem> {
    let options = draft.body.get("options").filter(|options| !options.is_null());
    let options = options.map(FlowOptions::deserialize).transpose().map_err(|error| refuse("options", error))?;
    if options.as_ref().and_then(|options| options.max_executions) == Some(0) {
        return Err(refuse("options.max_executions", "is at least 1; to stop calls, disable the webhooks"));
    }
    let http_allow = options.iter().flat_map(|options| &options.http_allow).flatten();
    AllowList::new(http_allow).map_err(|error| refuse("options.http_allow", error))?;
    draft.body.insert("options".into(), json!(options));
    Ok(())
}

/// Whether the active version of a flow cannot be run, as far as that is known.
pub(super) fn flow_problem(host: &Host, target: &FlowTarget) -> bool {
    host.snapshot().active_version(target).is_some_and(|version| {
        host.is_unusable(version.flow.digest) || matches!(version.input_check, InputCheck::Impossible)
    })
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
