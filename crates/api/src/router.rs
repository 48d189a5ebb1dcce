//! Which path goes where, for both modes.

use std::sync::Arc;

use axum::Router;
use axum::routing::{MethodRouter, get, post};
use nave_base::budget::Budget;
use nave_base::clock::SharedClock;
use nave_base::metric::Registry;
use nave_model::select::{ExemplarIndex, LabelIndex, MetadataIndex, Scope, Select};
use nave_promql::Engine;
use url::Url;

use crate::envelope::{Answered, ApiError};
use crate::view::{Lifecycle, StatusView, TargetsView};
use crate::{federate, lifecycle, query, relabel_step, series, status, target, target_search, ui};

/// Where the API lives; the second is where clients of Mimir look for it.
pub(crate) const API_PREFIXES: [&str; 2] = ["/api/v1", "/prometheus/api/v1"];

/// What a process without a store can show.
#[derive(Clone)]
pub struct Common {
    /// The first word of `/-/healthy` and of pages, such as `Nave hub`.
    pub name: &'static str,
    /// The address that users see, with the path prefix.
    pub external_url: Url,
    /// The title of the web pages.
    pub page_title: String,
    /// The time.
    pub clock: SharedClock,
    /// What `/metrics` shows.
    pub registry: Registry,
    /// What requests may see.
    pub scope: Scope,
    /// Charged by what reads series.
    pub budget: Budget,
    /// Scrape targets.
    pub targets: Arc<dyn TargetsView>,
    /// Metric families.
    pub metadata: Arc<dyn MetadataIndex>,
    /// The process.
    pub status: Arc<dyn StatusView>,
    /// Readiness, reload, stop.
    pub lifecycle: Arc<dyn Lifecycle>,
    /// Set by the router.
    pub mode: Mode,
}

impl Common {
    pub(crate) fn check_ready(&self) -> Result<(), ApiError> {
        self.lifecycle.ready().map_err(|why| ApiError::unavailable(format!("TSDB not ready: {why}")))
    }
}

/// Whether there is a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Stores and answers.
    Server,
    /// Only collects and pushes.
    Agent,
}

/// What a process with a store can show.
#[derive(Clone)]
pub struct Server {
    /// What both modes have.
    pub common: Common,
    /// Runs queries.
    pub engine: Engine,
    /// The store: series.
    pub select: Arc<dyn Select>,
    /// The store: label names and values.
    pub labels: Arc<dyn LabelIndex>,
    /// The store: exemplars.
    pub exemplars: Arc<dyn ExemplarIndex>,
}

/// All routes of a server.
pub fn router(server: Server) -> Router {
    let common = Common { mode: Mode::Server, ..server.common.clone() };
    let server = Arc::new(server);
    let api = Router::new()
        .route("/query", get(query::instant).post(query::instant))
        .route("/query_range", get(query::range).post(query::range))
        .route("/query_exemplars", get(query::exemplars).post(query::exemplars))
        .route("/format_query", get(query::format).post(query::format))
        .route("/parse_query", get(query::parse_tree).post(query::parse_tree))
        .route("/labels", get(series::label_names).post(series::label_names))
        .route("/label/{name}/values", get(series::label_values))
        .route("/series", get(series::series).post(series::series))
        .route("/rules", get(status::rules))
        .route("/alerts", get(status::alerts))
        .route("/alertmanagers", get(status::alertmanagers))
        .route("/status/tsdb", get(status::tsdb))
        .with_state(server.clone());
    common_router(Arc::new(common), &api)
        .merge(Router::new().route("/federate", get(federate::federate)).with_state(server))
}

/// The routes of an agent: what needs a store refuses, as upstream's agent does.
pub fn agent_router(common: Common) -> Router {
    let both: fn() -> MethodRouter = || get(no_store).post(no_store);
    let api = Router::new()
        .route("/query", both())
        .route("/query_range", both())
        .route("/query_exemplars", both())
        .route("/format_query", both())
        .route("/parse_query", both())
        .route("/labels", both())
        .route("/label/{name}/values", get(no_store))
        .route("/series", both())
        .route("/rules", get(no_store))
        .route("/alerts", get(no_store))
        .route("/alertmanagers", get(no_store))
        .route("/status/tsdb", get(no_store));
    common_router(Arc::new(Common { mode: Mode::Agent, ..common }), &api)
        .route("/federate", get(no_federation))
}

async fn no_store() -> Answered {
    Err(ApiError::execution("unavailable with Prometheus Agent"))
}

async fn no_federation() -> (axum::http::StatusCode, &'static str) {
    let text = "unavailable with Prometheus Agent: it keeps no samples to federate\n";
    (axum::http::StatusCode::UNPROCESSABLE_ENTITY, text)
}

/// What both modes have: part of the API, `/-/*`, `/metrics` and the pages.
fn common_router(common: Arc<Common>, api: &Router) -> Router {
    let shared = Router::new()
        .route("/metadata", get(series::metadata))
        .route("/targets", get(target::targets))
        .route("/targets/metadata", get(target::target_metadata))
        .route("/targets/search", get(target_search::search))
        .route("/targets/relabel_steps", get(relabel_step::steps))
        .route("/scrape_pools", get(target::scrape_pools))
        .route("/status/config", get(status::config))
        .route("/status/flags", get(status::flags))
        .route("/status/runtimeinfo", get(status::runtimeinfo))
        .route("/status/buildinfo", get(status::buildinfo))
        .route("/status/walreplay", get(status::walreplay))
        .route("/features", get(status::features))
        .route("/notifications", get(status::notifications))
        .with_state(common.clone())
        .merge(api.clone());
    let outside = Router::new()
        .route("/-/healthy", get(lifecycle::healthy))
        .route("/-/ready", get(lifecycle::ready))
        .route("/-/reload", post(lifecycle::reload).put(lifecycle::reload).get(lifecycle::post_only))
        .route("/-/quit", post(lifecycle::quit).put(lifecycle::quit).get(lifecycle::post_only))
        .route("/metrics", get(lifecycle::metrics))
        .route("/version", get(lifecycle::version));
    let pages = ui::router(&common);
    let mut all = outside.with_state(common).merge(pages);
    for prefix in API_PREFIXES {
        all = all.nest(prefix, shared.clone());
    }
    all
}
