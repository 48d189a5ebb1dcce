//! `/-/healthy`, `/-/ready`, `/-/reload`, `/-/quit`, `/metrics`, `/version`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use nave_base::metric::Format;

use crate::router::Common;

const NOT_ENABLED: &str = "Lifecycle API is not enabled.";

/// `/-/healthy`: the process runs.
pub(crate) async fn healthy(State(common): State<Arc<Common>>) -> String {
    format!("{} is Healthy.\n", common.name)
}

/// `/-/ready`: requests can be answered.
pub(crate) async fn ready(State(common): State<Arc<Common>>) -> Response {
    match common.lifecycle.ready() {
        Ok(()) => format!("{} is Ready.\n", common.name).into_response(),
        Err(why) => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("Service Unavailable: {why}\n")).into_response()
        }
    }
}

/// `/-/reload`: reads the configuration again and waits for it.
pub(crate) async fn reload(State(common): State<Arc<Common>>) -> Response {
    if !common.lifecycle.enabled() {
        return (StatusCode::FORBIDDEN, NOT_ENABLED).into_response();
    }
    match common.lifecycle.reload().await {
        Ok(()) => StatusCode::OK.into_response(),
        Err(error) => {
            let text = format!("failed to reload config: {error}\n");
            (StatusCode::INTERNAL_SERVER_ERROR, text).into_response()
        }
    }
}

/// `/-/quit`: begins the shutdown.
pub(crate) async fn quit(State(common): State<Arc<Common>>) -> Response {
    if !common.lifecycle.enabled() {
        return (StatusCode::FORBIDDEN, NOT_ENABLED).into_response();
    }
    common.lifecycle.quit();
    "Requesting termination... Goodbye!".into_response()
}

/// GET on what takes only POST and PUT.
pub(crate) async fn post_only() -> Response {
    (StatusCode::METHOD_NOT_ALLOWED, "Only POST or PUT requests allowed").into_response()
}

/// `/metrics`: the process' own, as OpenMetrics where the scraper prefers that.
pub(crate) async fn metrics(State(common): State<Arc<Common>>, headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (format, content_type) = if accept.contains("application/openmetrics-text") {
        (Format::OpenMetrics, "application/openmetrics-text; version=1.0.0; charset=utf-8")
    } else {
        (Format::Text, "text/plain; version=0.0.4; charset=utf-8")
    };
    ([(header::CONTENT_TYPE, content_type)], common.registry.page(format)).into_response()
}

/// `/version`.
pub(crate) async fn version(State(common): State<Arc<Common>>) -> Response {
    let json = serde_json::to_string(&common.status.build()).unwrap_or_default();
    ([(header::CONTENT_TYPE, "application/json")], json).into_response()
}
