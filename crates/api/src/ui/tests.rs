//! The routes of pages, with a built UI and without one.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use nave_base::budget::Budget;
use nave_base::clock::FakeClock;
use nave_base::metric::Registry;
use nave_model::label::Labels;
use nave_model::metadata::Metadata;
use nave_model::relabel::RelabelConfig;
use nave_model::select::{MetadataIndex, Scope};
use tower::ServiceExt;

use super::*;
use crate::view::*;

/// A process that has nothing to show.
struct Nothing;

impl TargetsView for Nothing {
    fn pools(&self) -> Vec<TargetPool> {
        Vec::new()
    }
    fn metadata(&self) -> Vec<TargetMetadata> {
        Vec::new()
    }
    fn relabel_rules(&self, _: &str) -> Option<Vec<RelabelConfig>> {
        None
    }
}

impl MetadataIndex for Nothing {
    fn metadata(&self, _: &Scope, _: Option<&str>) -> Vec<(Arc<str>, Metadata)> {
        Vec::new()
    }
}

impl StatusView for Nothing {
    fn config_yaml(&self) -> String {
        String::new()
    }
    fn flags(&self) -> BTreeMap<String, String> {
        BTreeMap::new()
    }
    fn runtime(&self) -> RuntimeInfo {
        RuntimeInfo::default()
    }
    fn build(&self) -> BuildInfo {
        BuildInfo { version: "3.14.0".into(), ..BuildInfo::default() }
    }
    fn external_labels(&self) -> Labels {
        Labels::default()
    }
    fn tsdb(&self, _: usize) -> Option<TsdbStatus> {
        None
    }
    fn wal_replay(&self) -> WalReplay {
        WalReplay::default()
    }
    fn features(&self) -> BTreeMap<String, BTreeMap<String, bool>> {
        BTreeMap::new()
    }
}

impl Lifecycle for Nothing {
    fn ready(&self) -> Result<(), String> {
        Ok(())
    }
    fn reload(&self) -> BoxFuture<'_, Result<(), String>> {
        ready(Ok(())).boxed()
    }
    fn quit(&self) {}
    fn enabled(&self) -> bool {
        true
    }
}

const BUILT: &[File] = &[
    File {
        name: "index.html",
        etag: "\"1\"",
        plain: b"<html><head><meta name=\"nave\"><script src=\"./assets/a.js\"></script></head></html>",
        gzip: None,
        brotli: None,
    },
    File { name: "assets/a.js", etag: "\"2\"", plain: b"let a", gzip: None, brotli: None },
    File { name: "favicon.svg", etag: "\"3\"", plain: b"<svg/>", gzip: None, brotli: None },
];

fn common(mode: Mode, url: &str, title: &str) -> Common {
    Common {
        name: "Nave hub",
        external_url: url.parse().unwrap(),
        page_title: title.into(),
        clock: FakeClock::at(0),
        registry: Registry::default(),
        scope: Scope::default(),
        budget: Budget::unlimited(),
        targets: Arc::new(Nothing),
        metadata: Arc::new(Nothing),
        status: Arc::new(Nothing),
        lifecycle: Arc::new(Nothing),
        mode,
    }
}

fn pages(mode: Mode, files: &'static [File]) -> Router {
    routes(Ui::new(&common(mode, "http://nave.example/nave", "Nave"), files), mode)
}

async fn check(router: &Router, path: &str, known: &str) -> (u16, String, HeaderMap) {
    let request = Request::get(path).header("if-none-match", known).body(Body::empty()).unwrap();
    let (head, body) = router.clone().oneshot(request).await.unwrap().into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    (head.status.as_u16(), String::from_utf8(body.to_vec()).unwrap(), head.headers)
}

#[tokio::test]
async fn every_page_of_the_mode_and_no_other() {
    let (hub, agent) = (pages(Mode::Server, BUILT), pages(Mode::Agent, BUILT));
    let both = ["/targets", "/service-discovery", "/status", "/config", "/flags", "/favicon.svg"];
    for path in both {
        assert_eq!((check(&hub, path, "").await.0, check(&agent, path, "").await.0), (200, 200), "{path}");
    }
    for path in ["/clusters", "/clusters/a%20b", "/query", "/alerts", "/rules", "/tsdb-status"] {
        assert_eq!((check(&hub, path, "").await.0, check(&agent, path, "").await.0), (200, 404), "{path}");
    }
    assert_eq!((check(&hub, "/agent", "").await.0, check(&agent, "/agent", "").await.0), (404, 200));
    assert_eq!(check(&hub, "/assets/a.js", "").await.1, "let a");
    for path in ["/assets/b.js", "/assets/../index.html", "/index.html", "/x"] {
        assert_eq!(check(&hub, path, "").await.0, 404, "{path}");
    }
}

#[tokio::test]
async fn the_page_knows_its_prefix_and_mode() {
    for (mode, known) in [(Mode::Server, "hub"), (Mode::Agent, "agent")] {
        let (_, page, headers) = check(&pages(mode, BUILT), "/targets", "").await;
        let expect = format!(
            "<head><base href=\"/nave/\"><meta name=\"nave\" content=\"{{&quot;mode&quot;:&quot;{known}&quot;,\
             &quot;title&quot;:&quot;Nave&quot;,&quot;version&quot;:&quot;3.14.0&quot;}}\"><script"
        );
        assert!(page.contains(&expect), "{page}");
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("script-src 'self';") && !policy.contains("unsafe"), "{policy}");
        let etag = headers["etag"].to_str().unwrap();
        let (status, body, _) = check(&pages(mode, BUILT), "/targets", etag).await;
        assert_eq!((status, body.as_str()), (304, ""));
    }
}

#[tokio::test]
async fn a_hostile_title_or_prefix_stays_text() {
    let hostile = common(Mode::Server, "http://x/a\"><script>1</script>", "</title><script>'\"&");
    for files in [BUILT, &[]] {
        let router = routes(Ui::new(&hostile, files), Mode::Server);
        let (_, page, _) = check(&router, "/query", "").await;
        assert!(!page.contains("<script>"), "{page}");
    }
}

#[tokio::test]
async fn old_addresses_go_on_working() {
    for (files, path, location) in [
        (BUILT, "/", "/nave/clusters"),
        (&[], "/", "/nave/query"),
        (BUILT, "/graph?g0.expr=up&g0.tab=1", "/nave/query?g0.expr=up&g0.tab=1"),
        (BUILT, "/graph", "/nave/query"),
    ] {
        let (status, _, headers) = check(&pages(Mode::Server, files), path, "").await;
        assert_eq!((status, headers["location"].to_str().unwrap()), (302, location), "{path}");
    }
    let (_, _, headers) = check(&pages(Mode::Agent, BUILT), "/", "").await;
    assert_eq!(headers["location"], "/nave/agent");
}

#[tokio::test]
async fn without_a_built_ui_the_page_says_how_to_build_it() {
    let (status, page, _) = check(&pages(Mode::Server, &[]), "/query", "").await;
    assert_eq!(status, 200);
    for expect in ["<code>make build</code>", "<a href=\"/nave/api/v1/targets\">", "<title>Nave</title>"] {
        assert!(page.contains(expect), "{page} lacks {expect}");
    }
}
