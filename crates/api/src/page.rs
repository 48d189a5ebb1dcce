//! Pages for people, until the web UI comes: what this process is and which endpoints it has.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

use crate::router::{Common, Mode};

/// Endpoints worth a link, with what they show.
const SERVER_LINKS: &[(&str, &str)] = &[
    ("api/v1/query?query=up", "is every target up?"),
    ("api/v1/labels", "label names"),
    ("api/v1/label/__name__/values", "metric names"),
    ("api/v1/status/tsdb", "what the store holds"),
    ("federate?match[]=up", "federation"),
];
const COMMON_LINKS: &[(&str, &str)] = &[
    ("api/v1/targets", "scrape targets"),
    ("api/v1/metadata", "metric types and help"),
    ("api/v1/status/config", "configuration in use"),
    ("api/v1/status/flags", "command line"),
    ("api/v1/status/runtimeinfo", "runtime"),
    ("api/v1/status/buildinfo", "version"),
    ("metrics", "own metrics"),
    ("-/healthy", "is it alive?"),
    ("-/ready", "can it answer?"),
];

/// `/`: the start page of the mode.
pub(crate) async fn home(State(common): State<Arc<Common>>) -> Response {
    let target = match common.mode {
        Mode::Server => "query",
        Mode::Agent => "agent",
    };
    redirect(&common, target, None)
}

/// `/graph`: the old address of `/query`; links with queries keep working.
pub(crate) async fn graph(State(common): State<Arc<Common>>, RawQuery(query): RawQuery) -> Response {
    redirect(&common, "query", query.as_deref())
}

fn redirect(common: &Common, page: &str, query: Option<&str>) -> Response {
    let base = common.external_url.path().trim_end_matches('/');
    let location = match query {
        Some(query) => format!("{base}/{page}?{query}"),
        None => format!("{base}/{page}"),
    };
    (StatusCode::FOUND, [(header::LOCATION, location)]).into_response()
}

/// Every page of upstream's UI, for now.
pub(crate) async fn page(State(common): State<Arc<Common>>) -> Html<String> {
    let base = common.external_url.path().trim_end_matches('/');
    let server = match common.mode {
        Mode::Server => SERVER_LINKS,
        Mode::Agent => &[],
    };
    let links: String = server
        .iter()
        .chain(COMMON_LINKS)
        .map(|(path, text)| format!("<li><a href=\"{base}/{path}\">/{path}</a> &ndash; {text}</li>\n"))
        .collect();
    let (name, version) = (common.name, common.status.build().version);
    Html(format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{name}</title></head>\n\
         <body><h1>{name}</h1>\n<p>Speaks the HTTP API of Prometheus {version}. The web UI comes in a later \
         version; point Grafana here, or use the endpoints:</p>\n<ul>\n{links}</ul></body></html>\n"
    ))
}
