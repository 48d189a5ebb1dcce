//! The receiver's side of the compliance checklist for remote write 2.0, over an appender that stores what
//! has a metric name. What 1.0 can say is sent as 1.0 too and gets the same status.

use axum::body::Body;
use axum::http::{HeaderMap, Request as HttpRequest};
use futures_util::future::BoxFuture;
use nave_base::clock::FakeClock;
use nave_model::append::{AppendError, HistogramSample, Outcome, Rejection};
use nave_model::histogram::{CounterResetHint, Histogram, Span};
use nave_model::label::Labels;
use nave_model::metadata::{Metadata, MetricType};
use nave_model::sample::{Exemplar, STALE_NAN_BITS};
use nave_model::time::Timestamp;
use nave_wire::write_v2::{Encoder, Series};
use tower::ServiceExt as _;

use super::*;

const NOW_MS: i64 = 1_700_000_000_000;
const V2: &str = "application/x-protobuf;proto=io.prometheus.write.v2.Request";

struct Store;

impl Append for Store {
    fn append(&self, batch: Batch) -> BoxFuture<'_, Result<Outcome, AppendError>> {
        let mut outcome = Outcome::default();
        for (number, series) in (0u32..).zip(&batch.series) {
            let counts = [series.samples.len(), series.histograms.len(), series.exemplars.len()];
            let labels = (batch.label_format.decode)(batch.label_bytes(series));
            let named = labels.is_ok_and(|labels| !labels.metric_name().is_empty());
            let tallies = [&mut outcome.samples, &mut outcome.histograms, &mut outcome.exemplars];
            for (tally, count) in tallies.into_iter().zip(counts) {
                *(if named { &mut tally.stored } else { &mut tally.rejected }) += count;
            }
            if !named {
                let reason = Reason::InvalidLabels("no metric name".to_owned());
                outcome.rejections.push(Rejection { series: number, item: Item::Series, reason });
            }
        }
        Box::pin(async move { Ok(outcome) })
    }
}

/// One series of a request, with everything that the checklist varies.
#[derive(Default)]
struct Row {
    labels: Vec<(&'static str, &'static str)>,
    samples: Vec<(Timestamp, f64)>,
    starts: Vec<Timestamp>,
    histograms: Vec<HistogramSample>,
    exemplars: Vec<Exemplar>,
    metadata: Option<Metadata>,
}

impl Row {
    fn of(labels: &[(&'static str, &'static str)]) -> Self {
        Self { labels: labels.to_vec(), ..Self::default() }
    }

    fn sample(mut self, value: f64) -> Self {
        self.samples.push((Timestamp(NOW_MS), value));
        self
    }

    fn exemplar(mut self, pairs: &[(&str, &str)], value: f64) -> Self {
        let labels = Labels::from_pairs(pairs.iter().copied()).unwrap();
        self.exemplars.push(Exemplar { labels, value, timestamp: Some(Timestamp(NOW_MS)) });
        self
    }

    fn histogram(mut self, change: impl FnOnce(&mut Histogram)) -> Self {
        let mut histogram = histogram();
        change(&mut histogram);
        let (timestamp, histogram) = (Timestamp(NOW_MS), Arc::new(histogram));
        self.histograms.push(HistogramSample { timestamp, start_timestamp: None, histogram });
        self
    }

    fn about(mut self, kind: MetricType, help: &str) -> Self {
        self.metadata = Some(Metadata { kind, help: help.into(), unit: "".into() });
        self
    }
}

fn up() -> Row {
    Row::of(&[("__name__", "up")])
}

/// Positive, negative and zero buckets.
fn histogram() -> Histogram {
    Histogram {
        schema: 0,
        zero_threshold: 0.001,
        zero_count: 2.0,
        count: 17.0,
        sum: 18.4,
        positive_spans: vec![Span { offset: 0, length: 3 }, Span { offset: 2, length: 2 }],
        positive_buckets: vec![1.0, 3.0, 4.0, 2.0, 1.0],
        negative_spans: vec![Span { offset: 0, length: 2 }],
        negative_buckets: vec![1.0, 3.0],
        custom_bounds: Vec::new(),
        counter_reset_hint: CounterResetHint::Unknown,
        integer: true,
    }
}

fn empty(h: &mut Histogram) {
    (h.zero_count, h.count, h.sum) = (0.0, 0.0, 0.0);
    h.positive_spans.clear();
    h.positive_buckets.clear();
    h.negative_spans.clear();
    h.negative_buckets.clear();
}

fn custom(h: &mut Histogram) {
    empty(h);
    (h.schema, h.zero_threshold) = (-53, 0.0);
    h.custom_bounds = vec![0.1, 0.5, 1.0, 2.0, 5.0, 10.0];
    h.positive_spans = vec![Span { offset: 0, length: 7 }];
    h.positive_buckets = vec![1.0; 7];
    (h.count, h.sum) = (7.0, 20.0);
}

fn router() -> Router {
    let registry = Registry::default();
    let metrics = Metrics::register(&registry);
    let (options, clock) = (Options::default(), FakeClock::at(NOW_MS));
    super::router(options, Arc::new(Store), Arc::new(Anonymous), clock, &metrics, &registry)
}

fn body(rows: &[Row]) -> Vec<u8> {
    let mut encoder = Encoder::new();
    for row in rows {
        encoder.write(&Series {
            labels: &Labels::from_pairs(row.labels.iter().copied()).unwrap(),
            samples: &row.samples,
            start_timestamps: &row.starts,
            histograms: &row.histograms,
            exemplars: &row.exemplars,
            metadata: row.metadata.as_ref(),
        });
    }
    encoder.finish()
}

/// The same as a 1.0 message, without starts, which it cannot say.
fn first_version(rows: &[Row]) -> Vec<u8> {
    let mut encoder = write_v1::Encoder::new();
    for row in rows {
        encoder.write(&write_v1::Series {
            labels: &Labels::from_pairs(row.labels.iter().copied()).unwrap(),
            samples: &row.samples,
            histograms: &row.histograms,
            exemplars: &row.exemplars,
        });
    }
    encoder.finish()
}

async fn post(content_type: &str, encoding: &str, body: Vec<u8>) -> (u16, HeaderMap, String) {
    let request = HttpRequest::post("/api/v1/write")
        .header("content-type", content_type)
        .header("content-encoding", encoding)
        .header("x-prometheus-remote-write-version", "2.0.0");
    let response = router().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, headers, String::from_utf8(text.to_vec()).unwrap())
}

/// Posts the rows and compares status and the three headers of what is written.
async fn check(what: &str, rows: &[Row], status: u16, written: [&str; 3]) {
    let (got, headers, text) = post(V2, "snappy", body(rows)).await;
    let names = ["samples", "histograms", "exemplars"];
    let counts = names.map(|kind| {
        let value = headers.get(format!("x-prometheus-remote-write-{kind}-written"));
        value.map_or("0", |value| value.to_str().unwrap())
    });
    assert_eq!((got, counts), (status, written), "{what}: {text}");
    if rows.iter().all(|row| row.metadata.is_none()) {
        let (got, _, text) = post("application/x-protobuf", "snappy", first_version(rows)).await;
        assert_eq!(got, status, "{what}, as 1.0: {text}");
    }
}

#[tokio::test]
async fn samples_and_labels() {
    for value in [1.0, f64::from_bits(STALE_NAN_BITS), f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        for labels in [
            &[("__name__", "up")][..],
            &[("__name__", "up"), ("instance", "a"), ("job", "b")],
            &[("__name__", "up"), ("text", "two\nlines")],
            &[("__name__", "with.dots"), ("label.dots", "x")],
            &[("__name__", "with spaces"), ("label spaces", "x")],
        ] {
            check("one series", &[Row::of(labels).sample(value)], 204, ["1", "0", "0"]).await;
        }
        check("no name", &[Row::of(&[("job", "a")]).sample(value)], 400, ["0"; 3]).await;
        check("no labels", &[Row::of(&[]).sample(value)], 400, ["0"; 3]).await;
        let four = || [up(), up(), up(), up()].map(|row| row.sample(value));
        check("four", &four(), 204, ["4", "0", "0"]).await;
        let mut mixed = four();
        mixed[2].labels = vec![("job", "a")];
        check("one of four without a name", &mixed, 400, ["3", "0", "0"]).await;
    }
    let mut counter = up().sample(1.0);
    counter.starts = vec![Timestamp(NOW_MS - 3_600_000)];
    check("start timestamp", &[counter], 204, ["1", "0", "0"]).await;
}

#[tokio::test]
async fn exemplars() {
    for pairs in [
        &[("trace_id", "1")][..],
        &[("span_id", "2"), ("trace_id", "1")],
        &[("other", "x")],
        &[("a", "1"), ("b", "2"), ("c", "3")],
        &[],
        &[("trace_id", "\"\n\\ \u{f6}\u{4e16}")],
    ] {
        check("exemplar", &[up().sample(1.0).exemplar(pairs, 0.5)], 204, ["1", "0", "1"]).await;
    }
    for value in [0.0, -1.0, 1e10, 1e-10, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let row = up().sample(1.0).exemplar(&[("trace_id", "1")], value);
        check("value of an exemplar", &[row], 204, ["1", "0", "1"]).await;
    }
    let nameless = Row::of(&[("job", "a")]).sample(1.0).exemplar(&[("trace_id", "1")], 1.0);
    check("without a name", &[nameless], 400, ["0"; 3]).await;
    check("exemplar only", &[up().exemplar(&[("trace_id", "1")], 1.0)], 204, ["0", "0", "1"]).await;
}

#[tokio::test]
async fn histograms() {
    let one = ["0", "1", "0"];
    check("both signs and zero", &[up().histogram(|_| {})], 204, one).await;
    check("empty", &[up().histogram(empty)], 204, one).await;
    check("custom buckets", &[up().histogram(custom)], 204, one).await;
    let zero_only = |h: &mut Histogram| {
        empty(h);
        (h.zero_count, h.count) = (3.0, 3.0);
    };
    check("zero bucket only", &[up().histogram(zero_only)], 204, one).await;
    let nan = |h: &mut Histogram| (h.count, h.sum) = (20.0, f64::NAN);
    check("NaN observations", &[up().histogram(nan)], 204, one).await;
    let stale = |h: &mut Histogram| {
        empty(h);
        h.sum = f64::from_bits(STALE_NAN_BITS);
    };
    check("stale", &[up().histogram(stale)], 204, one).await;
    let rows = [up().histogram(|_| {}).histogram(|h| h.count = 99.0), up().histogram(custom)];
    check("a count that contradicts its buckets", &rows, 400, ["0", "2", "0"]).await;
    let bad: [fn(&mut Histogram); 9] = [
        |h| h.count = 99.0,
        |h| h.schema = 9,
        |h| h.positive_buckets[0] = -1.0,
        |h| h.positive_spans[1].offset = -1,
        |h| h.negative_spans[0].length = 3,
        |h| h.custom_bounds = vec![1.0],
        |h| {
            custom(h);
            h.custom_bounds[1] = 0.1;
        },
        |h| {
            custom(h);
            h.custom_bounds.pop();
        },
        |h| {
            custom(h);
            h.zero_threshold = 1.0;
        },
    ];
    for (at, bad) in bad.into_iter().enumerate() {
        check(&format!("bad histogram {at}"), &[up().histogram(bad)], 400, ["0"; 3]).await;
    }
    let all = up().histogram(|_| {}).exemplar(&[("trace_id", "1")], 1.0).about(MetricType::Histogram, "h");
    check("with metadata and exemplar", &[all], 204, ["0", "1", "1"]).await;
}

#[tokio::test]
async fn metadata() {
    use MetricType::{Counter, Gauge, GaugeHistogram, Histogram, Info, StateSet, Summary, Unknown};
    for kind in [Counter, Gauge, Histogram, GaugeHistogram, Summary, Info, StateSet, Unknown] {
        for help in ["", "Help.", "\"special\"\n\u{4e16}\\"] {
            let attached = up().sample(1.0).about(kind, help);
            check("metadata", &[attached], 204, ["1", "0", "0"]).await;
            check("metadata only", &[up().about(kind, help)], 204, ["0"; 3]).await;
        }
    }
    let nameless = Row::of(&[("job", "a")]).about(Counter, "x");
    check("metadata without a name", &[nameless], 400, ["0"; 3]).await;
}

#[tokio::test]
async fn headers_and_broken_bodies() {
    let good = || body(&[up().sample(1.0)]);
    for content_type in ["application/json", "image/png", "application/x-protobuf;proto=x.Y"] {
        assert_eq!(post(content_type, "snappy", good()).await.0, 415, "{content_type}");
    }
    for encoding in ["gzip", "deflate"] {
        assert_eq!(post(V2, encoding, good()).await.0, 415, "{encoding}");
    }
    let (status, _, text) = post(V2, "snappy", b"not a body".to_vec()).await;
    assert_eq!(status, 400, "{text}");
    let foreign = snap::raw::Encoder::new().compress_vec(&[0x2a, 0x03, 0x0a, 0x01, 0x07]).unwrap();
    let (status, _, text) = post(V2, "snappy", foreign).await;
    assert_eq!(status, 400);
    assert!(text.contains("expected a reference to one of the symbols"), "{text}");
    let mut first = write_v1::Encoder::new();
    first.series(&Labels::from_pairs([("__name__", "up")]).unwrap(), &[(Timestamp(NOW_MS), 1.0)]);
    let (status, headers, _) = post("application/x-protobuf", "snappy", first.finish()).await;
    assert_eq!(status, 204);
    assert!(!headers.contains_key("x-prometheus-remote-write-samples-written"), "1.0 does not know them");
}

#[tokio::test]
async fn times_and_many_series() {
    const HOUR_MS: i64 = 3_600_000;
    let at = |ago: i64| Timestamp(NOW_MS - ago);
    let id = |row: Row| row.exemplar(&[("trace_id", "1")], 0.5);
    let mut counter = id(up().sample(1.0));
    counter.starts = vec![at(HOUR_MS)];
    check("exemplar and start", &[counter], 204, ["1", "0", "1"]).await;
    let three = || [up(), up(), up()].map(|row| id(row.sample(1.0)));
    check("three series with an exemplar each", &three(), 204, ["3", "0", "3"]).await;
    let mut spread = up();
    for ago in [HOUR_MS, 60_000, 0] {
        spread.samples.push((at(ago), 1.0));
        spread = id(spread);
        spread.exemplars.last_mut().unwrap().timestamp = Some(at(ago));
    }
    check("exemplars at -1h, -1m and now", &[spread], 204, ["3", "0", "3"]).await;
    let mut old = id(up());
    old.samples.push((at(HOUR_MS), 1.0));
    old.exemplars[0].timestamp = Some(at(HOUR_MS / 2));
    check("an old sample and a new one", &[old, up().sample(1.0)], 204, ["2", "0", "1"]).await;
    let special = [("__name__", "m:\u{4e16}"), ("a", "\"\\\n"), ("b", "\u{f6}{}=,")];
    let one = || id(Row::of(&special).sample(1.0).about(MetricType::Counter, "\"\u{4e16}\n"));
    let fifty: Vec<_> = std::iter::repeat_with(one).take(50).collect();
    check("fifty counters with everything", &fifty, 204, ["50", "0", "50"]).await;
    let empty_name = || Row::of(&[("__name__", ""), ("job", "a")]);
    check("exemplar and an empty name", &[id(empty_name().sample(1.0))], 400, ["0"; 3]).await;
    let about = empty_name().sample(1.0).about(MetricType::Counter, "x");
    check("metadata and an empty name", &[about], 400, ["0"; 3]).await;
}

#[tokio::test]
async fn histograms_with_company() {
    let positive_only = |h: &mut Histogram| {
        h.negative_spans.clear();
        h.negative_buckets.clear();
        h.count = 13.0;
    };
    let negative_only = |h: &mut Histogram| {
        h.positive_spans.clear();
        h.positive_buckets.clear();
        h.count = 6.0;
    };
    check("positive only", &[up().histogram(positive_only)], 204, ["0", "1", "0"]).await;
    check("negative only", &[up().histogram(negative_only)], 204, ["0", "1", "0"]).await;
    let mut started = up().histogram(|_| {});
    started.histograms[0].start_timestamp = Some(Timestamp(NOW_MS - 3_600_000));
    check("start timestamp", &[started], 204, ["0", "1", "0"]).await;
    let several: Vec<_> = std::iter::repeat_with(|| up().histogram(|_| {})).take(20).collect();
    check("several", &several, 204, ["0", "20", "0"]).await;
    let about = |row: Row| row.about(MetricType::Histogram, "h");
    check("with metadata", &[about(up().histogram(|_| {}))], 204, ["0", "1", "0"]).await;
    let id = |row: Row| row.exemplar(&[("trace_id", "1")], 0.5);
    check("with exemplar", &[id(up().histogram(|_| {}))], 204, ["0", "1", "1"]).await;
    check("custom buckets with exemplar", &[id(up().histogram(custom))], 204, ["0", "1", "1"]).await;
    let two = [about(id(up().histogram(|_| {}))), about(up().histogram(custom))];
    check("two with metadata and one exemplar", &two, 204, ["0", "2", "1"]).await;
    let labels = [("__name__", "m"), ("path", "/a?b=c&d=\u{f6}"), ("quantile", "0.5"), ("le", "+Inf")];
    let complex = || Row::of(&labels).sample(1.0).about(MetricType::Gauge, "g");
    check("metadata and complex labels", &[complex()], 204, ["1", "0", "0"]).await;
    check("three metadata", &[complex(), complex(), complex()], 204, ["3", "0", "0"]).await;
    let mut started = complex();
    started.starts = vec![Timestamp(NOW_MS - 3_600_000)];
    check("metadata and start", &[started], 204, ["1", "0", "0"]).await;
    let corrupt = post("application/x-protobuf", "snappy", b"not a body".to_vec()).await;
    assert_eq!(corrupt.0, 400, "a corrupted 1.0 body: {}", corrupt.2);
}
