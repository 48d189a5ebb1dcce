//! `nave exporter node`: the built-in node exporter's page on a port of its own, and as a scrape source.

use std::sync::Arc;

use anyhow::{Context, Result};
use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use nave_base::Shutdown;
use nave_base::clock::SystemClock;
use nave_base::metric::{Format, Registry};
use nave_exporter::{Node, NodeOptions};
use nave_http::server::{LayerOptions, Listeners, Metrics, ServeOptions, layered, serve};

use crate::{flag, log, process, server, signal};

const INDEX: &str = "<!DOCTYPE html><title>nave exporter</title><h1>nave exporter node</h1>\
<p><a href=\"/metrics\">Metrics</a></p>";

/// Serves the page until SIGINT or SIGTERM.
pub(crate) async fn node(flags: flag::Node) -> Result<()> {
    log::install(flags.log.level, flags.log.format)?;
    let clock = SystemClock::shared();
    let options = options(&flags.procfs, &flags.sysfs, &flags.rootfs);
    let node = Arc::new(Node::new(options, clock.clone()).context("cannot set up the node exporter")?);
    let registry = Registry::default();
    process::register(&registry);
    let metrics = Metrics::register(&registry);
    let security = server::security(flags.web_config.as_deref(), &clock, &registry)?;
    let router = Router::new()
        .route("/", get(|| async { Html(INDEX) }))
        .route("/metrics", get(move || page(node.clone(), registry.clone())));
    let shutdown = Shutdown::new();
    let listeners = Listeners::bind(&flags.listen).await?;
    let router = layered(router, LayerOptions::default(), metrics);
    let options = ServeOptions { role: "exporter", security, ..ServeOptions::default() };
    let server = tokio::spawn(serve(listeners, router, options, clock, shutdown.clone()));
    let signal = signal::interrupted().await?;
    tracing::info!(signal, "stopping");
    shutdown.cancel();
    server.await.context("the server failed")
}

/// The host's metrics and, behind them, the exporter's own.
async fn page(node: Arc<Node>, registry: Registry) -> Response {
    match tokio::task::spawn_blocking(move || node.page() + &registry.page(Format::Text)).await {
        Ok(page) => ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], page).into_response(),
        Err(error) => {
            tracing::error!(%error, "the page could not be built");
            axum::http::StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Options of a node exporter that reads below the given mounts.
pub(crate) fn options(
    procfs: &std::path::Path,
    sysfs: &std::path::Path,
    rootfs: &std::path::Path,
) -> NodeOptions {
    NodeOptions {
        procfs: procfs.to_owned(),
        sysfs: sysfs.to_owned(),
        rootfs: rootfs.to_owned(),
        ..NodeOptions::default()
    }
}
