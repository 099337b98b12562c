//! A file as the body of an answer.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use flowhost_model::RecordType;
use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt};
use http::HeaderValue;
use http::header::CONTENT_TYPE;

use super::{CutOff, FlowAnswer, FlowBody, Live};
use crate::host::Host;
use crate::problem::{Code, Problem};
use crate::record::file_body;

/// How much of a file is in memory while it is sent.
const PIECE_BYTES: u64 = 256 << 10;

/// A file, read piece by piece while it is sent. Where it is changed meanwhile it breaks off: half of one and half of the other is
/// neither.
pub struct FileBody {
    /// Its size in bytes.
    pub size: u64,
    pieces: BoxStream<'static, Result<Bytes, CutOff>>,
}

impl fmt::Debug for FileBody {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("FileBody").field("size", &self.size).finish_non_exhaustive()
    }
}

impl Stream for FileBody {
    type Item = Result<Bytes, CutOff>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.pieces.as_mut().poll_next(context)
    }
}

/// A file that was found, to be sent.
pub(crate) struct OpenFile {
    content_type: HeaderValue,
    body: FileBody,
}

impl OpenFile {
    /// Makes it the body of an answer, with its media type unless the answer has another.
    pub(crate) fn put_into(self, answer: &mut FlowAnswer) {
        answer.headers.entry(CONTENT_TYPE).or_insert(self.content_type);
        answer.body = FlowBody::File(self.body);
    }
}

impl Host {
    /// A file as it is now, for the answer of an execution.
    ///
    /// Problem: the execution may not read files, or there is no such file.
    pub(crate) async fn open_file(&self, live: &Live, name: &str) -> Result<OpenFile, Problem> {
        let missing = || Problem::new(Code::FileNotFound, format!("there is no file `{name}`"));
        let stored = self.named(&self.acting(live), RecordType::File, name).await?.ok_or_else(missing)?;
        let (id, revision) = (stored.meta.id, stored.revision);
        let file = file_body(stored)?;
        let content_type = file.content_type.and_then(|content_type| HeaderValue::try_from(content_type).ok());
        let content_type = content_type.unwrap_or(HeaderValue::from_static("application/octet-stream"));
        let (host, size) = (self.clone(), file.size);
        let pieces = stream::try_unfold(0, move |offset| {
            let host = host.clone();
            async move {
                if offset >= size {
                    return Ok(None);
                }
                let piece = host.store().file_piece(id, offset, PIECE_BYTES).await.ok().flatten();
                let same = piece.filter(|piece| piece.revision == revision && !piece.bytes.is_empty());
                let bytes = Bytes::from(same.ok_or(CutOff)?.bytes);
                let next = offset + bytes.len() as u64;
                Ok(Some((bytes, next)))
            }
        });
        Ok(OpenFile { content_type, body: FileBody { size, pieces: pieces.boxed() } })
    }
}
