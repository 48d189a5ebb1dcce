//! The listening side: bound at once, answering 503 until the process is ready, then the real routes.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use arc_swap::ArcSwap;
use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::routing::get;
use nave_base::clock::SharedClock;
use nave_base::metric::Registry;
use nave_http::server::{
    CorsOrigin, LayerOptions, Listeners, Metrics, Security, ServeOptions, layered, serve,
};
use tokio::task::JoinHandle;
use tower::ServiceExt;
use url::Url;

use super::Process;
use crate::yaml;

/// How long requests in flight may take at shutdown.
const DRAIN: Duration = Duration::from_secs(10);

/// A running listener.
pub(super) struct Web {
    routes: Arc<ArcSwap<Router>>,
    layers: LayerOptions,
    metrics: Metrics,
    task: JoinHandle<()>,
}

/// Binds all addresses and serves the start page of a process that is not ready.
pub(super) async fn start(process: &Process) -> Result<Web> {
    let flags = &process.flags;
    let layers = LayerOptions {
        route_prefix: route_prefix(process)?,
        cors_origin: Some(
            CorsOrigin::new(&flags.cors_origin).map_err(|why| anyhow!("--web.cors.origin: {why}"))?,
        ),
        ..LayerOptions::default()
    };
    let metrics = Metrics::register(&process.registry);
    let starting = layered(starting(), layers.clone(), metrics.clone());
    let routes = Arc::new(ArcSwap::from_pointee(starting));
    let security = security(flags.web_config.as_deref(), &process.clock, &process.registry)?;
    let listeners = Listeners::bind(&flags.listen).await?;
    let options = ServeOptions {
        role: process.mode.name(),
        max_connections: flags.max_connections,
        read_timeout: flags.read_timeout.into(),
        shutdown_timeout: DRAIN,
        security,
    };
    let current = routes.clone();
    let router = Router::new().fallback(move |request: Request| {
        let router = Router::clone(&current.load());
        async move { router.oneshot(request).await }
    });
    let task =
        tokio::spawn(serve(listeners, router, options, process.clock.clone(), process.shutdown.clone()));
    Ok(Web { routes, layers, metrics, task })
}

/// What `--web.config.file` asks of clients; `None` without the flag.
pub(crate) fn security(
    file: Option<&Path>,
    clock: &SharedClock,
    registry: &Registry,
) -> Result<Option<Security>> {
    let Some(file) = file.filter(|file| !file.as_os_str().is_empty()) else { return Ok(None) };
    let parse = |file: &Path, text: &str| yaml::parse(file, text).map_err(|error| error.to_string());
    Ok(Some(Security::load(file.to_owned(), parse, clock.clone(), registry)?))
}

/// Alive, but nothing else yet.
fn starting() -> Router {
    let not_ready = || async {
        (StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable: starting, the log is being read\n")
    };
    Router::new().route("/-/healthy", get(|| async { "Nave is Healthy.\n" })).fallback(not_ready)
}

impl Web {
    /// From now on requests see `router`.
    pub(super) fn open(&self, router: Router) {
        self.routes.store(Arc::new(layered(router, self.layers.clone(), self.metrics.clone())));
    }

    /// Resolves when the last request has ended after the shutdown.
    pub(super) async fn stopped(self) {
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the web server failed");
        }
    }
}

/// The prefix of all paths: as the flag says, else the path of the external URL.
fn route_prefix(process: &Process) -> Result<String> {
    match &process.flags.route_prefix {
        Some(prefix) => Ok(prefix.clone()),
        None => Ok(external_url(process)?.path().to_owned()),
    }
}

/// The address that users see: as the flag says, else this machine's name and the first port.
pub(super) fn external_url(process: &Process) -> Result<Url> {
    let flags = &process.flags;
    let text = match &flags.external_url {
        Some(url) if url.contains("://") => url.clone(),
        Some(url) => format!("http://{url}"),
        None => {
            let port = flags.listen.first().and_then(|address| address.rsplit(':').next()).unwrap_or("9090");
            format!("http://{}:{port}/", super::status::hostname())
        }
    };
    Url::parse(&text).with_context(|| format!("--web.external-url: expected a URL, came {text:?}"))
}
