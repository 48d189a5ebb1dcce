//! Accepting connections and running them until the end or the shutdown.

use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::ConnectInfo;
use bytes::Bytes;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use nave_base::Shutdown;
use nave_base::backoff::Backoff;
use nave_base::clock::{SharedClock, Sleep};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::lenient::Lenient;
use super::{ClientNames, Listeners, Security};

/// Limits of the connections.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// What this process is, for the log: `hub`, `agent`.
    pub role: &'static str,
    /// `--web.max-connections`: more wait in the backlog.
    pub max_connections: usize,
    /// `--web.read-timeout`: for reading a request, and until an idle connection is closed.
    pub read_timeout: Duration,
    /// How long requests in flight may go on after the shutdown began.
    pub shutdown_timeout: Duration,
    /// `--web.config.file`; everyone comes in by plain HTTP when `None`.
    pub security: Option<Security>,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            role: "server",
            max_connections: 512,
            read_timeout: Duration::from_secs(300),
            shutdown_timeout: Duration::from_secs(10),
            security: None,
        }
    }
}

/// Serves `router` on `listeners` until `shutdown` fires and the requests in flight have ended, or their
/// time is over.
pub async fn serve(
    listeners: Listeners,
    router: Router,
    options: ServeOptions,
    clock: SharedClock,
    shutdown: Shutdown,
) {
    let server = Arc::new(Server {
        permits: Arc::new(Semaphore::new(options.max_connections)),
        router,
        options,
        clock,
        shutdown,
    });
    let mut loops = JoinSet::new();
    for listener in listeners.0 {
        if let Ok(address) = listener.local_addr() {
            let tls = server.options.security.as_ref().is_some_and(Security::is_tls);
            tracing::info!(component = "web", %address, role = server.options.role, tls, "listening");
        }
        loops.spawn(server.clone().accept(listener));
    }
    while loops.join_next().await.is_some() {}
}

struct Server {
    permits: Arc<Semaphore>,
    router: Router,
    options: ServeOptions,
    clock: SharedClock,
    shutdown: Shutdown,
}

impl Server {
    async fn accept(self: Arc<Self>, listener: TcpListener) {
        let mut connections = JoinSet::new();
        let mut backoff = Backoff::new(Duration::from_millis(5), Duration::from_secs(1));
        loop {
            while connections.try_join_next().is_some() {}
            let next = async {
                let permit = self.permits.clone().acquire_owned().await.ok()?;
                Some((permit, listener.accept().await))
            };
            let accepted = tokio::select! {
                () = self.shutdown.cancelled() => break,
                accepted = next => accepted,
            };
            match accepted {
                None => break,
                Some((permit, Ok((stream, _)))) => {
                    backoff.reset();
                    let server = self.clone();
                    connections.spawn(async move {
                        server.run(stream).await;
                        drop(permit);
                    });
                }
                Some((_, Err(error))) => self.wait_after(&error, &mut backoff).await,
            }
        }
        drop(listener);
        let all = async { while connections.join_next().await.is_some() {} };
        tokio::select! {
            () = all => (),
            // Dropping the set ends what is left.
            () = self.clock.sleep(self.options.shutdown_timeout) => {
                tracing::warn!(component = "web", "requests in flight were cut off at the end of the shutdown");
            }
        }
    }

    /// A client that is gone already is no reason to wait; a lack of file descriptors is.
    async fn wait_after(&self, error: &io::Error, backoff: &mut Backoff) {
        use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
        if matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
            return;
        }
        let wait = backoff.next_wait();
        tracing::error!(component = "web", %error, retry_in = ?wait, "cannot accept a connection");
        self.clock.sleep(wait).await;
    }

    async fn run(&self, stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        let peer = stream.peer_addr().ok();
        let Some(security) = self.options.security.as_ref().filter(|security| security.is_tls()) else {
            return self.talk(stream, peer, None, true).await;
        };
        let shaken = tokio::select! {
            shaken = security.handshake(stream) => shaken,
            () = self.shutdown.cancelled() => None,
        };
        if let Some((stream, names)) = shaken {
            self.talk(stream, peer, names, security.http2()).await;
        }
    }

    async fn talk<S>(&self, stream: S, peer: Option<SocketAddr>, names: Option<ClientNames>, http2: bool)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let read_timeout = self.options.read_timeout;
        let clock = self.clock.clone();
        let router = self.router.clone();
        let security = self.options.security.clone();
        let service = tower::service_fn(move |request: hyper::Request<Incoming>| {
            let clock = clock.clone();
            let timed = |body| TimedBody { body, clock, timeout: read_timeout, late: None, done: false };
            let mut request = request.map(|body| Body::new(timed(body)));
            if let Some(peer) = peer {
                // For handlers that name the sender.
                request.extensions_mut().insert(ConnectInfo(peer));
            }
            if let Some(names) = &names {
                request.extensions_mut().insert(names.clone());
            }
            let (router, security) = (router.clone(), security.clone());
            async move {
                match security {
                    Some(security) => Ok(security.serve(router, request).await),
                    None => tower::ServiceExt::oneshot(router, request).await,
                }
            }
        });
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(read_timeout);
        builder.http2().timer(TokioTimer::new()).keep_alive_interval(read_timeout);
        let builder = if http2 { builder } else { builder.http1_only() };
        let connection =
            builder.serve_connection(TokioIo::new(Lenient::new(stream)), TowerToHyperService::new(service));
        let mut connection = pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.shutdown.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(component = "web", error, "connection ended early");
        }
    }
}

/// A request body that fails when it has not ended in time after it was first waited for.
struct TimedBody {
    body: Incoming,
    clock: SharedClock,
    timeout: Duration,
    late: Option<Sleep>,
    done: bool,
}

impl HttpBody for TimedBody {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) {
            this.done |= frame.is_none();
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        if this.done {
            return Poll::Pending;
        }
        let late = this.late.get_or_insert_with(|| this.clock.sleep(this.timeout));
        late.as_mut().poll(context).map(|()| {
            let error = io::Error::new(io::ErrorKind::TimedOut, "reading the request body timed out");
            Some(Err(error.into()))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
