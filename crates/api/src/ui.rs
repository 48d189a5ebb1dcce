//! The web UI: one page for all paths that people open, and the files it loads.
//!
//! The page is the same for every path; it learns from a `<base>` and a `<meta>` which prefix it lives below
//! and whether it belongs to a hub or an agent. What may run in it is bound by the content security policy:
//! scripts, styles and requests of this origin, nothing inline. Where the UI was not built in, a plain page
//! lists the endpoints and says how to build it.

mod file;
mod plain;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use self::file::{ASK_AGAIN, FILES, File, has};
use crate::router::{Common, Mode};

/// Replaced in the built page by what only the process knows.
const MARK: &str = "<meta name=\"nave\">";

const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
     base-uri 'self'; form-action 'none'; frame-ancestors 'self'",
);

/// Paths of pages in both modes; upstream's, so that links go on working.
const COMMON_PAGES: &[&str] = &["/targets", "/service-discovery", "/status", "/config", "/flags"];
const AGENT_PAGES: &[&str] = &["/agent"];
const SERVER_PAGES: &[&str] = &[
    "/clusters",
    "/clusters/{name}",
    "/query",
    "/alerts",
    "/rules",
    "/tsdb-status",
    "/alertmanager-discovery",
];

/// The page of one process.
struct Ui {
    files: &'static [File],
    page: Bytes,
    etag: String,
    /// `/`, or the path of the external URL with a slash at its end.
    base: String,
    home: &'static str,
}

/// The UI's routes, below no prefix.
pub(crate) fn router(common: &Common) -> Router {
    routes(Ui::new(common, FILES), common.mode)
}

fn routes(ui: Ui, mode: Mode) -> Router {
    let pages = match mode {
        Mode::Server => SERVER_PAGES,
        Mode::Agent => AGENT_PAGES,
    };
    let mut router = Router::new().route("/", get(home)).route("/graph", get(graph));
    for path in COMMON_PAGES.iter().chain(pages) {
        router = router.route(path, get(page));
    }
    router.route("/assets/{*path}", get(asset)).route("/favicon.svg", get(icon)).with_state(Arc::new(ui))
}

impl Ui {
    fn new(common: &Common, files: &'static [File]) -> Self {
        let base = format!("{}/", common.external_url.path().trim_end_matches('/'));
        let built = files.iter().find(|file| file.name == "index.html");
        let page = match built.and_then(|file| std::str::from_utf8(file.plain).ok()) {
            Some(html) => html.replacen(MARK, &head(common, &base), 1),
            None => plain::page(common, &base),
        };
        let home = match common.mode {
            Mode::Server if built.is_some() => "clusters",
            Mode::Server => "query",
            Mode::Agent => "agent",
        };
        let etag = format!("\"{:032x}\"", hash(page.as_bytes()));
        Self { files, page: page.into(), etag, base, home }
    }

    fn file(&self, name: &str, headers: &HeaderMap) -> Response {
        match self.files.iter().find(|file| file.name == name) {
            Some(file) => file.answer(headers),
            None => (StatusCode::NOT_FOUND, "404 page not found\n").into_response(),
        }
    }

    fn redirect(&self, page: &str, query: Option<&str>) -> Response {
        let base = &self.base;
        let location = match query {
            Some(query) => format!("{base}{page}?{query}"),
            None => format!("{base}{page}"),
        };
        (StatusCode::FOUND, [(header::LOCATION, location)]).into_response()
    }
}

/// What the page must know before it can ask: where it lives and what it belongs to.
fn head(common: &Common, base: &str) -> String {
    let known = serde_json::json!({
        "mode": match common.mode { Mode::Server => "hub", Mode::Agent => "agent" },
        "title": common.page_title,
        "version": common.status.build().version,
    });
    let (base, known) = (escape(base), escape(&known.to_string()));
    format!("<base href=\"{base}\"><meta name=\"nave\" content=\"{known}\">")
}

/// Text as it may stand in HTML and in quoted attributes.
fn escape(text: &str) -> String {
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    escaped.replace('"', "&quot;").replace('\'', "&#39;")
}

/// FNV-1a, 128 bits: tells versions of the page apart.
fn hash(bytes: &[u8]) -> u128 {
    bytes.iter().fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d, |hash, byte| {
        (hash ^ u128::from(*byte)).wrapping_mul(0x0100_0000_0000_0000_0000_013b)
    })
}

/// `/`: the front page of the mode.
async fn home(State(ui): State<Arc<Ui>>) -> Response {
    ui.redirect(ui.home, None)
}

/// `/graph`: the old address of `/query`; links with queries keep working.
async fn graph(State(ui): State<Arc<Ui>>, RawQuery(query): RawQuery) -> Response {
    ui.redirect("query", query.as_deref())
}

/// Every page.
async fn page(State(ui): State<Arc<Ui>>, headers: HeaderMap) -> Response {
    let mut response = if has(&headers, &ui.etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ui.page.clone().into_response()
    };
    let head = response.headers_mut();
    head.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    head.insert(header::CACHE_CONTROL, ASK_AGAIN);
    head.insert(header::CONTENT_SECURITY_POLICY, POLICY);
    head.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    head.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    if let Ok(etag) = HeaderValue::from_str(&ui.etag) {
        head.insert(header::ETAG, etag);
    }
    response
}

async fn asset(State(ui): State<Arc<Ui>>, Path(path): Path<String>, headers: HeaderMap) -> Response {
    ui.file(&format!("assets/{path}"), &headers)
}

async fn icon(State(ui): State<Arc<Ui>>, headers: HeaderMap) -> Response {
    ui.file("favicon.svg", &headers)
}

#[cfg(test)]
mod tests;
