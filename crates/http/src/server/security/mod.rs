//! TLS, client certificates, basic authentication and headers of a listening side, by upstream's
//! `web.config.file`.
//!
//! ```text
//! connection -> handshake (bounded in time and number) -> request -> user? -> router -> headers
//!      \______________ the file, read again when it changed ______/
//! ```
//!
//! The files are looked at before every handshake, and at most once a second by requests. It guards all
//! paths alike. Who may do what is not decided here.

mod names;
mod settings;
mod source;
mod tls;
mod users;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, Request, Response, StatusCode, header};
use axum::response::IntoResponse;
use nave_base::clock::SharedClock;
use nave_base::metric::{Counter, Family, Gauge, Registry};
use parking_lot::Mutex;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

pub use self::settings::{
    Cipher, ClientAuth, Curve, Headers, HttpServer, PasswordHash, RateLimit, SecuritySettings, TlsServer,
    Version,
};
pub use self::source::Parse;
use self::source::{Source, State};
use self::users::{Pace, Refused};

/// How often requests look for a changed file.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// For the whole handshake, as upstream's HTTP library has it.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Handshakes at a time; more wait their turn within the timeout.
const HANDSHAKES_MAX: usize = 128;
/// Requests that wait for a comparison of their password.
const COMPARISONS_WAITING: usize = 256;
/// How often refused requests are logged.
const LOG_EVERY: Duration = Duration::from_secs(10);
/// The first byte of a TLS connection: a record of the handshake.
const HANDSHAKE_RECORD: u8 = 22;
/// What Go's server says, so that people find it.
const PLAIN_ON_TLS: &[u8] =
    b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";

/// A `web.config.file` that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("--web.config.file: {0}")]
pub struct SecurityError(String);

/// What a listening side asks of its clients. Clones share everything.
#[derive(Debug, Clone)]
pub struct Security(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    state: ArcSwap<State>,
    source: Mutex<Source>,
    clock: SharedClock,
    /// Milliseconds of monotonic time when the files were looked at last.
    looked_ms: AtomicU64,
    pace: Pace,
    handshakes: Semaphore,
    metrics: Metrics,
    logged: Mutex<Quiet>,
}

#[derive(Debug)]
struct Metrics {
    refused: Family<Counter>,
    handshakes_failed: Counter,
    reload_failed: Counter,
    is_loaded: Gauge,
}

/// Log lines that were held back.
#[derive(Debug, Default)]
struct Quiet {
    since: Option<Duration>,
    held_back: u64,
}

/// The names in the certificate of a client, which was held against an authority: an extension of its requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientNames(Arc<[String]>);

impl ClientNames {
    /// Common name first, then the subject alternative names.
    #[must_use]
    pub fn new(names: Vec<String>) -> Self {
        Self(names.into())
    }

    /// The names, each once.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    fn of(stream: &TlsStream<TcpStream>, verifies: bool) -> Option<Self> {
        // A certificate that nobody has checked proves nothing.
        let chain = stream.get_ref().1.peer_certificates().filter(|_| verifies)?;
        chain.first().map(|own| Self::new(names::all_names(own)))
    }
}

impl Security {
    /// Reads `file` and those that it names. Blocks on the disk. Registers its metrics, once per registry.
    ///
    /// # Errors
    /// When the file, or one that it names, cannot be read or used.
    pub fn load(
        file: PathBuf,
        parse: Parse,
        clock: SharedClock,
        registry: &Registry,
    ) -> Result<Self, SecurityError> {
        let mut source = Source::new(file, parse);
        let state = source.load(None).map_err(SecurityError)?;
        let inner = Inner {
            state: ArcSwap::from_pointee(state),
            source: Mutex::new(source),
            looked_ms: AtomicU64::new(now_ms(&clock)),
            clock,
            pace: Pace::new(COMPARISONS_WAITING),
            handshakes: Semaphore::new(HANDSHAKES_MAX),
            metrics: Metrics::register(registry),
            logged: Mutex::default(),
        };
        Ok(Self(Arc::new(inner)))
    }

    /// Whether clients must speak TLS.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.0.state.load().tls.is_some()
    }

    /// Whether HTTP/2 is spoken inside TLS.
    pub(super) fn http2(&self) -> bool {
        self.0.state.load().http2
    }

    /// The current state, read again first when `is_due` and something changed.
    async fn current(&self, is_due: bool) -> Arc<State> {
        if is_due {
            self.0.looked_ms.store(now_ms(&self.0.clock), Ordering::Relaxed);
            let inner = self.0.clone();
            // The disk may be slow; a look that fails to run leaves what is there.
            let _ = tokio::task::spawn_blocking(move || inner.reload()).await;
        }
        self.0.state.load_full()
    }

    fn is_time_to_look(&self) -> bool {
        let looked = Duration::from_millis(self.0.looked_ms.load(Ordering::Relaxed));
        self.0.clock.monotonic().saturating_sub(looked) >= LOOK_EVERY
    }

    /// The server's side of the handshake, and the names that the client has proven; `None` when there is no connection
    /// to go on with.
    pub(super) async fn handshake(
        &self,
        mut stream: TcpStream,
    ) -> Option<(TlsStream<TcpStream>, Option<ClientNames>)> {
        let timeout = self.0.clock.sleep(HANDSHAKE_TIMEOUT);
        let outcome = tokio::select! {
            outcome = self.shake(&mut stream) => outcome,
            () = timeout => Err(format!("no TLS handshake within {HANDSHAKE_TIMEOUT:?}")),
        };
        let (config, verifies) = match outcome {
            Ok(config) => config,
            Err(why) => return self.handshake_failed(&why),
        };
        let accept = async {
            let _turn = self.0.handshakes.acquire().await.ok()?;
            Some(TlsAcceptor::from(config).accept(stream).await)
        };
        let timeout = self.0.clock.sleep(HANDSHAKE_TIMEOUT);
        tokio::select! {
            accepted = accept => match accepted? {
                Ok(stream) => {
                    let names = ClientNames::of(&stream, verifies);
                    Some((stream, names))
                }
                Err(error) => self.handshake_failed(&error.to_string()),
            },
            () = timeout => self.handshake_failed("the TLS handshake took too long"),
        }
    }

    /// Waits for the first byte, and tells a client that speaks plain HTTP.
    async fn shake(&self, stream: &mut TcpStream) -> Result<(Arc<rustls::ServerConfig>, bool), String> {
        let mut first = [0];
        match stream.peek(&mut first).await {
            Ok(1) if first[0] == HANDSHAKE_RECORD => (),
            Ok(1) if first[0].is_ascii_uppercase() => {
                let _ = stream.write_all(PLAIN_ON_TLS).await;
                let _ = stream.shutdown().await;
                drain(stream).await;
                return Err("client sent an HTTP request to an HTTPS server".to_owned());
            }
            Ok(0) => return Err("the connection was closed before the TLS handshake".to_owned()),
            Ok(_) => return Err("the first byte is not one of TLS".to_owned()),
            Err(error) => return Err(error.to_string()),
        }
        let state = self.current(true).await;
        let config = state.tls.clone().ok_or_else(|| "TLS is off".to_owned())?;
        Ok((config, state.verifies_clients))
    }

    fn handshake_failed<T>(&self, why: &str) -> Option<T> {
        self.0.metrics.handshakes_failed.inc();
        tracing::debug!(component = "web", error = why, "TLS handshake failed");
        None
    }

    /// Passes `request` on to `router` if its sender may come in, and adds the headers to the answer.
    pub(super) async fn serve(&self, router: Router, request: Request<Body>) -> Response<Body> {
        let state = self.current(self.is_time_to_look()).await;
        let refused = match &state.users {
            Some(users) => users.check(request.headers(), &self.0.pace).await.err(),
            None => None,
        };
        let mut response = match refused {
            Some(refused) => self.refuse(refused, &request),
            None => match tower::ServiceExt::oneshot(router, request).await {
                Ok(response) => response,
                Err(never) => match never {},
            },
        };
        for (name, value) in &state.headers.0 {
            response.headers_mut().entry(*name).or_insert_with(|| value.clone());
        }
        response
    }

    fn refuse(&self, refused: Refused, request: &Request<Body>) -> Response<Body> {
        let reason = match refused {
            Refused::Missing => "missing",
            Refused::Wrong => "wrong",
            Refused::Busy => "busy",
        };
        self.0.metrics.refused.with(&[reason]).inc();
        self.log_refused(reason, request);
        if refused == Refused::Busy {
            let text = "Service Unavailable: too many passwords are being checked\n";
            return (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "1")], text).into_response();
        }
        // The sender shows this text in its own log.
        let text = match refused {
            Refused::Missing => "Unauthorized: basic authentication is required\n",
            _ => "Unauthorized: authentication failed, user or password is wrong\n",
        };
        let mut response = (StatusCode::UNAUTHORIZED, text).into_response();
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic"));
        response
    }

    /// Says who was refused, without what was sent.
    fn log_refused(&self, reason: &str, request: &Request<Body>) {
        let now = self.0.clock.monotonic();
        let held_back = {
            let mut quiet = self.0.logged.lock();
            if quiet.since.is_some_and(|since| now.saturating_sub(since) < LOG_EVERY) {
                quiet.held_back += 1;
                return;
            }
            quiet.since = Some(now);
            std::mem::take(&mut quiet.held_back)
        };
        let peer = request.extensions().get::<axum::extract::ConnectInfo<std::net::SocketAddr>>();
        let peer = peer.map(|peer| peer.0.to_string()).unwrap_or_default();
        let path = request.uri().path();
        tracing::warn!(component = "web", peer, path, reason, held_back, "authentication failed");
    }
}

impl Inner {
    /// Takes over what changed. Blocks on the disk.
    fn reload(&self) {
        let mut source = self.source.lock();
        if !source.has_changed() {
            return;
        }
        match source.load(Some(&self.state.load())) {
            Ok(state) => {
                self.state.store(Arc::new(state));
                self.metrics.is_loaded.set(1.0);
                tracing::info!(component = "web", "the web configuration was read again");
            }
            Err(error) => {
                self.metrics.reload_failed.inc();
                self.metrics.is_loaded.set(0.0);
                tracing::error!(
                    component = "web",
                    error,
                    "the web configuration cannot be used; the last good one stays"
                );
            }
        }
    }
}

impl Metrics {
    fn register(registry: &Registry) -> Self {
        let metrics = Self {
            refused: registry.counter_family(
                "nave_http_auth_failures_total",
                "Requests that were refused because of their basic authentication.",
                &["reason"],
            ),
            handshakes_failed: registry.counter(
                "nave_http_tls_handshake_failures_total",
                "Connections that ended before their TLS handshake was done.",
            ),
            reload_failed: registry.counter(
                "nave_http_web_config_reload_failures_total",
                "Changes of the web configuration, or of files that it names, that could not be used.",
            ),
            is_loaded: registry.gauge(
                "nave_http_web_config_last_reload_successful",
                "Whether the web configuration on disk is the one in use.",
            ),
        };
        for reason in ["missing", "wrong", "busy"] {
            metrics.refused.with(&[reason]);
        }
        metrics.is_loaded.set(1.0);
        metrics
    }
}

fn now_ms(clock: &SharedClock) -> u64 {
    u64::try_from(clock.monotonic().as_millis()).unwrap_or(u64::MAX)
}

/// Reads what a client still sends, a little; closing with bytes unread would take the answer away.
async fn drain(stream: &TcpStream) {
    let mut rest = [0; 4096];
    for _ in 0..16 {
        if stream.readable().await.is_err() {
            return;
        }
        match stream.try_read(&mut rest) {
            Ok(0) => return,
            Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => return,
            _ => (),
        }
    }
}
