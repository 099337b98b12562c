//! Create, read, update, trash, restore, delete.

use flowhost_model::{Comparison, Filter, Meta, Operation, RecordId, RecordType, TypeDefinition, definition};
use flowhost_store::{Expected, FileContent, HistoryEntry, RecordQuery, RecordWrite, StoredRecord, Trash, Write};
use serde_json::{Map, Value};

use super::change::{Effect, RecordChange, Remembered};
use super::draft::{Draft, refuse};
use super::list::{List, ListRequest};
use super::webhooks::may_read_webhook;
use crate::host::Host;
use crate::identity::Identity;
use crate::problem::{Code, Problem};
use crate::setting::WEBHOOK_PREFIX;

/// What an identity may change of its own record without a permission. A password is checked on its own.
const OWN: [&str; 4] = ["commit_message", "description", "email", "password"];

/// A record as it is read.
#[derive(Clone, Debug)]
pub struct RecordView {
    /// Its id.
    pub id: RecordId,
    /// Every property that may be read, in the order of the definition.
    pub members: Map<String, Value>,
    /// Changes with every write of the record.
    pub revision: u64,
}

/// What a request may say about a deletion.
#[derive(Clone, Debug, Default)]
pub struct Deletion {
    /// Past the trash, for good.
    pub is_permanent: bool,
    /// Why.
    pub commit_message: Option<String>,
}

pub(crate) fn members_of(body: &str) -> Result<Map<String, Value>, Problem> {
    serde_json::from_str(body).map_err(|error| Problem::host(format!("a damaged record: {error}")))
}

/// The problem of a record that does not exist, or that may not be read: a caller cannot tell which.
pub(crate) fn no_such(definition: &TypeDefinition, name: &str) -> Problem {
    Problem::new(Code::RecordNotFound, format!("there is no {} `{name}`", definition.path))
}

impl Host {
    /// Refuses what the identity may not do.
    pub(crate) fn permit(
        &self,
        by: &Identity,
        operation: Operation,
        record_type: RecordType,
        project_id: Option<RecordId>,
    ) -> Result<(), Problem> {
        if by.access.may(operation, record_type, project_id) {
            return Ok(());
        }
        let (what, path) = (operation.as_str(), definition(record_type).path);
        Err(Problem::new(Code::Forbidden, format!("`{}` has no permission {what} for this {path}", by.user_name)))
    }

    /// Makes a record of the members of a request.
    pub async fn create_record(
        &self,
        by: &Identity,
        record_type: RecordType,
        members: Map<String, Value>,
    ) -> Result<RecordView, Problem> {
        let _writing = self.writing(by.user_id).await;
        let prepared = self.prepare_creation(by, record_type, members, None, Remembered::Yes).await?;
        self.commit_viewed(prepared).await
    }

    /// The change that makes a record of the members of a request, checked, and the record as it is then. To be made while
    /// [`Host::writing`] is held.
    pub(crate) async fn prepare_creation(
        &self,
        by: &Identity,
        record_type: RecordType,
        members: Map<String, Value>,
        content: Option<FileContent>,
        remembered: Remembered,
    ) -> Result<(RecordChange, RecordView), Problem> {
        let definition = definition(record_type);
        if !definition.is_managed {
            return Err(Problem::new(Code::MethodNotAllowed, format!("a {} cannot be made", definition.path)));
        }
        let mut draft = Draft::new(definition, by.user_id, self.now());
        draft.content = content;
        draft.apply(members, None)?;
        self.resolve_references(by, &mut draft).await?;
        self.place(&mut draft);
        self.permit(by, Operation::Create, record_type, draft.meta.project_id)?;
        self.refuse_readonly_parent(&draft.meta).await?;
        self.prepare_draft(by, &mut draft, None).await?;
        self.change_by(by, draft, None, remembered).await
    }

    /// Makes a change of one record by itself, and gives the record as it is then.
    pub(crate) async fn commit_viewed(&self, prepared: (RecordChange, RecordView)) -> Result<RecordView, Problem> {
        let (change, view) = prepared;
        let revision = self.commit(change).await?;
        Ok(RecordView { revision, ..view })
    }

    /// The record with this id.
    pub async fn read_record(
        &self,
        by: &Identity,
        record_type: RecordType,
        id: RecordId,
    ) -> Result<RecordView, Problem> {
        let stored = self.readable(by, record_type, id).await?;
        self.view_whole(stored, None).await
    }

    /// The id of the record of this name, if it may be read. Of a webhook that is a setting, that is the setting's.
    pub async fn record_id(&self, by: &Identity, record_type: RecordType, name: &str) -> Result<RecordId, Problem> {
        let stored = self.store().record_by_name(record_type, name.trim()).await?;
        let readable = match stored {
            None if record_type == RecordType::Webhook => {
                let setting = format!("{WEBHOOK_PREFIX}{name}");
                let setting = self.store().record_by_name(RecordType::Setting, &setting).await?;
                setting.filter(|setting| may_read_webhook(by, setting))
            }
            stored => stored.filter(|stored| may_read(by, stored)),
        };
        Ok(readable.ok_or_else(|| no_such(definition(record_type), name))?.meta.id)
    }

    /// Changes a record by the members of a request; what is absent stays as it is. `if_match` is the revision that the
    /// writer has read.
    pub async fn update_record(
        &self,
        by: &Identity,
        record_type: RecordType,
        id: RecordId,
        members: Map<String, Value>,
        if_match: Option<u64>,
    ) -> Result<RecordView, Problem> {
        let _writing = self.writing(by.user_id).await;
        let prepared = self.prepare_update(by, record_type, id, members, None, if_match, Remembered::Yes).await?;
        self.commit_viewed(prepared).await
    }

    /// The change of a record by the members of a request, and of a file's bytes, checked, and the record as it is then. To
    /// be made while [`Host::writing`] is held.
    #[allow(clippy::too_many_arguments)] // A request, and who makes it how.
    pub(crate) async fn prepare_update(
        &self,
        by: &Identity,
        record_type: RecordType,
        id: RecordId,
        members: Map<String, Value>,
        content: Option<FileContent>,
        if_match: Option<u64>,
        remembered: Remembered,
    ) -> Result<(RecordChange, RecordView), Problem> {
        if record_type == RecordType::Execution {
            return Err(Problem::new(Code::MethodNotAllowed, "an execution cannot be changed"));
        }
        if record_type == RecordType::Message {
            return Err(Problem::new(Code::MethodNotAllowed, "a message cannot be changed, only responded to"));
        }
        self.refuse_setting_form(by, record_type, id).await?;
        let stored = self.readable(by, record_type, id).await?;
        if by.user_id != id || !members.keys().all(|name| OWN.contains(&name.as_str())) {
            self.permit(by, Operation::Update, record_type, stored.meta.project_id)?;
        }
        refuse_trashed(&stored)?;
        refuse_outdated(&stored, if_match)?;
        let is_clearing = content.is_none()
            && members.iter().all(|(name, value)| {
                name == "commit_message" || (name == "is_readonly" && *value == Value::Bool(false))
            });
        if stored.meta.is_readonly && !is_clearing {
            return Err(Problem::new(
                Code::RecordReadonly,
                "the record is read-only; clear `is_readonly` first, by itself",
            ));
        }
        self.refuse_readonly_parent(&stored.meta).await?;
        let current = self.view(stored.clone()).await?.members;
        let former = stored.clone();
        let mut draft = Draft::of(definition(record_type), stored.meta, members_of(&stored.body)?);
        draft.content = content;
        draft.apply(members, Some(&current))?;
        self.resolve_references(by, &mut draft).await?;
        self.place(&mut draft);
        if (draft.meta.project_id, draft.meta.bundle_id) != (former.meta.project_id, former.meta.bundle_id) {
            self.permit(by, Operation::Update, record_type, draft.meta.project_id)?;
            self.refuse_readonly_parent(&draft.meta).await?;
        }
        draft.meta.modified_at = self.now();
        draft.meta.modified_by = Some(by.user_id);
        self.prepare_draft(by, &mut draft, Some(&former)).await?;
        self.change_by(by, draft, Some(&former), remembered).await
    }

    /// Puts a record into the trash, where it cannot be used, or deletes it for good.
    pub async fn delete_record(
        &self,
        by: &Identity,
        record_type: RecordType,
        id: RecordId,
        deletion: Deletion,
        if_match: Option<u64>,
    ) -> Result<(), Problem> {
        let _writing = self.writing(by.user_id).await;
        let change = self.prepare_deletion(by, record_type, id, deletion, if_match, Remembered::Yes).await?;
        self.commit(change).await?;
        Ok(())
    }

    /// The change that deletes a record, checked; none of its writes where there is nothing to do. To be made while
    /// [`Host::writing`] is held.
    pub(crate) async fn prepare_deletion(
        &self,
        by: &Identity,
        record_type: RecordType,
        id: RecordId,
        deletion: Deletion,
        if_match: Option<u64>,
        remembered: Remembered,
    ) -> Result<RecordChange, Problem> {
        if !definition(record_type).is_managed {
            let path = definition(record_type).path;
            return Err(Problem::new(Code::MethodNotAllowed, format!("a {path} cannot be deleted")));
        }
        self.refuse_setting_form(by, record_type, id).await?;
        let stored = self.readable(by, record_type, id).await?;
        self.permit(by, Operation::Delete, record_type, stored.meta.project_id)?;
        refuse_outdated(&stored, if_match)?;
        self.refuse_readonly_parent(&stored.meta).await?;
        self.refuse_fixed(&stored)?;
        if stored.meta.deleted_at.is_some() && !deletion.is_permanent {
            return Ok(RecordChange::default());
        }
        let trash = if deletion.is_permanent { Trash::Include } else { Trash::Exclude };
        let mut removed = self.members_of(&stored, trash).await?;
        for member in &removed {
            self.permit(by, Operation::Delete, member.record_type, member.meta.project_id)?;
        }
        removed.push(stored);
        let now = self.now();
        let is_remembered = remembered == Remembered::Yes;
        let mut change = RecordChange::default();
        for mut record in removed {
            refuse_readonly(&record)?;
            self.check_deletion(by, &record).await?;
            let (id, expected) = (record.meta.id, Expected::Revision(record.revision));
            let commit_message = deletion.commit_message.clone();
            change.effects.push(Effect::Gone(record.clone()));
            change.writes.push(if deletion.is_permanent {
                Write::DeleteRecord { id, by: Some(by.user_id), at: now, commit_message, expected, is_remembered }
            } else {
                record.meta.deleted_at = Some(now);
                record.meta.deleted_by = Some(by.user_id);
                Write::Record(RecordWrite { record, expected, commit_message, is_remembered })
            });
        }
        Ok(change)
    }

    /// Takes a record out of the trash. With a project or a bundle come those of its records that went with it.
    pub async fn restore_record(
        &self,
        by: &Identity,
        record_type: RecordType,
        id: RecordId,
        commit_message: Option<String>,
    ) -> Result<RecordView, Problem> {
        let _writing = self.writing(by.user_id).await;
        let stored = self.readable(by, record_type, id).await?;
        self.permit(by, Operation::Delete, record_type, stored.meta.project_id)?;
        if stored.meta.deleted_at.is_some() {
            self.refuse_readonly_parent(&stored.meta).await?;
            self.refuse_trashed_parent(&stored.meta).await?;
            let mut restored = self.members_of(&stored, Trash::Only).await?;
            restored.retain(|member| member.meta.deleted_at == stored.meta.deleted_at);
            for member in &restored {
                self.permit(by, Operation::Delete, member.record_type, member.meta.project_id)?;
            }
            restored.push(stored);
            let mut change = RecordChange::default();
            let flows: Vec<Meta> =
                restored.iter().filter(|one| one.record_type == RecordType::Flow).map(|one| one.meta.clone()).collect();
            for mut record in restored {
                self.check_restoration(by, &record).await?;
                if record.record_type == RecordType::Setting {
                    record = self.bind_restored(record, &flows).await?;
                }
                record.meta.deleted_at = None;
                record.meta.deleted_by = None;
                change.effects.push(Effect::Written(record.clone()));
                let (expected, commit_message) = (Expected::Revision(record.revision), commit_message.clone());
                change.writes.push(Write::Record(RecordWrite {
                    record,
                    expected,
                    commit_message,
                    is_remembered: true,
                }));
            }
            for flow in flows {
                change.extend(self.bind_webhooks(by, flow.id, &flow.name).await?);
            }
            self.commit(change).await?;
        }
        self.view_whole(self.readable(by, record_type, id).await?, None).await
    }

    /// What belongs to a project or to a bundle.
    async fn members_of(&self, parent: &StoredRecord, trash: Trash) -> Result<Vec<StoredRecord>, Problem> {
        let field = match parent.record_type {
            RecordType::Project => "project_id",
            RecordType::Bundle => "bundle_id",
            _ => return Ok(Vec::new()),
        };
        let mut members = Vec::new();
        for definition in RecordType::ALL.map(definition).into_iter().filter(|definition| definition.is_managed) {
            let Some(property) = definition.property(field) else { continue };
            let value = Value::String(parent.meta.id.to_string());
            let filter = Filter::Term { field: property.name, kind: property.kind, op: Comparison::Eq, value };
            let mut query = RecordQuery { filter: Some(filter), trash, ..RecordQuery::default() };
            loop {
                let page = self.store().query_records(definition.record_type, query.clone()).await?;
                members.extend(page.records);
                if page.next.is_none() {
                    break;
                }
                query.after = page.next;
            }
        }
        Ok(members)
    }

    /// Returns a page of what was done with a record, newest first. Of the request, `after`, `limit` and `page_bytes` count.
    pub async fn record_history(
        &self,
        by: &Identity,
        record_type: RecordType,
        id: RecordId,
        request: ListRequest,
    ) -> Result<List<HistoryEntry>, Problem> {
        self.readable(by, record_type, id).await?;
        let invalid = |_| Problem::new(Code::Malformed, "`after`: it is not where a page of this list ended");
        let before = request.after.as_deref().map(str::parse).transpose().map_err(invalid)?;
        let (limit, page_bytes) = (request.limit(), request.page_bytes.unwrap_or(usize::MAX));
        if limit == 0 {
            return Ok(List { items: Vec::new(), next: None });
        }
        let page = self.store().record_history(id, before, limit, page_bytes).await?;
        Ok(List { items: page.entries, next: page.next.map(|next| next.to_string()) })
    }

    /// The record, unless it does not exist or may not be read.
    pub(crate) async fn readable(
        &self,
        by: &Identity,
        record_type: RecordType,
        id: RecordId,
    ) -> Result<StoredRecord, Problem> {
        let stored = self.store().record(id).await?;
        let stored = stored.filter(|stored| stored.record_type == record_type && may_read(by, stored));
        stored.ok_or_else(|| no_such(definition(record_type), &id.to_string()))
    }

    pub(crate) async fn refuse_readonly_parent(&self, meta: &Meta) -> Result<(), Problem> {
        let parents = [meta.project_id, meta.bundle_id];
        for parent in parents.into_iter().flatten() {
            let parent = self.store().record(parent).await?;
            if let Some(parent) = parent.filter(|parent| parent.meta.is_readonly) {
                let (path, name) = (definition(parent.record_type).path, &parent.meta.name);
                let detail = format!("the record belongs to the {path} `{name}`, which is read-only");
                return Err(Problem::new(Code::RecordReadonly, detail));
            }
        }
        Ok(())
    }

    /// Refuses to change what is in the trash or read-only.
    pub(crate) async fn refuse_guarded(&self, stored: &StoredRecord) -> Result<(), Problem> {
        refuse_trashed(stored)?;
        refuse_readonly(stored)?;
        self.refuse_readonly_parent(&stored.meta).await
    }

    async fn refuse_trashed_parent(&self, meta: &Meta) -> Result<(), Problem> {
        for parent in [meta.project_id, meta.bundle_id].into_iter().flatten() {
            let parent = self.store().record(parent).await?;
            if let Some(parent) = parent.filter(|parent| parent.meta.deleted_at.is_some()) {
                let (path, name) = (definition(parent.record_type).path, &parent.meta.name);
                let detail =
                    format!("the record belongs to the {path} `{name}`, which is in the trash; restore that first");
                return Err(Problem::new(Code::RecordReadonly, detail));
            }
        }
        Ok(())
    }

    /// A setting that is a webhook is listed as one, but it is changed as what it is.
    async fn refuse_setting_form(&self, by: &Identity, record_type: RecordType, id: RecordId) -> Result<(), Problem> {
        if record_type != RecordType::Webhook {
            return Ok(());
        }
        let found = self.store().record(id).await?;
        let setting = found.filter(|found| found.record_type == RecordType::Setting && found.meta.deleted_at.is_none());
        match setting {
            Some(setting) if may_read_webhook(by, &setting) && self.setting_as_webhook(&setting).is_some() => {
                let name = &setting.meta.name;
                Err(refuse("form", format!("this webhook is the setting `{name}`; change or delete the setting")))
            }
            _ => Ok(()),
        }
    }

    /// Writes a record that the host itself changes and makes it effective for the next call.
    pub(crate) async fn write_stored(
        &self,
        mut record: StoredRecord,
        expected: Expected,
        commit_message: Option<String>,
    ) -> Result<StoredRecord, Problem> {
        let write = RecordWrite { record: record.clone(), expected, commit_message, is_remembered: true };
        record.revision = self.store().write(vec![Write::Record(write)]).await?;
        self.apply(record.clone())?;
        Ok(record)
    }
}

/// Every identity may read its own record, and the records of the projects that it has something to do in.
pub(crate) fn may_read(by: &Identity, stored: &StoredRecord) -> bool {
    by.user_id == stored.meta.id
        || stored.record_type == RecordType::Project && by.access.has_project(stored.meta.id)
        || by.access.may(Operation::Read, stored.record_type, stored.meta.project_id)
}

/// Refuses to change what may not be read: its name is taken, and that is all there is to know.
pub(crate) fn refuse_outside(by: &Identity, stored: &StoredRecord) -> Result<(), Problem> {
    if may_read(by, stored) {
        return Ok(());
    }
    let (what, name) = (stored.record_type.as_str(), &stored.meta.name);
    Err(Problem::new(Code::NameTaken, format!("there is a {what} named `{name}` already")))
}

fn refuse_readonly(stored: &StoredRecord) -> Result<(), Problem> {
    if stored.meta.is_readonly {
        let (path, name) = (definition(stored.record_type).path, &stored.meta.name);
        let detail = format!("the {path} `{name}` is read-only; clear its `is_readonly` first");
        return Err(Problem::new(Code::RecordReadonly, detail));
    }
    Ok(())
}

pub(crate) fn refuse_trashed(stored: &StoredRecord) -> Result<(), Problem> {
    match stored.meta.deleted_at {
        Some(_) => {
            let detail = "the record is in the trash; it can only be restored or deleted for good";
            Err(Problem::new(Code::RecordReadonly, detail))
        }
        None => Ok(()),
    }
}

fn refuse_outdated(stored: &StoredRecord, if_match: Option<u64>) -> Result<(), Problem> {
    match if_match {
        Some(revision) if revision != stored.revision => {
            Err(Problem::new(Code::PreconditionFailed, "the record was changed since it was read; read it again"))
        }
        _ => Ok(()),
    }
}
