//! Request bodies, read within limits of size, time and memory.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use flowhost::{CallerNetwork, Code, Problem};
use http_body_util::BodyExt;
use hyper::body::Body;
use tokio::time::Instant;

use crate::bodies::{Room, Taken};

/// A body that does not say how large it is takes room in steps of this size.
const STEP_BYTES: u64 = 64 << 10;

/// Bodies up to this size are copied: a piece of the connection's buffer would keep all of that in memory.
const COPIED_BYTES: usize = 16 << 10;

/// The bytes that a body which takes longer than its time must bring in each second.
const SLOWEST_BYTES: u64 = 16 << 10;

/// Where a body is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading<'a> {
    pub(crate) room: &'a Room,
    pub(crate) caller: CallerNetwork,
    /// The bytes of the request's head.
    pub(crate) head: u64,
    pub(crate) limit: u64,
    pub(crate) timeout: Duration,
}

impl Reading<'_> {
    /// Returns the whole body, and the room that it takes. A body that says that it is too large is refused before any of it
    /// is read.
    pub(crate) async fn read<B>(&self, body: B) -> Result<(Bytes, Taken), Problem>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let Self { room, caller, head, limit, timeout } = *self;
        // There must be room for all of it in the end.
        let limit = limit.min(room.largest().saturating_sub(head));
        let said = body.size_hint().lower();
        if said > limit {
            return Err(too_large(limit));
        }
        let mut taken = room.take(caller, head, said).await?;
        let body = collect(body, said, limit, timeout, &mut taken).await?;
        Ok((body, taken))
    }
}

/// Returns how long a body of which `size` bytes have arrived may take in all.
fn time_for(size: u64, timeout: Duration) -> Duration {
    timeout + Duration::from_secs(size / SLOWEST_BYTES)
}

fn too_slow(timeout: Duration) -> Problem {
    let (seconds, slowest) = (timeout.as_secs(), SLOWEST_BYTES >> 10);
    let detail = format!("the body did not arrive within {seconds} s, and a second more for each {slowest} KiB of it");
    Problem::new(Code::RequestTimeout, detail)
}

fn too_large(limit: u64) -> Problem {
    Problem::new(Code::TooLarge, format!("the body has more than {limit} bytes"))
}

/// Collects a body for which there is room for `said` bytes.
async fn collect<B>(body: B, said: u64, limit: u64, timeout: Duration, taken: &mut Taken) -> Result<Bytes, Problem>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut body = std::pin::pin!(body);
    let (mut first, mut whole) = (None::<Bytes>, None::<BytesMut>);
    let (mut size, mut room) = (0_u64, said);
    let begun = Instant::now();
    loop {
        let until = begun + time_for(size, timeout);
        let arrived = tokio::time::timeout_at(until, body.as_mut().frame()).await;
        let Some(frame) = arrived.map_err(|_| too_slow(timeout))? else { break };
        let frame = frame.map_err(|error| {
            let error: Box<dyn std::error::Error + Send + Sync> = error.into();
            Problem::new(Code::Malformed, format!("the body broke off: {error}"))
        })?;
        let Ok(data) = frame.into_data() else { continue };
        size += data.len() as u64;
        if size > limit {
            return Err(too_large(limit));
        }
        if size > room {
            let more = (size - room).max(STEP_BYTES.min(limit - room));
            taken.grow(more).await?;
            room += more;
        }
        if let Some(whole) = &mut whole {
            whole.extend_from_slice(&data);
        } else if let Some(begin) = first.take() {
            let mut all = BytesMut::with_capacity(usize::try_from(said.max(size)).unwrap_or_default());
            all.extend_from_slice(&begin);
            all.extend_from_slice(&data);
            whole = Some(all);
        } else {
            first = Some(data);
        }
    }
    Ok(match (first, whole) {
        (_, Some(whole)) => whole.freeze(),
        (Some(only), None) if only.len() <= COPIED_BYTES => Bytes::copy_from_slice(&only),
        (Some(only), None) => only,
        (None, None) => Bytes::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn body_that_keeps_coming_has_more_time() {
        let timeout = Duration::from_secs(30);
        assert_eq!(time_for(0, timeout), timeout);
        assert_eq!(time_for(16 << 10, timeout), Duration::from_secs(31));
        assert_eq!(time_for(64 << 20, timeout), Duration::from_secs(30 + 4096));
    }
}
