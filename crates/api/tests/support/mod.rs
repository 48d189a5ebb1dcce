//! A router over a store of a few fixed series.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use nave_api::view::*;
use nave_api::{Common, Mode, Server};
use nave_base::budget::Budget;
use nave_base::clock::FakeClock;
use nave_base::metric::Registry;
use nave_model::label::Labels;
use nave_model::matcher::Matcher;
use nave_model::metadata::{Metadata, MetricType};
use nave_model::relabel::RelabelConfig;
use nave_model::sample::Exemplar;
use nave_model::select::*;
use nave_model::time::{TimeRange, Timestamp};
use nave_promql::{Engine, EngineOptions};
use tower::ServiceExt;

/// The time of every test: 2026-11-20T12:00:00Z.
pub(crate) const NOW_MS: i64 = 1_795_176_000_000;

/// Series with samples at `NOW_MS` and the four minutes before it.
pub(crate) struct Store(Vec<(Labels, Vec<f64>)>);

impl Store {
    pub(crate) fn new() -> Self {
        let series = |pairs: &[(&str, &str)], values: &[f64]| {
            (Labels::from_pairs(pairs.iter().copied()).unwrap(), values.to_vec())
        };
        let mut all = vec![
            series(&[("__name__", "up"), ("instance", "a:1"), ("job", "node")], &[1.0, 1.0, 1.0, 1.0, 1.0]),
            series(&[("__name__", "up"), ("instance", "b:1"), ("job", "node")], &[1.0, 1.0, 0.0, 0.0, 0.0]),
            series(&[("__name__", "odd"), ("kind", "inf")], &[f64::INFINITY; 5]),
            series(&[("__name__", "odd"), ("kind", "nan")], &[f64::NAN; 5]),
            series(&[("__name__", "odd"), ("kind", "tiny")], &[1e-7; 5]),
            series(&[("__name__", "dotted"), ("http.status", "200\"\n")], &[1.5; 5]),
        ];
        all.sort_by(|(a, _), (b, _)| a.cmp(b));
        Self(all)
    }

    fn find(&self, selection: &Selection) -> Vec<(Labels, Columns)> {
        let matches = |labels: &Labels| Matcher::all_match(&selection.matchers, labels);
        let columns = |values: &[f64]| {
            let mut columns = Columns::default();
            for (i, value) in values.iter().enumerate() {
                let at = Timestamp(NOW_MS - 60_000 * (values.len() - 1 - i) as i64);
                if selection.range.contains(at) {
                    columns.push(at, *value);
                }
            }
            columns
        };
        let found = self.0.iter().filter(|(labels, _)| matches(labels));
        found
            .map(|(labels, values)| (labels.clone(), columns(values)))
            .filter(|(_, columns)| !columns.is_empty())
            .take(selection.limit.unwrap_or(usize::MAX))
            .collect()
    }
}

struct Found(Vec<(Labels, Columns)>);

impl Select for Store {
    fn open(&self, selection: Selection) -> BoxFuture<'_, Result<Box<dyn Selected>, SelectError>> {
        let found: Box<dyn Selected> = Box::new(Found(self.find(&selection)));
        ready(Ok(found)).boxed()
    }

    fn watermark(&self) -> Watermark {
        Watermark { epoch: 0, settled: Timestamp::MIN }
    }
}

impl Selected for Found {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn labels(&self, index: usize) -> Labels {
        self.0[index].0.clone()
    }

    fn fetch(&self, _: Range<usize>) -> BoxFuture<'_, Result<Box<dyn Pages>, SelectError>> {
        let pages: Box<dyn Pages> = Box::new(Found(self.0.clone()));
        ready(Ok(pages)).boxed()
    }
}

impl Pages for Found {
    fn decode(&self, index: usize, columns: &mut Columns) -> Result<(), SelectError> {
        columns.clone_from(&self.0[index].1);
        Ok(())
    }
}

impl ExemplarIndex for Store {
    /// One of series `up` of the first instance, when anybody asks for `up`.
    fn exemplars(&self, scope: &Scope, selectors: &[Vec<Matcher>], range: TimeRange) -> Vec<SeriesExemplars> {
        let series = Labels::from_pairs([("__name__", "up"), ("instance", "a:1")]).unwrap();
        let fits = |matchers: &Vec<Matcher>| {
            matchers.iter().chain(&scope.matchers).all(|one| one.matches(series.get(one.name())))
        };
        let timestamp = Some(Timestamp(1500)).filter(|t| range.contains(*t));
        if timestamp.is_none() || !selectors.iter().any(fits) {
            return Vec::new();
        }
        let labels = Labels::from_pairs([("trace_id", "abc")]).unwrap();
        vec![(series, vec![Exemplar { labels, value: 0.5, timestamp }])]
    }
}

impl LabelIndex for Store {
    fn label_names(&self, selection: Selection) -> BoxFuture<'_, Result<Listing, SelectError>> {
        let all = self.find(&Selection { limit: None, ..selection.clone() });
        let names = all.iter().flat_map(|(labels, _)| labels.iter().map(|(name, _)| name.to_owned()));
        ready(Ok(listing(names.collect(), selection.limit))).boxed()
    }

    fn label_values(
        &self,
        name: String,
        selection: Selection,
    ) -> BoxFuture<'_, Result<Listing, SelectError>> {
        let all = self.find(&Selection { limit: None, ..selection.clone() });
        let values = all.iter().filter(|(labels, _)| labels.has(&name));
        let values = values.map(|(labels, _)| labels.get(&name).to_owned()).collect();
        ready(Ok(listing(values, selection.limit))).boxed()
    }
}

fn listing(items: BTreeSet<String>, limit: Option<usize>) -> Listing {
    let limit = limit.unwrap_or(usize::MAX);
    let truncated = items.len() > limit;
    Listing { items: items.into_iter().take(limit).collect(), truncated, warnings: Vec::new() }
}

/// Everything that is not the store.
#[derive(Default)]
pub(crate) struct Process {
    pub(crate) not_ready: AtomicBool,
    pub(crate) lifecycle_off: AtomicBool,
    pub(crate) reloads: AtomicUsize,
    pub(crate) quits: AtomicUsize,
    pub(crate) bad_config: AtomicBool,
}

impl MetadataIndex for Process {
    fn metadata(&self, _: &Scope, family: Option<&str>) -> Vec<(Arc<str>, Metadata)> {
        let meta = |kind, help: &str, unit: &str| Metadata { kind, help: help.into(), unit: unit.into() };
        let all = [
            ("a_seconds", meta(MetricType::Counter, "Counts \"a\".", "seconds")),
            ("up", meta(MetricType::Gauge, "Is it up?", "")),
            ("up", meta(MetricType::Unknown, "Other.", "")),
        ];
        let all = all.into_iter().filter(|(name, _)| family.is_none_or(|family| family == *name));
        all.map(|(name, metadata)| (Arc::from(name), metadata)).collect()
    }
}

impl TargetsView for Process {
    fn pools(&self) -> Vec<TargetPool> {
        let pairs = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect::<Vec<_>>()
        };
        let active = ActiveTarget {
            discovered_labels: pairs(&[("__address__", "127.0.0.1:1"), ("job", "node")]),
            labels: Labels::from_pairs([("instance", "127.0.0.1:1"), ("job", "node")]).unwrap(),
            scrape_url: "http://127.0.0.1:1/metrics".into(),
            last_error: "connection refused".into(),
            last_scrape: Some(Timestamp(NOW_MS - 1_500)),
            last_scrape_duration: Duration::from_micros(436),
            health: Health::Down,
            scrape_interval: "15s".into(),
            scrape_timeout: "10s".into(),
        };
        let own = ActiveTarget {
            scrape_url: "http://localhost:9090/metrics".into(),
            last_error: String::new(),
            last_scrape: None,
            last_scrape_duration: Duration::ZERO,
            health: Health::Unknown,
            ..active.clone()
        };
        vec![
            TargetPool {
                name: "dropped".into(),
                dropped: vec![pairs(&[("__address__", "127.0.0.1:2")])],
                dropped_count: 3,
                ..TargetPool::default()
            },
            TargetPool { name: "node".into(), active: vec![active, own], ..TargetPool::default() },
        ]
    }

    fn metadata(&self) -> Vec<TargetMetadata> {
        let target = |job| Labels::from_pairs([("job", job)]).unwrap();
        let metadata = Metadata { kind: MetricType::Gauge, help: "Is it up?".into(), unit: "".into() };
        ["a", "b"]
            .map(|job| TargetMetadata {
                target: target(job),
                metric: "up".into(),
                metadata: metadata.clone(),
            })
            .into()
    }

    fn relabel_rules(&self, pool: &str) -> Option<Vec<RelabelConfig>> {
        let rules = r#"[
            {"source_labels": ["job"], "target_label": "team", "replacement": "${1}-team"},
            {"source_labels": ["__address__"], "regex": "127.+", "action": "drop"},
            {"source_labels": ["job"], "target_label": "never"}
        ]"#;
        (pool == "dropped").then(|| serde_json::from_str(rules).unwrap())
    }
}

impl StatusView for Process {
    fn config_yaml(&self) -> String {
        "global:\n  scrape_interval: 15s\n".into()
    }
    fn flags(&self) -> BTreeMap<String, String> {
        [("config.file", "p.yml"), ("agent", "false")].map(|(k, v)| (k.to_owned(), v.to_owned())).into()
    }
    fn runtime(&self) -> RuntimeInfo {
        RuntimeInfo {
            start: Timestamp(NOW_MS - 3_600_000),
            hostname: "vm".into(),
            reload_succeeded: true,
            storage_retention: "15d".into(),
            ..RuntimeInfo::default()
        }
    }
    fn build(&self) -> BuildInfo {
        BuildInfo { version: "3.14.0".into(), ..BuildInfo::default() }
    }
    fn external_labels(&self) -> Labels {
        Labels::from_pairs([("cluster", "c"), ("job", "never")]).unwrap()
    }
    fn tsdb(&self, limit: usize) -> Option<TsdbStatus> {
        let list = vec![Count { name: "up".into(), value: 2 }, Count { name: "odd".into(), value: 1 }];
        Some(TsdbStatus {
            series_count_by_metric_name: list.into_iter().take(limit).collect(),
            ..TsdbStatus::default()
        })
    }
    fn wal_replay(&self) -> WalReplay {
        WalReplay { min: 1, max: 3, current: 2 }
    }
    fn features(&self) -> BTreeMap<String, BTreeMap<String, bool>> {
        [("api".to_owned(), [("query".to_owned(), true)].into())].into()
    }
}

impl Lifecycle for Process {
    fn ready(&self) -> Result<(), String> {
        match self.not_ready.load(Ordering::SeqCst) {
            true => Err("reading the log".into()),
            false => Ok(()),
        }
    }
    fn reload(&self) -> BoxFuture<'_, Result<(), String>> {
        self.reloads.fetch_add(1, Ordering::SeqCst);
        let bad = self.bad_config.load(Ordering::SeqCst);
        ready(if bad { Err("line 3: unknown field".to_owned()) } else { Ok(()) }).boxed()
    }
    fn quit(&self) {
        self.quits.fetch_add(1, Ordering::SeqCst);
    }
    fn enabled(&self) -> bool {
        !self.lifecycle_off.load(Ordering::SeqCst)
    }
}

/// What a server shows besides its store.
pub(crate) fn common(process: &Arc<Process>) -> Common {
    let registry = Registry::default();
    registry.counter("nave_test_total", "Counts.").inc();
    Common {
        name: "Nave hub",
        external_url: "http://nave.example:9090/nave/".parse().unwrap(),
        page_title: "Nave".into(),
        clock: FakeClock::at(NOW_MS),
        registry,
        scope: Scope::default(),
        budget: Budget::unlimited(),
        targets: process.clone(),
        metadata: process.clone(),
        status: process.clone(),
        lifecycle: process.clone(),
        mode: Mode::Server,
    }
}

/// A server over [`Store`].
pub(crate) fn server(process: &Arc<Process>) -> Router {
    let common = common(process);
    let store = Arc::new(Store::new());
    let engine = Engine::new(EngineOptions::default(), common.clock.clone(), &common.registry);
    nave_api::router(Server {
        common,
        engine,
        select: store.clone(),
        labels: store.clone(),
        exemplars: store,
    })
}

/// What came back.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: axum::http::HeaderMap,
    pub(crate) body: String,
}

/// One request; a body is sent as a form. Quotes in `path` may stand as they are.
pub(crate) async fn ask(router: &Router, method: &str, path: &str, form: Option<&str>) -> Reply {
    let mut request = Request::builder().method(method).uri(path.replace('"', "%22"));
    if form.is_some() {
        request = request.header("content-type", "application/x-www-form-urlencoded");
    }
    let body = form.map_or_else(Body::empty, |form| Body::from(form.to_owned()));
    let response = router.clone().oneshot(request.body(body).unwrap()).await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    Reply { status, headers, body: String::from_utf8(body.to_vec()).unwrap() }
}

pub(crate) async fn get(router: &Router, path: &str) -> Reply {
    ask(router, "GET", path, None).await
}
