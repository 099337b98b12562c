//! `flowhost:flow/files`: named blobs that outlive the execution.
//!
//! Of what is written, the journal has the digest, not the bytes; what is read is in it as bytes.

use flowhost_engine::{Call, State, WholeState};
use flowhost_model::{Digest, RecordType};
use flowhost_store::{FileContent, StoredRecord};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use wasmtime::component::Linker;

use super::acting::{Acting, change, read};
use super::bindings::flowhost::flow::files::{self, FileInfo};
use super::postpone_if_failed;
use super::refusal::{Told, fits_name, or_refuse, refusal};
use crate::capability::Capability;
use crate::host::Host;
use crate::identity::Identity;
use crate::problem::Problem;
use crate::record::file_body;

/// The most bytes that are read at once: as often as a flow likes, but not more of the host's memory than this.
const PIECE_LIMIT: u64 = 4 << 20;

/// The longest text, in bytes, that may be a media type: 128 characters.
const CONTENT_TYPE_LIMIT: usize = 128 * 4;

/// The capability `files`.
pub(super) struct FilesCapability;

impl Capability for FilesCapability {
    fn interfaces(&self) -> &[&str] {
        &["flowhost:flow/files"]
    }

    fn link(&self, linker: &mut Linker<State>) -> wasmtime::Result<()> {
        files::add_to_linker::<_, WholeState>(linker, |state| state)
    }
}

/// Refuses a media type that is too long for any.
fn fits_content_type(content_type: Option<&str>) -> Told<()> {
    if content_type.is_some_and(|given| given.len() > CONTENT_TYPE_LIMIT) {
        return Err(refusal("record.invalid", format!("`content_type`: has more than {CONTENT_TYPE_LIMIT} bytes")));
    }
    Ok(())
}

fn info(stored: StoredRecord) -> Result<FileInfo, Problem> {
    let (name, modified_at) = (stored.meta.name.clone(), stored.meta.modified_at);
    let file = file_body(stored)?;
    let modified_at = u64::try_from(modified_at.as_micros()).unwrap_or_default();
    Ok(FileInfo { name, size: file.size, content_type: file.content_type, modified_at })
}

/// What tells bytes that are written from others.
fn digest(content: &[u8]) -> Digest {
    Digest(Sha256::digest(content).into())
}

async fn piece(host: &Host, by: &Identity, name: &str, offset: u64, length: u64) -> Told<Vec<u8>> {
    let missing = || refusal("files.not-found", format!("there is no file `{name}`"));
    let stored = host.named(by, RecordType::File, name).await?.ok_or_else(missing)?;
    let piece = host.store().file_piece(stored.meta.id, offset, length.min(PIECE_LIMIT)).await?;
    Ok(piece.ok_or_else(missing)?.bytes)
}

impl files::Host for State {
    async fn stat(&mut self, name: String) -> wasmtime::Result<Told<Option<FileInfo>>> {
        or_refuse!(fits_name(&name));
        let call = Call::new("files.stat", &name);
        read(self, call, async move |host, by| {
            Ok(host.named(by, RecordType::File, &name).await?.map(info).transpose()?)
        })
        .await
    }

    async fn read(&mut self, name: String, offset: u64, length: u64) -> wasmtime::Result<Told<Vec<u8>>> {
        or_refuse!(fits_name(&name));
        let call = Call::new("files.read", &(&name, offset, length));
        if let Some(told) = self.replay_bytes(&call)? {
            return Ok(told);
        }
        let Acting { host, by, .. } = Acting::of(self)?;
        let told = piece(&host, &by, &name, offset, length).await;
        postpone_if_failed(self, &told)?;
        self.record_bytes(call, &told)?;
        Ok(told)
    }

    async fn write(
        &mut self,
        name: String,
        content: Vec<u8>,
        content_type: Option<String>,
    ) -> wasmtime::Result<Told<()>> {
        or_refuse!(fits_name(&name));
        or_refuse!(fits_content_type(content_type.as_deref()));
        let call = Call::new("files.write", &(&name, content.len(), digest(&content), &content_type));
        change(
            self,
            call,
            || Ok(()),
            async move |acting, ()| {
                let Acting { host, by, .. } = acting;
                let content_type = content_type.map(|content_type| ("content_type".to_owned(), content_type.into()));
                let members: Map<String, Value> = content_type.into_iter().collect();
                let content = Some(FileContent::Whole(content));
                let project = acting.project();
                let (change, _) = host.save_named(by, RecordType::File, &name, members, content, project).await?;
                Ok(((), Some(change)))
            },
        )
        .await
    }

    async fn append(&mut self, name: String, content: Vec<u8>) -> wasmtime::Result<Told<u64>> {
        or_refuse!(fits_name(&name));
        let call = Call::new("files.append", &(&name, content.len(), digest(&content)));
        change(
            self,
            call,
            || Ok(()),
            async move |acting, ()| {
                let Acting { host, by, .. } = acting;
                // Behind what is there when it is prepared.
                let content = Some(FileContent::Added { size: 0, bytes: content });
                let project = acting.project();
                let (change, record) =
                    host.save_named(by, RecordType::File, &name, Map::new(), content, project).await?;
                Ok((file_body(record)?.size, Some(change)))
            },
        )
        .await
    }

    async fn list(
        &mut self,
        prefix: String,
        after: Option<String>,
        limit: u32,
    ) -> wasmtime::Result<Told<Vec<FileInfo>>> {
        or_refuse!(fits_name(&prefix).and_then(|()| fits_name(after.as_deref().unwrap_or_default())));
        let call = Call::new("files.list", &(&prefix, &after, limit));
        read(self, call, async move |host, by| {
            Ok(host.named_with(by, RecordType::File, &prefix, after, limit, info).await?)
        })
        .await
    }

    async fn delete(&mut self, name: String) -> wasmtime::Result<Told<bool>> {
        or_refuse!(fits_name(&name));
        let call = Call::new("files.delete", &name);
        change(
            self,
            call,
            || Ok(()),
            async move |acting, ()| {
                let Acting { host, by, .. } = acting;
                if host.named(by, RecordType::File, &name).await?.is_none() {
                    return Ok((false, None));
                }
                Ok((true, host.delete_named(by, RecordType::File, &name).await?))
            },
        )
        .await
    }
}
