//! Names that stand for ids, and ids that must name something.

use flowhost_model::{Home, Kind, RecordId, RecordType};
use flowhost_store::StoredRecord;
use serde_json::Value;

use super::draft::{Draft, refuse};
use super::service::may_read;
use crate::host::Host;
use crate::identity::Identity;
use crate::problem::Problem;

impl Host {
    /// Turns names into ids, and refuses references to nothing or to the trash. To refer to a flow is to use it: one that
    /// may not be read is nothing. That one may put records into a project or bundle is asked for with the record itself.
    pub(crate) async fn resolve_references(&self, by: &Identity, draft: &mut Draft) -> Result<(), Problem> {
        for (id_property, name) in std::mem::take(&mut draft.names) {
            let property = draft.definition.property(id_property);
            let Some(Kind::Id(Some(target))) = property.map(|property| property.kind) else {
                continue;
            };
            let name_property = id_property.replace("_id", "_name");
            let id = match name {
                None => None,
                Some(name) => {
                    let found = self.store().record_by_name(target, &name).await?;
                    let found = found.filter(|found| may_refer(by, found));
                    let missing = || {
                        refuse(&name_property, format!("there is no {} named `{name}`{}", word(target), hint(target)))
                    };
                    Some(found.ok_or_else(missing)?.meta.id)
                }
            };
            self.set_reference(draft, id_property, &name_property, id)?;
        }
        draft.settle_home()?;
        for property in draft.definition.all_properties() {
            let Kind::Id(Some(target)) = property.kind else { continue };
            let id = match property.name {
                "project_id" => draft.meta.project_id,
                "bundle_id" => draft.meta.bundle_id,
                name => draft.body.get(name).and_then(Value::as_str).and_then(|text| text.parse().ok()),
            };
            if let Some(id) = id.filter(|_| draft.touches(property.name)) {
                self.require(by, property.name, target, id).await?;
            }
        }
        Ok(())
    }

    fn set_reference(
        &self,
        draft: &mut Draft,
        id_property: &'static str,
        name_property: &str,
        id: Option<RecordId>,
    ) -> Result<(), Problem> {
        let by_id = match id_property {
            "project_id" => draft.meta.project_id,
            "bundle_id" => draft.meta.bundle_id,
            name => draft.body.get(name).and_then(Value::as_str).and_then(|text| text.parse().ok()),
        };
        if draft.touches(id_property) && by_id != id {
            return Err(refuse(name_property, format!("names another record than `{id_property}`")));
        }
        match id_property {
            "project_id" => draft.meta.project_id = id,
            "bundle_id" => draft.meta.bundle_id = id,
            name => {
                let value = id.map_or(Value::Null, |id| Value::String(id.to_string()));
                draft.body.insert(name.to_owned(), value);
            }
        }
        draft.touched.push(id_property);
        Ok(())
    }

    async fn require(&self, by: &Identity, place: &str, target: RecordType, id: RecordId) -> Result<(), Problem> {
        let found = self.store().record(id).await?;
        match found.filter(|found| found.record_type == target && may_refer(by, found)) {
            Some(found) if found.meta.deleted_at.is_some() => {
                Err(refuse(place, format!("the {} {id} is in the trash", word(target))))
            }
            Some(_) => Ok(()),
            None => Err(refuse(place, format!("there is no {} {id}", word(target)))),
        }
    }

    /// Puts a record that names no place into the default project, where its type may be in one.
    pub(crate) fn place(&self, draft: &mut Draft) {
        let is_placed = draft.meta.project_id.is_some() || draft.meta.bundle_id.is_some();
        if !is_placed && draft.definition.home == Home::ProjectOrBundle {
            draft.meta.project_id = Some(self.default_project());
        }
    }
}

fn may_refer(by: &Identity, target: &StoredRecord) -> bool {
    matches!(target.record_type, RecordType::Project | RecordType::Bundle) || may_read(by, target)
}

fn word(record_type: RecordType) -> &'static str {
    flowhost_model::definition(record_type).path
}

fn hint(record_type: RecordType) -> &'static str {
    match record_type {
        RecordType::Flow => "; deploy it first, with `flowhost deploy FILE --name NAME`",
        _ => "",
    }
}
