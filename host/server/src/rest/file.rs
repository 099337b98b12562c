//! `/api/latest/file/<id>/content`: the bytes of files.

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use flowhost::model::{RecordId, RecordType};
use flowhost::{Code, Host, Identity, Problem};
use futures_util::{TryStreamExt, stream};
use http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Uri};

use super::parameters::{Parameters, Path, etag, if_match, resolve};
use super::token::{reader, writer};
use super::{Answer, Shared};

/// How much of a file is in memory while it is sent.
const PIECE_BYTES: u64 = 1 << 20;

/// The bytes, as a download: a browser must not take what flows or users keep for a page of this host.
pub(super) async fn read(api: Shared, Path(segment): Path<String>, uri: Uri, headers: HeaderMap) -> Answer {
    let by = reader(&api.host, &headers)?;
    let parameters = Parameters::parse(uri.query(), &[])?;
    let id = resolve(&api.host, &by, RecordType::File, &segment, &parameters).await?;
    let (file, revision) = api.host.file(&by, id).await?;
    let mut answer = Response::new(pieces(api.host.clone(), by, id, file.size, revision));
    let headers = answer.headers_mut();
    let content_type = file.content_type.and_then(|content_type| HeaderValue::try_from(content_type).ok());
    headers.insert(CONTENT_TYPE, content_type.unwrap_or(HeaderValue::from_static("application/octet-stream")));
    headers.insert(CONTENT_LENGTH, file.size.into());
    headers.insert(ETAG, etag(revision));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Ok(answer)
}

/// The file, piece by piece. Where it is changed meanwhile, the answer breaks off: half of one and half of the other is
/// neither.
fn pieces(host: Host, by: Identity, id: RecordId, size: u64, revision: u64) -> Body {
    let pieces = stream::try_unfold(0, move |offset| {
        let (host, by) = (host.clone(), by.clone());
        async move {
            if offset >= size {
                return Ok::<_, Problem>(None);
            }
            let piece = host.read_file(&by, id, offset, PIECE_BYTES).await?;
            if piece.revision != revision || piece.bytes.is_empty() {
                return Err(Problem::new(Code::PreconditionFailed, "the file was changed while it was read"));
            }
            let next = offset + piece.bytes.len() as u64;
            Ok(Some((Bytes::from(piece.bytes), next)))
        }
    });
    Body::from_stream(pieces.map_err(std::io::Error::other))
}

/// Replaces the bytes, and the media type where the request has one. By name, the file is made where there is none.
pub(super) async fn write(api: Shared, Path(segment): Path<String>, headers: HeaderMap, request: Request) -> Answer {
    let by = writer(&api.host, &headers)?;
    let parameters = Parameters::parse(request.uri().query(), &[])?;
    let known = match resolve(&api.host, &by, RecordType::File, &segment, &parameters).await {
        Ok(id) => Some(id),
        Err(problem) if problem.code == Code::RecordNotFound && parameters.is_by_name => None,
        Err(problem) => return Err(problem.into()),
    };
    let content_type = headers.get(CONTENT_TYPE).map(|content_type| {
        let content_type = content_type.to_str();
        content_type.map(str::to_owned).map_err(|_| Problem::new(Code::Malformed, "`Content-Type`: must be ASCII"))
    });
    let (content_type, limit) = (content_type.transpose()?, api.host.limits().file_bytes);
    let (bytes, _taken) = api.upload(request, limit).await.map_err(|problem| match problem.code {
        Code::TooLarge => Problem::new(Code::FileTooLarge, format!("a file has at most {limit} bytes")),
        _ => problem,
    })?;
    let view = match known {
        Some(id) => api.host.write_file(&by, id, bytes.into(), content_type, if_match(&headers)?).await?,
        None if if_match(&headers)?.is_some() => {
            return Err(Problem::new(Code::PreconditionFailed, "there is no such file any more").into());
        }
        None => api.host.create_file(&by, &segment, bytes.into(), content_type).await?,
    };
    Ok(parameters.record(RecordType::File, view)?)
}
