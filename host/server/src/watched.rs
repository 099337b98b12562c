//! A connection's socket, watched for what it is in the middle of.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::activity::Activity;
use crate::request_line::RequestLine;
use crate::unserved;

/// A socket that first repeats bytes which were read from it before.
pub(crate) struct Watched {
    stream: TcpStream,
    read_before: Bytes,
    activity: Arc<Activity>,
    /// None for HTTP/2.
    text: Option<Text>,
}

/// What HTTP/1.1 needs seen to.
#[derive(Default)]
struct Text {
    line: RequestLine,
    /// What is written in place of an answer of the library's.
    instead: Bytes,
}

impl Watched {
    pub(crate) fn http1(stream: TcpStream, read_before: Bytes, activity: Arc<Activity>) -> Self {
        Self { stream, read_before, activity, text: Some(Text::default()) }
    }

    pub(crate) fn http2(stream: TcpStream, read_before: Bytes, activity: Arc<Activity>) -> Self {
        Self { stream, read_before, activity, text: None }
    }

    pub(crate) fn into_stream(self) -> TcpStream {
        self.stream
    }

    /// Reads from what was read before.
    fn repeat(&mut self, buffer: &mut ReadBuf<'_>) {
        let size = self.read_before.len().min(buffer.remaining());
        buffer.put_slice(&self.read_before.split_to(size));
    }

    /// Writes something else if these bytes are an answer of the library's own; `None` if they are not.
    fn poll_write_instead(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Option<Poll<io::Result<usize>>> {
        let text = self.text.as_mut()?;
        if text.instead.is_empty() {
            // A piece of an answer may look like one of the library's.
            if self.activity.is_answering() {
                return None;
            }
            text.instead = unserved::instead_of(bytes)?.into();
        }
        while text.instead.has_remaining() {
            match Pin::new(&mut self.stream).poll_write(context, &text.instead) {
                Poll::Ready(Ok(written)) => text.instead.advance(written),
                Poll::Ready(Err(error)) => return Some(Poll::Ready(Err(error))),
                Poll::Pending => return Some(Poll::Pending),
            }
        }
        Some(Poll::Ready(Ok(bytes.len())))
    }

    fn has_moved(&self, written: &Poll<io::Result<usize>>) {
        if matches!(written, Poll::Ready(Ok(_))) {
            self.activity.has_moved();
        }
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if self.read_before.has_remaining() {
            self.repeat(buffer);
        } else {
            let read = Pin::new(&mut self.stream).poll_read(context, buffer);
            if read.is_pending() {
                self.activity.waits_to_read();
            }
            ready!(read)?;
        }
        let Self { text, activity, .. } = &mut *self;
        if let Some(text) = text {
            let bytes = &buffer.filled()[before..];
            let encoded = if activity.begins() { text.line.begin(bytes) } else { text.line.go_on(bytes) };
            if let Some(encoded) = encoded {
                buffer.set_filled(before);
                // Before what is still to be repeated.
                self.read_before = [Bytes::from(encoded), std::mem::take(&mut self.read_before)].concat().into();
                self.repeat(buffer);
            }
        }
        self.activity.has_read();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.activity.writes();
        if let Some(written) = self.poll_write_instead(context, bytes) {
            return written;
        }
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.has_moved(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.activity.writes();
        if let Some(first) = bytes.first()
            && let Some(written) = self.poll_write_instead(context, first)
        {
            return written;
        }
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.has_moved(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The library does that when it has written all that it has.
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        if flushed.is_ready() {
            self.activity.has_written();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
