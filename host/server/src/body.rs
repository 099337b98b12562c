//! Request bodies, read within limits of size and time.

use std::time::Duration;

use bytes::Bytes;
use flowhost::{Code, Problem};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Body;

/// The whole body. One that says that it is too large is refused before any of it is read.
pub(crate) async fn read<B>(body: B, limit: u64, timeout: Duration) -> Result<Bytes, Problem>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let too_large = || Problem::new(Code::TooLarge, format!("the body has more than {limit} bytes"));
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    if body.size_hint().lower() > limit {
        return Err(too_large());
    }
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    match tokio::time::timeout(timeout, Limited::new(body, limit).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(error)) => Err(Problem::new(Code::Malformed, format!("the body broke off: {error}"))),
        Err(_) => {
            let seconds = timeout.as_secs();
            Err(Problem::new(Code::RequestTimeout, format!("the body did not arrive within {seconds} s")))
        }
    }
}
