//! What every request passes on its way to the router.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::{HeaderValue, Method, Response, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Redirect};
use axum::routing::any;
use futures_util::FutureExt;

use super::compress::{accepts_gzip, gzip};
use super::cors::CorsOrigin;
use super::metric::{Metrics, handler_name};

/// How requests are treated before a route sees them.
#[derive(Debug, Clone)]
pub struct LayerOptions {
    /// `--web.route-prefix`: all routes live under it. Empty or `/` for none.
    pub route_prefix: String,
    /// `--web.cors.origin`; `None` lets no other origin in.
    pub cors_origin: Option<CorsOrigin>,
    /// Bodies that a route extracts whole may have this many bytes; a route may set another limit.
    pub body_bytes_max: usize,
}

impl Default for LayerOptions {
    fn default() -> Self {
        Self { route_prefix: String::new(), cors_origin: None, body_bytes_max: 10 << 20 }
    }
}

struct Layers {
    options: LayerOptions,
    prefix: String,
    metrics: Metrics,
}

/// Wraps `router` in metrics, compression, CORS, panic handling and the route prefix.
pub fn layered(router: Router, options: LayerOptions, metrics: Metrics) -> Router {
    let prefix = options.route_prefix.trim_matches('/');
    let prefix = if prefix.is_empty() { String::new() } else { format!("/{prefix}") };
    let body_limit = DefaultBodyLimit::max(options.body_bytes_max);
    let layers = Arc::new(Layers { options, prefix: prefix.clone(), metrics });
    let router = router.fallback(not_found).method_not_allowed_fallback(not_allowed).layer(body_limit);
    let router = match prefix.as_str() {
        "" => router,
        prefix => {
            let home = format!("{prefix}/");
            let to_home = any(move || async move { Redirect::to(&home) });
            // `nest` serves the prefix alone as the inner "/", but not the prefix with a slash.
            let inner = router.clone();
            let slash = any(move |mut request: Request| {
                let inner = inner.clone();
                async move {
                    *request.uri_mut() = root_of(request.uri());
                    tower::ServiceExt::oneshot(inner, request).await
                }
            });
            Router::new().route("/", to_home).route(&format!("{prefix}/"), slash).nest(prefix, router)
        }
    };
    // Added last, so that the fallback passes it too.
    router.layer(from_fn_with_state(layers, pass))
}

async fn not_found() -> (StatusCode, &'static str) {
    (StatusCode::NOT_FOUND, "404 page not found\n")
}

async fn not_allowed() -> (StatusCode, &'static str) {
    (StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed\n")
}

fn root_of(uri: &axum::http::Uri) -> axum::http::Uri {
    let query = uri.query().map(|query| format!("/?{query}"));
    query.as_deref().unwrap_or("/").parse().unwrap_or_default()
}

async fn pass(State(layers): State<Arc<Layers>>, request: Request, next: Next) -> Response<Body> {
    let start = Instant::now();
    let handler = match request.extensions().get::<MatchedPath>() {
        Some(path) => {
            let path = path.as_str();
            handler_name(path.strip_prefix(layers.prefix.as_str()).unwrap_or(path))
        }
        None => "not_found".to_owned(),
    };
    let origin = request.headers().get(header::ORIGIN).cloned();
    let wants_gzip = accepts_gzip(request.headers());
    let is_api =
        request.uri().path()[..].strip_prefix(layers.prefix.as_str()).unwrap_or("").starts_with("/api/");
    let mut response = if is_api && request.method() == Method::OPTIONS {
        StatusCode::NO_CONTENT.into_response()
    } else {
        let path = request.uri().path().to_owned();
        match AssertUnwindSafe(next.run(request)).catch_unwind().await {
            Ok(response) => response,
            Err(panic) => crashed(&path, panic.as_ref()),
        }
    };
    if let (Some(cors), true) = (&layers.options.cors_origin, is_api) {
        cors.allow(origin.as_ref(), response.headers_mut());
    }
    let response = if wants_gzip { gzip(response).await } else { response };
    let size = response.body().size_hint().exact();
    layers.metrics.observe(&handler, response.status().as_u16(), start.elapsed(), size);
    response
}

fn crashed(path: &str, panic: &(dyn std::any::Any + Send)) -> Response<Body> {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("unknown panic");
    tracing::error!(component = "web", path, panic = text, "request handler panicked");
    let body = r#"{"status":"error","errorType":"internal","error":"internal error: the request handler panicked; see the log"}"#;
    let mut response = (StatusCode::INTERNAL_SERVER_ERROR, body).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
