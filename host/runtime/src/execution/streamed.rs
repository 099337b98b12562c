//! A body that is sent while its flow writes it.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use tokio::sync::mpsc;

/// The most bytes that are handed on at once. What a flow writes is copied in pieces of it, so that a large write is not kept
/// for a caller who has taken most of it.
const PIECE_BYTES: usize = 64 << 10;

/// How many pieces wait for the caller before the flow does.
const PIECES: usize = 2;

/// The body that a caller gets: pieces as the flow writes them. An error is its last where it is cut off.
#[derive(Debug)]
pub struct StreamedBody {
    pieces: mpsc::Receiver<Piece>,
    is_over: bool,
}

/// Why a body ends before it is whole.
#[derive(Debug, thiserror::Error)]
#[error("the execution ended before it had finished its answer")]
pub struct CutOff;

/// The caller has gone away, or has taken nothing for too long.
#[derive(Debug)]
pub(crate) struct CallerGone;

/// The flow's end of a body. Dropping it cuts the body off.
#[derive(Clone, Debug)]
pub(crate) struct BodyWriter {
    pieces: mpsc::Sender<Piece>,
    patience: Duration,
}

/// The body is whole, and the caller has room for being told so.
#[derive(Debug)]
pub(crate) struct Finishing(mpsc::OwnedPermit<Piece>);

#[derive(Debug)]
enum Piece {
    Bytes(Bytes),
    End,
}

/// Both ends of a body. A caller who takes nothing for as long as `patience` is gone.
pub(crate) fn streamed(patience: Duration) -> (BodyWriter, StreamedBody) {
    let (sender, receiver) = mpsc::channel(PIECES);
    (BodyWriter { pieces: sender, patience }, StreamedBody { pieces: receiver, is_over: false })
}

impl BodyWriter {
    /// Hands bytes on. Waits while the caller is slow.
    pub(crate) async fn write(&self, bytes: &[u8]) -> Result<(), CallerGone> {
        for piece in bytes.chunks(PIECE_BYTES) {
            let room = tokio::time::timeout(self.patience, self.pieces.reserve()).await;
            room.map_err(|_| CallerGone)?.map_err(|_| CallerGone)?.send(Piece::Bytes(Bytes::copy_from_slice(piece)));
        }
        // Also for one that has nothing to write: it learns that there is nobody to write to.
        if self.pieces.is_closed() { Err(CallerGone) } else { Ok(()) }
    }

    /// Waits until the caller can be told that the body is whole.
    pub(crate) async fn finishing(self) -> Result<Finishing, CallerGone> {
        let room = tokio::time::timeout(self.patience, self.pieces.reserve_owned()).await;
        room.map_err(|_| CallerGone)?.map(Finishing).map_err(|_| CallerGone)
    }
}

impl Finishing {
    /// Tells the caller that the body is whole.
    pub(crate) fn finish(self) {
        self.0.send(Piece::End);
    }
}

impl Stream for StreamedBody {
    type Item = Result<Bytes, CutOff>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        self.pieces.poll_recv(context).map(|piece| match piece {
            Some(Piece::Bytes(bytes)) => Some(Ok(bytes)),
            Some(Piece::End) => {
                self.is_over = true;
                None
            }
            None => {
                self.is_over = true;
                Some(Err(CutOff))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, StreamExt};

    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    #[tokio::test]
    async fn a_body_is_whole_only_when_it_was_finished() {
        for is_finished in [true, false] {
            let (writer, mut body) = streamed(LONG);
            writer.write(b"a").await.unwrap();
            assert_eq!(body.next().await.unwrap().unwrap(), "a");
            if is_finished {
                writer.finishing().await.unwrap().finish();
            } else {
                drop(writer);
            }
            assert_eq!(body.next().await.map(|end| end.is_err()), (!is_finished).then_some(true));
            assert!(body.next().await.is_none());
        }
    }

    #[tokio::test]
    async fn a_writer_waits_for_a_slow_caller() {
        let (writer, mut body) = streamed(LONG);
        let large = vec![7; PIECE_BYTES * 5 + 1];
        let mut written = Box::pin(writer.write(&large));
        assert!(written.as_mut().now_or_never().is_none());
        let mut taken = 0;
        while written.as_mut().now_or_never().is_none() {
            taken += body.next().await.unwrap().unwrap().len();
        }
        assert!(taken >= PIECE_BYTES * 3, "{taken}");
        drop(written);
        drop(writer);
        while let Some(Ok(bytes)) = body.next().await {
            taken += bytes.len();
        }
        assert_eq!(taken, large.len());
    }

    #[tokio::test]
    async fn a_caller_who_is_gone_or_takes_nothing_is_noticed() {
        let (writer, body) = streamed(LONG);
        drop(body);
        assert!(writer.write(b"").await.is_err() && writer.write(b"a").await.is_err());
        assert!(writer.finishing().await.is_err());
        let (writer, _body) = streamed(Duration::ZERO);
        for _ in 0..PIECES {
            writer.write(b"a").await.unwrap();
        }
        assert!(writer.write(b"a").await.is_err() && writer.finishing().await.is_err());
    }
}
