//! The receiver with clusters over an appender that stores everything.

use axum::body::Body;
use axum::http::header::{AUTHORIZATION, RETRY_AFTER, USER_AGENT, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, Request};
use futures_util::future::BoxFuture;
use nave_base::clock::FakeClock;
use nave_base::metric::Format;
use nave_model::append::{Append, AppendError, Batch, Contradiction, Item, Reason, Rejection};
use nave_model::label::Labels;
use nave_model::time::Timestamp;
use nave_wire::write_v1::Encoder;
use tower::ServiceExt as _;

use super::*;
use crate::{Metrics, receive};

const NOW: i64 = 1_700_000_000_000;
const SILENT_AFTER: Duration = Duration::from_secs(300);

/// Stores all but series called `refused`.
#[derive(Default)]
struct Fake(Mutex<Vec<Arc<Principal>>>);

impl Append for Fake {
    fn append(&self, batch: Batch) -> BoxFuture<'_, Result<Outcome, AppendError>> {
        self.0.lock().push(batch.principal.clone());
        let mut outcome = Outcome::default();
        for (number, series) in (0u32..).zip(&batch.series) {
            let labels = (batch.label_format.decode)(batch.label_bytes(series)).unwrap();
            if labels.metric_name() == "refused" {
                let reason = Reason::Limit { name: "limits.series of the cluster", limit: 1 };
                outcome.rejections.push(Rejection { series: number, item: Item::Series, reason });
                outcome.samples.rejected += 1;
            } else {
                outcome.samples.stored += series.samples.len();
            }
        }
        Box::pin(async { Ok(outcome) })
    }
}

struct Bench {
    clusters: Arc<Clusters>,
    fake: Arc<Fake>,
    clock: Arc<FakeClock>,
    registry: Registry,
    router: axum::Router,
}

fn config(yaml: &str) -> ClustersConfig {
    serde_saphyr::from_str(yaml).unwrap()
}

/// Each cluster's token is its name; `more` are further fields of `spoke1`.
fn two(more: &str) -> ClustersConfig {
    let hash = |name: &str| String::from(SecretHash::of(name.as_bytes()));
    config(&format!(
        "clusters:\n  spoke1:\n    token_sha256: [{}]\n    basic_auth: [{{username: u, password_sha256: {}}}]\n{more}  spoke2:\n    token_sha256: [{}]\n",
        hash("spoke1"),
        hash("p"),
        hash("spoke2")
    ))
}

impl Bench {
    fn new(config: &ClustersConfig) -> Self {
        let (clock, registry, fake) = (FakeClock::at(NOW), Registry::default(), Arc::new(Fake::default()));
        let series: CountSeries = Arc::new(str::len);
        let clusters = Clusters::new(config, SILENT_AFTER, clock.clone(), series, &registry);
        let metrics = Metrics::register(&registry);
        let router = receive::router(
            receive::Options::default(),
            fake.clone(),
            clusters.clone(),
            clock.clone(),
            &metrics,
            &registry,
        );
        Self { clusters, fake, clock, registry, router }
    }

    async fn send(&self, headers: &[(&str, &str)], names: &[&str]) -> (u16, HeaderMap, String) {
        let mut encoder = Encoder::new();
        for name in names {
            encoder
                .series(&Labels::from_pairs([("__name__", name)]).unwrap(), &[(Timestamp(NOW - 2000), 1.0)]);
        }
        let mut request = Request::post("/api/v1/write");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response =
            self.router.clone().oneshot(request.body(Body::from(encoder.finish())).unwrap()).await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, headers, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn as_cluster(&self, name: &str, names: &[&str]) -> (u16, HeaderMap, String) {
        self.send(&[(AUTHORIZATION.as_str(), &format!("Bearer {name}"))], names).await
    }

    fn value(&self, start: &str) -> f64 {
        let page = self.registry.page(Format::Text);
        let line = page.lines().find(|line| line.starts_with(start));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(f64::NAN)
    }

    fn status(&self, name: &str) -> ClusterStatus {
        self.clusters.status().into_iter().find(|one| one.name == name).unwrap()
    }
}

#[tokio::test]
async fn credentials_decide_who_writes() {
    let bench = Bench::new(&two("    contradicting_labels: refuse\n    labels: {region: eu}\n"));
    let authorization = AUTHORIZATION.as_str();
    for header in ["Bearer spoke1", "Basic dTpw"] {
        assert_eq!(bench.send(&[(authorization, header)], &["a"]).await.0, 204, "{header}");
    }
    assert_eq!(bench.as_cluster("spoke2", &["a"]).await.0, 204);
    let principals = bench.fake.0.lock().clone();
    assert_eq!(principals[0], principals[1]);
    assert_ne!(principals[0].id, principals[2].id);
    let stamp = [("cluster", "spoke1"), ("region", "eu")].map(|(name, value)| (name.into(), value.into()));
    assert_eq!((&principals[0].stamp[..], principals[0].contradiction), (&stamp[..], Contradiction::Refuse));
    for (headers, reason) in [
        (&[][..], "missing"),
        (&[(authorization, "Bearer spoke3")], "unknown"),
        (&[(authorization, "Basic dTpx")], "unknown"),
        (&[(authorization, "Basic eDpw")], "unknown"),
        (&[(authorization, "spoke1")], "malformed"),
    ] {
        let metric = format!("nave_receiver_unauthorized_requests_total{{reason=\"{reason}\"}}");
        let before = bench.value(&metric);
        let (status, answer, text) = bench.send(headers, &["a"]).await;
        assert_eq!((status, bench.value(&metric)), (401, before + 1.0), "{headers:?}: {text}");
        assert!(answer[WWW_AUTHENTICATE].to_str().unwrap().starts_with("Bearer "));
        assert!(!text.contains("spoke3"), "{text}");
    }
    assert_eq!(bench.fake.0.lock().len(), 3, "nothing else came through");
}

#[tokio::test]
async fn only_who_is_above_the_rate_is_turned_away() {
    let bench = Bench::new(&two("    limits: {samples_per_second: 1}\n"));
    let eleven = ["a"; 11];
    assert_eq!(bench.as_cluster("spoke1", &eleven).await.0, 204, "the burst is free");
    let (status, headers, text) = bench.as_cluster("spoke1", &["a"]).await;
    assert_eq!((status, headers[RETRY_AFTER].to_str().unwrap()), (429, "1"), "{text}");
    assert_eq!(text, "cluster spoke1 is above limits.samples_per_second of 1 in the clusters file\n");
    for _ in 0..5 {
        assert_eq!(bench.as_cluster("spoke2", &eleven).await.0, 204);
    }
    let metric =
        "nave_cluster_throttled_requests_total{cluster=\"spoke1\",limit=\"limits.samples_per_second\"}";
    assert_eq!(bench.value(metric), 1.0);
    bench.clock.advance(Duration::from_secs(2));
    assert_eq!(bench.as_cluster("spoke1", &["a"]).await.0, 204, "after the wait it is let in again");
}

#[tokio::test]
async fn bytes_are_a_limit_too_and_a_reload_raises_it() {
    let bench = Bench::new(&two("    limits: {bytes_per_second: 1}\n"));
    assert_eq!(bench.as_cluster("spoke1", &["a"; 9]).await.0, 204);
    let (status, _, text) = bench.as_cluster("spoke1", &["a"]).await;
    assert!(status == 429 && text.contains("limits.bytes_per_second of 1"), "{status}: {text}");
    bench.clusters.apply(&two("    limits: {bytes_per_second: 1000}\n"));
    assert_eq!(bench.as_cluster("spoke1", &["a"]).await.0, 204);
}

#[tokio::test]
async fn what_is_known_of_a_cluster() {
    let bench = Bench::new(&two("    limits: {series: 1}\n"));
    let unknown = bench.status("spoke1");
    assert_eq!((unknown.last_contact_ms, unknown.lag, unknown.silent), (None, None, false));
    let sent = (NOW + 700).to_string();
    let headers = [
        (AUTHORIZATION.as_str(), "Bearer spoke1"),
        (USER_AGENT.as_str(), "Nave/1"),
        (SENT_HEADER, sent.as_str()),
    ];
    let (status, _, text) = bench.send(&headers, &["a", "b", "refused"]).await;
    assert!(status == 400 && text.contains("limits.series of the cluster of 1"), "{status}: {text}");
    let known = bench.status("spoke1");
    assert_eq!((known.last_contact_ms, known.lag, known.clock_skew), (Some(NOW), Some(2.0), Some(0.7)));
    assert_eq!((known.accepted_samples, known.rejected.get("limit"), known.requests), (2, Some(&1), 1));
    assert_eq!((known.sender_version.as_str(), known.active_series), ("Nave/1", 6));
    assert!(known.samples_per_second > 0.0 && known.bytes_per_second > 0.0 && known.bytes > 0);
    let name = "{cluster=\"spoke1\"";
    assert_eq!(bench.value(&format!("nave_cluster_lag_seconds{name}")), 2.0);
    assert_eq!(bench.value(&format!("nave_cluster_rejected_samples_total{name},reason=\"limit\"")), 1.0);
    assert_eq!(bench.value(&format!("nave_cluster_info{name},version=\"Nave/1\"")), 1.0);
    assert_eq!(bench.value(&format!("nave_cluster_limit{name},limit=\"series\"")), 1.0);
    bench.clock.advance(SILENT_AFTER + Duration::from_secs(1));
    assert_eq!(bench.as_cluster("spoke2", &["a"]).await.0, 204);
    assert_eq!(bench.value(&format!("nave_cluster_silent{name}")), 1.0);
    assert_eq!(bench.value("nave_cluster_silent{cluster=\"spoke2\""), 0.0);
}

#[tokio::test]
async fn a_reload_keeps_what_is_known_and_changes_numbers_only_with_the_stamp() {
    let bench = Bench::new(&two(""));
    bench.as_cluster("spoke1", &["a"]).await;
    bench.clusters.apply(&two("    limits: {samples_per_second: 1000}\n"));
    bench.as_cluster("spoke1", &["a"]).await;
    bench.clusters.apply(&two("    labels: {region: eu}\n"));
    bench.as_cluster("spoke1", &["a"]).await;
    let ids: Vec<u32> = bench.fake.0.lock().iter().map(|principal| principal.id).collect();
    assert!(ids[0] == ids[1] && ids[1] != ids[2] && ids[0] != 0, "{ids:?}");
    assert_eq!(bench.status("spoke1").requests, 3);
    bench.clusters.apply(&ClustersConfig::default());
    assert_eq!(bench.as_cluster("spoke1", &["a"]).await.0, 401, "removed");
    assert!(bench.value("nave_cluster_silent").is_nan(), "its metrics went with it");
}
