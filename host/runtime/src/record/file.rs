//! The bytes of files.

use flowhost_model::{File, RecordId, RecordType};
use flowhost_store::{FileContent, FilePiece, StoredRecord};
use serde_json::{Map, Value};

use super::change::Remembered;
use super::service::{RecordView, no_such};
use crate::host::Host;
use crate::identity::Identity;
use crate::problem::Problem;

fn members(content_type: Option<String>) -> Map<String, Value> {
    content_type.map(|content_type| ("content_type".to_owned(), Value::String(content_type))).into_iter().collect()
}

impl Host {
    /// Replaces the content of a file, and its media type where one is given. `if_match` is the revision that the writer has
    /// read.
    ///
    /// Problem: `files.too-large`.
    pub async fn write_file(
        &self,
        by: &Identity,
        id: RecordId,
        bytes: Vec<u8>,
        content_type: Option<String>,
        if_match: Option<u64>,
    ) -> Result<RecordView, Problem> {
        let _writing = self.writing(by.user_id).await;
        let (members, content) = (members(content_type), Some(FileContent::Whole(bytes)));
        let prepared =
            self.prepare_update(by, RecordType::File, id, members, content, if_match, Remembered::Yes).await?;
        self.commit_viewed(prepared).await
    }

    /// Makes a file of these bytes.
    ///
    /// Problem: `files.too-large`.
    pub async fn create_file(
        &self,
        by: &Identity,
        name: &str,
        bytes: Vec<u8>,
        content_type: Option<String>,
    ) -> Result<RecordView, Problem> {
        let _writing = self.writing(by.user_id).await;
        let mut members = members(content_type);
        members.insert("name".to_owned(), Value::String(name.to_owned()));
        let content = Some(FileContent::Whole(bytes));
        let prepared = self.prepare_creation(by, RecordType::File, members, content, Remembered::Yes).await?;
        self.commit_viewed(prepared).await
    }

    /// A file without its bytes, and the revision of its record.
    pub async fn file(&self, by: &Identity, id: RecordId) -> Result<(File, u64), Problem> {
        let stored = self.readable(by, RecordType::File, id).await?;
        let revision = stored.revision;
        Ok((body(stored)?, revision))
    }

    /// The bytes of a file from `offset` on: at most `length`, fewer where the file ends.
    pub async fn read_file(&self, by: &Identity, id: RecordId, offset: u64, length: u64) -> Result<FilePiece, Problem> {
        self.readable(by, RecordType::File, id).await?;
        let piece = self.store().file_piece(id, offset, length).await?;
        piece.ok_or_else(|| no_such(flowhost_model::definition(RecordType::File), &id.to_string()))
    }
}

/// What a file's record says of it.
pub(crate) fn body(stored: StoredRecord) -> Result<File, Problem> {
    Ok(stored.into_record::<File>()?.body)
}
