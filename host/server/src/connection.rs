//! One connection.

use std::convert::Infallible;
use std::future::Future;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::activity::Activity;
use crate::answer::AnswerBody;
use crate::service::Service;
use crate::watched::Watched;
use crate::{ServerOptions, lingering};

/// What an HTTP/2 connection begins with.
const HTTP_2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Streams that one HTTP/2 connection may have open. A proxy opens another connection for more.
const MAX_STREAMS: u32 = 64;

/// What a client may send on an HTTP/2 stream, and on all streams of a connection, before the host has read it: memory that is
/// taken without asking.
const STREAM_WINDOW: u32 = 64 << 10;
const CONNECTION_WINDOW: u32 = 256 << 10;

/// What an HTTP/2 stream may hold of an answer that its client does not take.
const SEND_BUFFER: usize = 64 << 10;

/// What is read ahead of a request's head. More than the service lets through, so that it can say so.
const HEAD_BUFFER: usize = 64 << 10;

/// How long an HTTP/1.1 connection keeps its buffers after a request. They are made anew for the next one, which takes a
/// microsecond. Short, so that many connections that come one after the other use the same memory: what many have had at once
/// the allocator hardly gives back.
const KEEPS_BUFFERS: Duration = Duration::from_millis(100);

/// How connections are served. Made once.
#[derive(Clone)]
pub(crate) struct Connections {
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
    service: Arc<Service>,
    options: Arc<ServerOptions>,
}

/// What an HTTP/1.1 or HTTP/2 connection speaks.
enum Protocol {
    Http1,
    Http2,
}

/// Why a connection is looked at.
enum Next {
    /// It is over.
    Ended {
        /// What the client has sent is no request.
        is_malformed: bool,
    },
    /// It was idle for too long, or the server is to stop.
    Close,
    /// Nothing is on its way.
    Rest,
}

impl Connections {
    pub(crate) fn new(service: Arc<Service>, options: ServerOptions) -> Self {
        let mut http1 = http1::Builder::new();
        http1
            .timer(TokioTimer::new())
            .header_read_timeout(options.header_timeout)
            .max_buf_size(HEAD_BUFFER)
            // Or else the request of a client who sends it and leaves is dropped where its end is seen before it is begun.
            .half_close(true);
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        http2
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buf_size(SEND_BUFFER)
            .max_header_list_size(HEAD_BUFFER as u32)
            .keep_alive_interval(options.idle_timeout / 2)
            .keep_alive_timeout(options.header_timeout);
        Self { http1, http2, service, options: Arc::new(options) }
    }

    /// Serves a connection until its client leaves, it is idle too long, or `stop` is ready and its requests have ended.
    /// `activity` shows what it is in the middle of.
    pub(crate) async fn serve(
        self,
        stream: TcpStream,
        peer: IpAddr,
        activity: Arc<Activity>,
        stop: impl Future<Output = ()>,
    ) {
        // Answers are written whole; waiting for more to send would cost 40 ms with a delayed acknowledgement.
        let _delayed = stream.set_nodelay(true);
        let mut stop = pin!(stop);
        let begins_within = self.options.header_timeout.min(self.options.idle_timeout);
        let (protocol, begin) = tokio::select! {
            biased;
            begun = begin(&stream) => match begun {
                Some(begun) => begun,
                None => return,
            },
            () = stop.as_mut() => return,
            () = tokio::time::sleep(begins_within) => return,
        };
        match protocol {
            Protocol::Http1 => self.serve_http1(stream, peer, begin, activity, stop).await,
            Protocol::Http2 => self.serve_http2(stream, peer, begin, activity, stop).await,
        }
    }

    fn service(
        &self,
        peer: IpAddr,
        activity: &Arc<Activity>,
    ) -> impl hyper::service::Service<
        Request<Incoming>,
        Response = Response<AnswerBody>,
        Error = Infallible,
        Future: Send + 'static,
    > + Send
    + use<> {
        let (service, activity) = (self.service.clone(), activity.clone());
        service_fn(move |request: Request<Incoming>| {
            let (service, running) = (service.clone(), activity.begin());
            // The library keeps a place for the future as long as there is the connection: it is a small one this way.
            Box::pin(
                async move { Ok::<Response<AnswerBody>, Infallible>(service.answer(request, peer, running).await) },
            )
        })
    }

    async fn serve_http1(
        self,
        stream: TcpStream,
        peer: IpAddr,
        begin: Bytes,
        activity: Arc<Activity>,
        mut stop: Pin<&mut impl Future<Output = ()>>,
    ) {
        let mut socket = Watched::http1(stream, begin, activity.clone());
        loop {
            let service = self.service(peer, &activity);
            let mut connection = Box::new(self.http1.serve_connection(TokioIo::new(socket), service));
            match self.watch(&mut *connection, &activity, true, stop.as_mut()).await {
                Next::Ended { is_malformed } => {
                    if is_malformed {
                        self.service.head_refused(peer);
                    }
                    let stream = connection.into_parts().io.into_inner().into_stream();
                    tokio::select! {
                        () = lingering::close(stream) => {}
                        () = stop.as_mut() => {}
                    }
                    return;
                }
                // The host does not wait for the rest of a head: the request has not begun, and its client can send it again.
                Next::Close if activity.is_resting() => return,
                Next::Close => {
                    Pin::new(&mut *connection).graceful_shutdown();
                    let _left = tokio::time::timeout(self.options.drain_timeout, connection).await;
                    return;
                }
                Next::Rest => {}
            }
            let http1::Parts { io, mut read_buf, .. } = connection.into_parts();
            let stream = io.into_inner().into_stream();
            // A client that did not wait for its answer has sent the next request already.
            if read_buf.is_empty() {
                // Empty as it is, it keeps the connection's buffer in memory.
                read_buf = Bytes::new();
                tokio::select! {
                    biased;
                    readable = stream.readable() => if readable.is_err() { return },
                    () = stop.as_mut() => return,
                    () = tokio::time::sleep_until(activity.idle_at(self.options.idle_timeout)) => return,
                }
            }
            socket = Watched::http1(stream, read_buf, activity.clone());
        }
    }

    async fn serve_http2(
        self,
        stream: TcpStream,
        peer: IpAddr,
        begin: Bytes,
        activity: Arc<Activity>,
        stop: Pin<&mut impl Future<Output = ()>>,
    ) {
        let service = self.service(peer, &activity);
        let socket = TokioIo::new(Watched::http2(stream, begin, activity.clone()));
        let mut connection = Box::pin(self.http2.serve_connection(socket, service));
        if let Next::Ended { .. } = self.watch(&mut connection, &activity, false, stop).await {
            return;
        }
        connection.as_mut().graceful_shutdown();
        let _left = tokio::time::timeout(self.options.drain_timeout, connection).await;
    }

    /// Serves until something has to be done about the connection.
    async fn watch(
        &self,
        connection: &mut (impl Future<Output = hyper::Result<()>> + Unpin),
        activity: &Activity,
        rests: bool,
        mut stop: Pin<&mut impl Future<Output = ()>>,
    ) -> Next {
        let limit = self.options.idle_timeout;
        let mut look_at = activity.idle_at(if rests { KEEPS_BUFFERS.min(limit) } else { limit });
        loop {
            tokio::select! {
                biased;
                ended = &mut *connection => {
                    return Next::Ended { is_malformed: ended.is_err_and(|error| error.is_parse()) };
                }
                () = stop.as_mut() => return Next::Close,
                () = tokio::time::sleep_until(look_at) => {}
            }
            let now = Instant::now();
            if activity.idle_at(limit) <= now {
                return Next::Close;
            }
            if rests && activity.idle_at(KEEPS_BUFFERS) <= now && activity.is_quiet() {
                return Next::Rest;
            }
            look_at = activity.idle_at(limit);
            if rests {
                let rest_at = activity.idle_at(KEEPS_BUFFERS);
                look_at = look_at.min(if rest_at <= now { now + KEEPS_BUFFERS } else { rest_at });
            }
        }
    }
}

/// Waits for the first bytes, and returns them with what they begin; `None` if the client has left.
///
/// Nothing is kept for a connection on which nothing has arrived.
async fn begin(stream: &TcpStream) -> Option<(Protocol, Bytes)> {
    let mut begin = [0; HTTP_2.len()];
    let mut size = 0;
    loop {
        stream.readable().await.ok()?;
        match stream.try_read(&mut begin[size..]) {
            // What was sent is for HTTP/1.1 to judge.
            Ok(0) if size > 0 => return Some((Protocol::Http1, Bytes::copy_from_slice(&begin[..size]))),
            Ok(0) => return None,
            Ok(count) => size += count,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
            Err(_) => return None,
        }
        if !HTTP_2.starts_with(&begin[..size]) {
            return Some((Protocol::Http1, Bytes::copy_from_slice(&begin[..size])));
        }
        if size == HTTP_2.len() {
            return Some((Protocol::Http2, Bytes::from_static(HTTP_2)));
        }
    }
}
