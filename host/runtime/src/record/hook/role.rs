//! Roles.

use flowhost_model::Permission;
use serde_json::{Value, json};

use super::{Draft, refuse};
use crate::access::Access;
use crate::identity::Identity;
use crate::problem::{Code, Problem};

/// Checks the permissions. Nobody gives what they do not have.
pub(super) fn prepare(by: &Identity, draft: &mut Draft) -> Result<(), Problem> {
    if !draft.touches("permissions") {
        return Ok(());
    }
    let Some(Value::Array(items)) = draft.body.get("permissions") else {
        return Err(refuse("permissions", "must be a list"));
    };
    let mut permissions = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let permission: Permission = serde_json::from_value(item.clone())
            .map_err(|error| refuse(&format!("permissions[{index}]"), error))?;
        permissions.push(permission);
    }
    if !by.access.covers(&permissions.iter().copied().collect::<Access>()) {
        return Err(Problem::new(Code::Forbidden, "`permissions`: the role would permit more than you may yourself"));
    }
    draft.body.insert("permissions".into(), json!(permissions));
    Ok(())
}
