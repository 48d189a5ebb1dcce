//! The receiver over an appender that answers as it is told.

use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use axum::http::header::{ALLOW, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Request as HttpRequest, StatusCode};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use nave_base::clock::FakeClock;
use nave_base::metric::Format;
use nave_model::append::{AppendError, BatchSeries, Item, Outcome, Principal, Reason, Rejection};
use nave_model::label::Labels;
use nave_model::sample::Exemplar;
use nave_model::time::Timestamp;
use nave_wire::write_v1::Encoder;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tower::ServiceExt as _;

use super::*;

/// Stores what has a metric name and a value that is not 13; what has 7 it knows already.
#[derive(Default)]
struct Fake {
    batches: Mutex<Vec<Vec<String>>>,
    fail: Mutex<Option<AppendError>>,
    hold: Option<Arc<Notify>>,
    waiting: AtomicUsize,
}

impl Fake {
    fn judge(batch: &Batch) -> Outcome {
        let mut outcome = Outcome::default();
        for (number, series) in (0u32..).zip(&batch.series) {
            Self::judge_series(batch, number, series, &mut outcome);
        }
        outcome
    }

    fn judge_series(batch: &Batch, number: u32, series: &BatchSeries, outcome: &mut Outcome) {
        let count = series.samples.len();
        let labels =
            (batch.label_format.decode)(batch.label_bytes(series)).map_err(|error| error.to_string());
        let labels = labels.and_then(|labels| {
            if labels.metric_name().is_empty() { Err("no metric name".to_owned()) } else { Ok(labels) }
        });
        if let Err(what) = labels {
            outcome.samples.rejected += count;
            let reason = Reason::InvalidLabels(what);
            outcome.rejections.push(Rejection { series: number, item: Item::Series, reason });
            return;
        }
        for exemplar in series.exemplars.clone() {
            outcome.exemplars.rejected += 1;
            let reason = Reason::Unsupported("exemplars");
            outcome.rejections.push(Rejection { series: number, item: Item::Exemplar(exemplar), reason });
        }
        for (at, (timestamp, value)) in (series.samples.start..).zip(batch.samples(series)) {
            if value == 7.0 {
                outcome.samples.duplicate += 1;
            } else if value == 13.0 {
                outcome.samples.rejected += 1;
                let reason = Reason::TooOld { timestamp, oldest: Timestamp(1_000_000) };
                outcome.rejections.push(Rejection { series: number, item: Item::Sample(at), reason });
            } else {
                outcome.samples.stored += 1;
            }
        }
    }
}

impl Append for Fake {
    fn append(&self, batch: Batch) -> BoxFuture<'_, Result<Outcome, AppendError>> {
        Box::pin(async move {
            if let Some(hold) = &self.hold {
                self.waiting.fetch_add(1, Ordering::SeqCst);
                hold.notified().await;
            }
            if let Some(error) = self.fail.lock().clone() {
                return Err(error);
            }
            let name = |series| {
                (batch.label_format.decode)(batch.label_bytes(series)).map(|labels| labels.to_string())
            };
            self.batches.lock().push(batch.series.iter().filter_map(|series| name(series).ok()).collect());
            Ok(Self::judge(&batch))
        })
    }
}

pub(super) struct Bench {
    fake: Arc<Fake>,
    clock: Arc<FakeClock>,
    registry: Registry,
    router: Router,
}

/// Only those who say who they are.
struct Named;

impl ResolvePrincipal for Named {
    fn resolve(&self, request: &Parts) -> Result<Arc<Principal>, Refused> {
        let Some(name) = request.headers.get("x-cluster").and_then(|name| name.to_str().ok()) else {
            return Err(Refused::new(StatusCode::UNAUTHORIZED, "say who you are"));
        };
        Ok(Arc::new(Principal { cluster: Some(Arc::from(name)), ..Principal::anonymous(name) }))
    }
}

impl Bench {
    fn with(options: Options, fake: Fake, principals: Arc<dyn ResolvePrincipal>) -> Self {
        let (fake, clock, registry) = (Arc::new(fake), FakeClock::at(0), Registry::default());
        let metrics = Metrics::register(&registry);
        let router = router(options, fake.clone(), principals, clock.clone(), &metrics, &registry);
        Self { fake, clock, registry, router }
    }

    pub(super) fn new(options: Options) -> Self {
        Self::with(options, Fake::default(), Arc::new(Anonymous))
    }

    pub(super) async fn send(&self, request: HttpRequest<Body>) -> (u16, HeaderMap, String) {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, headers, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn post(&self, body: impl Into<Body>) -> (u16, HeaderMap, String) {
        self.send(HttpRequest::post("/api/v1/write").body(body.into()).unwrap()).await
    }

    /// The series of all batches.
    pub(super) fn batches(&self) -> Vec<String> {
        self.fake.batches.lock().concat()
    }

    /// From now on the store fails.
    pub(super) fn fail(&self, error: AppendError) {
        *self.fake.fail.lock() = Some(error);
    }

    fn value(&self, start: &str) -> f64 {
        let page = self.registry.page(Format::Text);
        let line = page.lines().find(|line| line.starts_with(start));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(f64::NAN)
    }
}

fn body(series: &[(&[(&str, &str)], f64)]) -> Vec<u8> {
    let mut encoder = Encoder::new();
    for (pairs, value) in series {
        encoder.series(&Labels::from_pairs(pairs.iter().copied()).unwrap(), &[(Timestamp(5), *value)]);
    }
    encoder.finish()
}

fn good() -> Vec<u8> {
    body(&[(&[("__name__", "up"), ("job", "node")], 1.0)])
}

#[tokio::test]
async fn every_path_takes_a_write() {
    let bench = Bench::new(Options::default());
    for path in PATHS {
        let (status, headers, text) = bench.send(HttpRequest::post(path).body(good().into()).unwrap()).await;
        assert_eq!((status, text.as_str()), (204, ""), "{path}");
        assert_eq!(headers["x-nave-late"], "accepted");
    }
    assert_eq!(bench.fake.batches.lock().concat(), vec![r#"{__name__="up", job="node"}"#; 3]);
    assert_eq!(
        bench.value(
            "prometheus_remote_storage_samples_total{remote_name=\"receiver\",url=\"/api/v1/write\"} "
        ),
        3.0
    );
    assert_eq!(bench.value("prometheus_remote_storage_samples_failed_total{remote_name=\"receiver\""), 0.0);
    assert_eq!(bench.value("nave_remote_write_received_samples_total{cluster=\"\"} "), 3.0);
}

#[tokio::test]
async fn switched_off_says_how_to_switch_on() {
    let bench = Bench::new(Options { enabled: false, ..Options::default() });
    let (status, _, text) = bench.post(good()).await;
    assert_eq!(status, 404);
    assert!(text.contains("--web.enable-remote-write-receiver"), "{text}");
    let (status, ..) = bench.send(HttpRequest::get("/api/v1/write").body(Body::empty()).unwrap()).await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn headers_and_methods() {
    let bench = Bench::new(Options { accepted: vec![Message::V1], ..Options::default() });
    let get = HttpRequest::get("/api/v1/write").body(Body::empty()).unwrap();
    let (status, headers, _) = bench.send(get).await;
    assert_eq!((status, &headers[ALLOW]), (405, &"POST".parse().unwrap()));
    let bench = &bench;
    let check = |content_type: &'static str, encoding: &'static str, want: u16, word: &'static str| async move {
        let mut request = HttpRequest::post("/api/v1/push");
        for (name, value) in [(CONTENT_TYPE, content_type), (CONTENT_ENCODING, encoding)] {
            if !value.is_empty() {
                request = request.header(name, value);
            }
        }
        let (status, _, text) = bench.send(request.body(good().into()).unwrap()).await;
        assert_eq!(status, want, "{content_type:?} {encoding:?}: {text}");
        assert!(text.contains(word), "{text:?} does not say {word:?}");
    };
    check("", "", 204, "").await;
    check("application/x-protobuf", "snappy", 204, "").await;
    check("application/x-protobuf;proto=prometheus.WriteRequest", "snappy", 204, "").await;
    check(
        "application/x-protobuf;proto=io.prometheus.write.v2.Request",
        "snappy",
        415,
        "prometheus.WriteRequest",
    )
    .await;
    check("text/plain", "snappy", 415, "application/x-protobuf").await;
    check("application/x-protobuf", "gzip", 415, "snappy").await;
}

#[tokio::test]
async fn broken_and_oversized_bodies() {
    let options = Options { body_bytes_max: 1000, decompressed_bytes_max: 5000, ..Options::default() };
    let bench = Bench::new(options);
    let snappy = |plain: &[u8]| snap::raw::Encoder::new().compress_vec(plain).unwrap();
    let bench = &bench;
    let check = |body: Vec<u8>, want: u16, word: &'static str| async move {
        let (status, headers, text) = bench.post(body).await;
        assert_eq!(status, want, "{text}");
        assert!(text.contains(word), "{text:?} does not say {word:?}");
        assert_eq!(headers["x-nave-late"], "accepted");
    };
    check(Vec::new(), 400, "empty").await;
    check(b"not snappy at all".to_vec(), 400, "snappy").await;
    check(snappy(b"not protobuf"), 400, "protobuf").await;
    check(good()[..good().len() - 3].to_vec(), 400, "snappy").await;
    check(vec![0; 1001], 413, "1000 bytes").await;
    check(snappy(&vec![0; 6000]), 413, "5000").await;
    // A bomb: five bytes that claim 4 GiB.
    check(vec![0xff, 0xff, 0xff, 0xff, 0x0f], 413, "5000").await;
    // Claims less than the limit, but more than snappy can make of five bytes.
    check(vec![0x80, 0x20, 0x00, 0x00, 0x00], 400, "snappy").await;
    assert!(bench.fake.batches.lock().is_empty());
    // A body without a length is cut off where the limit is.
    let chunks =
        futures_util::stream::iter((0..100).map(|_| Ok::<_, std::io::Error>(Bytes::from_static(&[0; 100]))));
    let (status, ..) = bench.post(Body::from_stream(chunks)).await;
    assert_eq!(status, 413);
    let broken = futures_util::stream::iter([Err::<Bytes, _>(std::io::Error::other("gone"))]);
    let (status, _, text) = bench.post(Body::from_stream(broken)).await;
    assert_eq!(status, 400, "{text}");
}

#[tokio::test]
async fn valid_samples_are_kept_and_the_others_named() {
    let bench = Bench::new(Options::default());
    let (status, ..) = bench.post(body(&[(&[("__name__", "up")], 7.0)])).await;
    assert_eq!(status, 204, "an exact duplicate is no error");
    let mixed = body(&[
        (&[("__name__", "good")], 1.0),
        (&[("job", "nameless")], 1.0),
        (&[("__name__", "old")], 13.0),
    ]);
    let (status, _, text) = bench.post(mixed).await;
    assert_eq!(status, 400);
    assert_eq!(
        text,
        "2 items refused, 1 samples kept:\n{job=\"nameless\"}: invalid labels: no metric name\n\
         {__name__=\"old\"}: timestamp 5 is too old: the oldest kept is 1000000\n"
    );
    assert_eq!(bench.value("prometheus_api_remote_write_invalid_labels_samples_total "), 1.0);
    assert_eq!(bench.value("nave_remote_write_rejected_samples_total{"), 2.0);
    assert_eq!(bench.value("prometheus_remote_storage_samples_failed_total{remote_name=\"receiver\""), 2.0);
    let many: Vec<(&[(&str, &str)], f64)> = vec![(&[("__name__", "old")], 13.0); 50];
    let (status, _, text) = bench.post(body(&many)).await;
    assert_eq!((status, text.lines().count()), (400, 7));
    assert!(text.starts_with("50 items refused") && text.ends_with("and 45 more\n"), "{text}");
}

#[tokio::test]
async fn exemplars_that_are_not_kept_do_not_fail_the_samples_beside_them() {
    let bench = Bench::new(Options::default());
    let labels = Labels::from_pairs([("__name__", "up")]).unwrap();
    let trace = Labels::from_pairs([("trace_id", "1")]).unwrap();
    let exemplar = Exemplar { labels: trace, value: 1.0, timestamp: Some(Timestamp(5)) };
    let mut encoder = Encoder::new();
    encoder.write(&write_v1::Series {
        labels: &labels,
        samples: &[(Timestamp(5), 1.0)],
        histograms: &[],
        exemplars: &[exemplar],
    });
    assert_eq!(bench.post(encoder.finish()).await.0, 204);
}

#[tokio::test]
async fn failures_of_the_appender() {
    let check = |error: AppendError, want: u16, retry_after: Option<&'static str>| async move {
        let bench = Bench::new(Options::default());
        *bench.fake.fail.lock() = Some(error.clone());
        let (status, headers, text) = bench.post(good()).await;
        assert_eq!(status, want, "{text}");
        assert_eq!(headers.get(RETRY_AFTER).map(|value| value.to_str().unwrap()), retry_after, "{text}");
        assert_eq!(text, format!("{error}\n"));
    };
    let overloaded =
        |ms| AppendError::Overloaded { what: "x".to_owned(), retry_after: Duration::from_millis(ms) };
    check(overloaded(2500), 503, Some("3")).await;
    check(overloaded(0), 503, Some("1")).await;
    check(AppendError::Full { what: "quota".to_owned() }, 503, Some("10")).await;
    check(AppendError::Closed("shutting down"), 503, Some("1")).await;
    check(AppendError::Io("disk".to_owned()), 500, None).await;
}

#[tokio::test]
async fn too_many_at_once_are_told_to_come_back() {
    let hold = Arc::new(Notify::new());
    let fake = Fake { hold: Some(hold.clone()), ..Fake::default() };
    let options = Options { concurrent_requests_max: 1, ..Options::default() };
    let bench = Arc::new(Bench::with(options, fake, Arc::new(Anonymous)));
    let first = tokio::spawn({
        let bench = bench.clone();
        async move { bench.post(good()).await.0 }
    });
    while bench.fake.waiting.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    let (status, headers, _) = bench.post(good()).await;
    assert_eq!((status, &headers[RETRY_AFTER]), (503, &"1".parse().unwrap()));
    hold.notify_one();
    assert_eq!(first.await.unwrap(), 204);
    hold.notify_one();
    assert_eq!(bench.post(good()).await.0, 204, "the place is free again");
}

#[tokio::test]
async fn memory_is_charged_and_given_back() {
    let budget = Budget::new("test", 100);
    let bench = Bench::new(Options { budget: budget.clone(), ..Options::default() });
    let (status, _, text) = bench.post(vec![0; 200]).await;
    assert_eq!(status, 503, "{text}");
    assert!(text.contains("test memory limit of 100 bytes reached"), "{text}");
    assert_eq!(bench.post(body(&[(&[("__name__", "m")], 1.0)])).await.0, 204);
    assert_eq!(budget.used(), 0);
}

#[tokio::test]
async fn a_body_that_does_not_come_is_given_up() {
    let bench = Arc::new(Bench::new(Options::default()));
    let waiting = tokio::spawn({
        let bench = bench.clone();
        async move {
            let never = futures_util::stream::pending::<Result<Bytes, std::io::Error>>();
            bench.post(Body::from_stream(never)).await.0
        }
    });
    while bench.clock.sleepers() == 0 {
        tokio::task::yield_now().await;
    }
    bench.clock.advance(Duration::from_secs(30));
    assert_eq!(waiting.await.unwrap(), 503);
}

#[tokio::test]
async fn senders_are_known_by_their_credentials() {
    let bench = Bench::with(Options::default(), Fake::default(), Arc::new(Named));
    let (status, _, text) = bench.post(good()).await;
    assert_eq!((status, text.as_str()), (401, "say who you are\n"));
    let request =
        HttpRequest::post("/api/v1/write").header("x-cluster", "spoke1").body(good().into()).unwrap();
    assert_eq!(bench.send(request).await.0, 204);
    assert_eq!(bench.value("nave_remote_write_received_samples_total{cluster=\"spoke1\"} "), 1.0);
}

/// One cluster holds its share of the slots: it is told to come back, and the others are served.
#[tokio::test]
async fn a_cluster_has_its_share_of_the_receiver() {
    let hold = Arc::new(Notify::new());
    let fake = Fake { hold: Some(hold.clone()), ..Fake::default() };
    let options = Options { concurrent_requests_max: 8, cluster_share: 0.25, ..Options::default() };
    let bench = Arc::new(Bench::with(options, fake, Arc::new(Named)));
    let send = |cluster: &'static str| {
        let bench = bench.clone();
        async move {
            let request = HttpRequest::post("/api/v1/write").header("x-cluster", cluster);
            bench.send(request.body(good().into()).unwrap()).await
        }
    };
    let under_way: Vec<_> = ["flood", "flood", "calm"].map(|cluster| tokio::spawn(send(cluster))).into();
    while bench.fake.waiting.load(Ordering::SeqCst) < 3 {
        tokio::task::yield_now().await;
    }
    for _ in 0..20 {
        let (status, headers, text) = send("flood").await;
        assert_eq!((status, &headers[RETRY_AFTER]), (503, &"1".parse().unwrap()), "{text}");
        assert!(text.contains("cluster flood has 2 writes under way"), "{text}");
    }
    let second = tokio::spawn(send("calm"));
    while bench.fake.waiting.load(Ordering::SeqCst) < 4 {
        tokio::task::yield_now().await;
    }
    assert_eq!(bench.value("nave_cluster_inflight_requests{cluster=\"flood\"} "), 2.0);
    assert_eq!(bench.value("nave_cluster_shed_requests_total{cluster=\"flood\",share=\"slots\"} "), 20.0);
    hold.notify_waiters();
    for task in under_way.into_iter().chain([second]) {
        assert_eq!(task.await.unwrap().0, 204);
    }
    assert_eq!(bench.value("nave_cluster_inflight_requests{cluster=\"flood\"} "), 0.0);
}

/// The bytes that are under way are shared, too; the largest request of all fits a share.
#[tokio::test]
async fn a_cluster_has_its_share_of_the_memory() {
    let budget = Budget::new("test", 1 << 20);
    let (body_bytes_max, decompressed_bytes_max) = (1 << 10, 4 << 10);
    let options =
        Options { budget, body_bytes_max, decompressed_bytes_max, cluster_share: 0.01, ..Options::default() };
    let shares = share::Shares::new(&options, &Registry::default());
    let of = |name: &str| Principal { cluster: Some(Arc::from(name)), ..Principal::anonymous(name) };
    let (flood, calm) = (shares.enter(&of("flood")).unwrap(), shares.enter(&of("calm")).unwrap());
    let _held = flood.budget.charge(17 << 10).unwrap();
    assert!(shares.enter(&of("flood")).unwrap().budget.charge(1).is_err(), "the share is used up");
    assert!(calm.budget.charge(17 << 10).is_ok());
    let anyone = shares.enter(&Principal::anonymous("x")).unwrap();
    assert!(anyone.budget.charge(512 << 10).is_ok());
}
