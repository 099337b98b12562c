//! Roles.

use flowhost_model::{Permission, Record, RecordType, Role};
use flowhost_store::StoredRecord;
use serde_json::{Value, json};

use super::{Draft, refuse};
use crate::access::Access;
use crate::host::Host;
use crate::identity::Identity;
use crate::problem::{Code, Problem};

impl Host {
    /// Checks the permissions. No one gives what they do not have, nor takes it away from others.
    pub(super) async fn prepare_role(
        &self,
        by: &Identity,
        draft: &mut Draft,
        former: Option<&StoredRecord>,
    ) -> Result<(), Problem> {
        if !draft.touches("permissions") {
            return Ok(());
        }
        if let Some(former) = former {
            self.refuse_foreign_role(by, former)?;
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
            let detail = "`permissions`: the role would permit more than you may yourself";
            return Err(Problem::new(Code::Forbidden, detail));
        }
        for (index, project) in permissions.iter().enumerate().filter_map(|(at, one)| Some((at, one.project_id?))) {
            let found = self.store().record(project).await?;
            if found.is_none_or(|found| found.record_type != RecordType::Project) {
                let place = format!("permissions[{index}].project_id");
                return Err(refuse(&place, format!("there is no project {project}")));
            }
        }
        draft.body.insert("permissions".into(), json!(permissions));
        Ok(())
    }

    /// Refuses to take a role away from all who are assigned it, or to lend it to them again, if it permits more than `by` may.
    pub(super) fn refuse_foreign_role(&self, by: &Identity, stored: &StoredRecord) -> Result<(), Problem> {
        let role: Record<Role> = stored.clone().into_record()?;
        if by.access.covers(&role.body.permissions.into_iter().collect::<Access>()) {
            return Ok(());
        }
        Err(Problem::new(Code::Forbidden, "the role permits more than you may yourself"))
    }
}
