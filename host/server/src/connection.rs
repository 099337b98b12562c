//! One connection.

use std::convert::Infallible;
use std::future::Future;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::ServerOptions;
use crate::service::Service;

/// Streams that one HTTP/2 connection may have open.
const MAX_STREAMS: u32 = 250;

/// What is read ahead of a request's head. More than the service lets through, so that it can say so.
const HEAD_BUFFER: usize = 64 << 10;

/// Requests under way on a connection, and when the last one ended.
struct Activity {
    opened: Instant,
    running: AtomicUsize,
    /// Milliseconds after `opened`.
    last_ended: AtomicU64,
}

impl Activity {
    fn new() -> Self {
        Self { opened: Instant::now(), running: AtomicUsize::new(0), last_ended: AtomicU64::new(0) }
    }

    fn begin(self: &Arc<Self>) -> Running {
        self.running.fetch_add(1, Ordering::Relaxed);
        Running(self.clone())
    }

    fn end(&self) {
        let now = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_ended.store(now, Ordering::Relaxed);
        self.running.fetch_sub(1, Ordering::Relaxed);
    }

    /// When the connection will have been idle for `limit`, if nothing happens until then.
    fn idle_at(&self, limit: Duration) -> Instant {
        if self.running.load(Ordering::Relaxed) > 0 {
            return Instant::now() + limit;
        }
        self.opened + Duration::from_millis(self.last_ended.load(Ordering::Relaxed)) + limit
    }
}

/// A request under way. Dropped at its end, also when its stream is reset.
pub(crate) struct Running(Arc<Activity>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// How connections are served. Made once.
#[derive(Clone)]
pub(crate) struct Connections {
    protocol: Builder<TokioExecutor>,
    service: Arc<Service>,
    options: ServerOptions,
}

impl Connections {
    pub(crate) fn new(service: Arc<Service>, options: ServerOptions) -> Self {
        let mut protocol = Builder::new(TokioExecutor::new());
        protocol
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(options.header_timeout)
            .max_buf_size(HEAD_BUFFER)
            // Or else the request of a client who sends it and leaves is dropped where its end is seen before it is begun.
            .half_close(true);
        protocol
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(HEAD_BUFFER as u32)
            .keep_alive_interval(options.idle_timeout / 2)
            .keep_alive_timeout(options.header_timeout);
        Self { protocol, service, options }
    }

    /// Serves a connection until its client leaves, it is idle too long, or `stop` is ready and its requests have ended.
    pub(crate) async fn serve(self, stream: TcpStream, peer: IpAddr, stop: impl Future<Output = ()>) {
        // Answers are written whole; waiting for more to send would cost 40 ms with a delayed acknowledgement.
        let _delayed = stream.set_nodelay(true);
        let activity = Arc::new(Activity::new());
        let service = service_fn(|request| {
            let (service, activity) = (self.service.clone(), activity.clone());
            async move { Ok::<_, Infallible>(service.answer(request, peer, activity.begin()).await) }
        });
        let mut connection = pin!(self.protocol.serve_connection(TokioIo::new(stream), service));
        let mut stop = pin!(stop);
        loop {
            let idle_at = activity.idle_at(self.options.idle_timeout);
            tokio::select! {
                biased;
                _ended = connection.as_mut() => return,
                () = stop.as_mut() => break,
                () = tokio::time::sleep_until(idle_at) => {
                    if activity.idle_at(self.options.idle_timeout) <= Instant::now() {
                        break;
                    }
                }
            }
        }
        connection.as_mut().graceful_shutdown();
        let _left = tokio::time::timeout(self.options.drain_timeout, connection).await;
    }
}
