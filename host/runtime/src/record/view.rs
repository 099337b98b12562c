//! A record as it is read: every property of its type, stored or worked out.

use flowhost_model::{Access, RecordId, RecordType, SCHEMA_VERSION, Timestamp, definition};
use flowhost_store::{FileContent, StoredRecord};
use serde_json::{Map, Value, json};

use super::file::body as file_body;
use super::hook::{JSON_LIMIT, told};
use super::parents::Parents;
use super::service::RecordView;
use crate::host::Host;
use crate::problem::Problem;

/// Bodies of so many bytes are taken apart in a millisecond, on the thread that serves the request.
const AT_ONCE: usize = 64 << 10;

fn id(id: Option<RecordId>) -> Value {
    id.map_or(Value::Null, |id| Value::String(id.to_string()))
}

fn instant(at: Option<Timestamp>) -> Value {
    at.map_or(Value::Null, |at| Value::String(at.to_string()))
}

impl Host {
    /// The record as it is read.
    pub(crate) async fn view(&self, stored: StoredRecord) -> Result<RecordView, Problem> {
        let parents = self.parents([stored.meta.project_id, stored.meta.bundle_id].into_iter()).await?;
        self.view_with(stored, &parents)
    }

    /// The record as it is read by itself, with what lists leave out. `written` is what is about to become of its bytes.
    pub(crate) async fn view_whole(
        &self,
        stored: StoredRecord,
        written: Option<&FileContent>,
    ) -> Result<RecordView, Problem> {
        if stored.record_type != RecordType::File {
            return self.view(stored).await;
        }
        let (id, file) = (stored.meta.id, file_body(stored.clone())?);
        let mut view = self.view(stored).await?;
        if file.size > JSON_LIMIT as u64 {
            return Ok(view);
        }
        let kept = async || {
            let piece = self.store().file_piece(id, 0, JSON_LIMIT as u64).await?;
            Ok::<_, Problem>(piece.map(|piece| piece.bytes).unwrap_or_default())
        };
        let bytes = match written {
            Some(FileContent::Whole(bytes)) => bytes.clone(),
            Some(FileContent::Added { bytes, .. }) => [&kept().await?, &bytes[..]].concat(),
            None => kept().await?,
        };
        // Of the bytes themselves: the file may have changed since its record was read.
        view.members.insert("size".to_owned(), json!(bytes.len()));
        let (content, is_binary) = told(bytes, file.is_binary);
        view.members.insert("content".to_owned(), json!(content));
        view.members.insert("is_binary".to_owned(), json!(is_binary));
        Ok(view)
    }

    /// The records of a page as they are read. Large ones are taken apart on a thread of their own.
    pub(crate) async fn views(&self, records: Vec<StoredRecord>) -> Result<Vec<RecordView>, Problem> {
        let parents = records.iter().flat_map(|stored| [stored.meta.project_id, stored.meta.bundle_id]);
        let parents = self.parents(parents).await?;
        let bytes: usize = records.iter().map(|stored| stored.body.len()).sum();
        let host = self.clone();
        let view = move |stored| host.view_with(stored, &parents);
        let work = move || records.into_iter().map(view).collect::<Result<Vec<_>, Problem>>();
        if bytes <= AT_ONCE { work() } else { tokio::task::spawn_blocking(work).await.map_err(Problem::host)? }
    }

    fn view_with(&self, stored: StoredRecord, parents: &Parents) -> Result<RecordView, Problem> {
        let body: Map<String, Value> =
            serde_json::from_str(&stored.body).map_err(|error| Problem::host(format!("a damaged record: {error}")))?;
        let definition = definition(stored.record_type);
        let properties = definition.all_properties().filter(|property| property.access != Access::WriteOnly);
        let members = properties
            .map(|property| {
                let shared = self.shared_property(property.name, &stored, parents);
                let value = shared
                    .or_else(|| self.derived_property(property.name, &stored, &body))
                    .or_else(|| body.get(property.name).cloned());
                (property.name.to_owned(), value.unwrap_or(Value::Null))
            })
            .collect();
        Ok(RecordView { id: stored.meta.id, members, revision: stored.revision })
    }

    fn shared_property(&self, name: &str, stored: &StoredRecord, parents: &Parents) -> Option<Value> {
        let meta = &stored.meta;
        let (project, bundle) = (parents.get(meta.project_id), parents.get(meta.bundle_id));
        let type_name = stored.record_type.as_str();
        Some(match name {
            "id" => id(Some(meta.id)),
            "name" => json!(meta.name),
            "description" => json!(meta.description),
            "record_type" => json!(type_name),
            "resource_type" if stored.record_type == RecordType::Execution => Value::Null,
            "resource_type" => json!(type_name),
            "schema_version" => json!(SCHEMA_VERSION),
            "workspace_id" => id(Some(self.workspace_id())),
            "organization_id" => id(Some(self.organization_id())),
            "project_id" => id(meta.project_id),
            "project_name" => json!(project.map(|project| &project.name)),
            "bundle_id" => id(meta.bundle_id),
            "bundle_name" => json!(bundle.map(|bundle| &bundle.name)),
            "is_readonly" => json!(meta.is_readonly),
            "is_project_readonly" => json!(project.is_some_and(|project| project.is_readonly)),
            "is_bundle_readonly" => json!(bundle.is_some_and(|bundle| bundle.is_readonly)),
            "repository_path" => json!(repository_path(stored, parents)),
            "created_at" => instant(Some(meta.created_at)),
            "created_by" => id(meta.created_by),
            "modified_at" => instant(Some(meta.modified_at)),
            "modified_by" => id(meta.modified_by),
            "is_deleted" => json!(meta.deleted_at.is_some()),
            "deleted_at" => instant(meta.deleted_at),
            "deleted_by" => id(meta.deleted_by),
            "identity_type" => json!(type_name),
            "last_activity" => instant(self.last_activity(meta.id)),
            _ => return None,
        })
    }
}

/// The record's file, relative to the folder of an export: its parent's folder, its type's, its name.
fn repository_path(stored: &StoredRecord, parents: &Parents) -> String {
    let path = definition(stored.record_type).path;
    let name = file_name(&stored.meta.name);
    match parents.get(stored.meta.project_id).or(parents.get(stored.meta.bundle_id)) {
        Some(parent) => format!("{}/{path}/{name}.yaml", file_name(&parent.name)),
        None => format!("{path}/{name}.yaml"),
    }
}

/// A name as a file's: short enough for the path's 256 characters, without separators.
fn file_name(name: &str) -> String {
    name.chars()
        .map(|character| if character == '/' || character.is_control() { '_' } else { character })
        .take(100)
        .collect()
}
