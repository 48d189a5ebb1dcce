//! Both versions of remote write: what each carries, and the way back from 2.0 to 1.0.

use nave_model::append::HistogramSample;
use nave_model::histogram::{CounterResetHint, Histogram, Span};
use nave_model::sample::Exemplar;

use super::*;

#[tokio::test]
async fn an_endpoint_that_does_not_know_the_second_version_gets_the_first() {
    for old in [false, true] {
        let mut bench = Bench::with(Endpoint { old, ..Endpoint::default() });
        bench.config.protobuf_message = crate::ProtobufMessage::Request;
        let _sender = bench.sender(None);
        bench.append(&[(1, 1), (2, 1)]).await;
        bench.until("delivery", || bench.delivered() == 2).await;
        bench.append(&[(1, 2)]).await;
        bench.until("delivery", || bench.delivered() == 3).await;
        let want = if old { Message::V1 } else { Message::V2 };
        assert_eq!(*bench.endpoint.messages.lock(), [want; 2]);
        let attempts = if old { 3 } else { 2 };
        assert_eq!(bench.endpoint.attempts_ms.lock().len(), attempts);
        assert_eq!(bench.value("prometheus_remote_storage_samples_failed_total{remote_name=\"hub\""), 0.0);
    }
}

fn histogram_at(timestamp: i64) -> HistogramSample {
    let histogram = Histogram {
        schema: 2,
        zero_threshold: 0.001,
        zero_count: 1.0,
        count: 6.0,
        sum: 9.5,
        positive_spans: vec![Span { offset: -1, length: 2 }],
        positive_buckets: vec![2.0, 3.0],
        negative_spans: Vec::new(),
        negative_buckets: Vec::new(),
        custom_bounds: Vec::new(),
        counter_reset_hint: CounterResetHint::Unknown,
        integer: true,
    };
    let start_timestamp = Some(Timestamp(START_MS - 5));
    HistogramSample { timestamp: Timestamp(timestamp), start_timestamp, histogram: Arc::new(histogram) }
}

/// One float with a start and an exemplar, and one series of a histogram.
fn every_kind() -> Batch {
    let labels = |name: &str| Labels::from_pairs([("__name__", name)]).unwrap();
    let trace = Labels::from_pairs([("trace_id", "x")]).unwrap();
    let exemplar = Exemplar { labels: trace, value: 0.5, timestamp: Some(Timestamp(START_MS)) };
    let mut builder = BatchBuilder::new(Arc::new(Principal::anonymous("test")));
    builder
        .series(&labels("hits_total"), SeriesRef::NONE)
        .sample(Timestamp(START_MS), 7.0)
        .exemplar(exemplar);
    builder.series(&labels("latency"), SeriesRef::NONE).histogram(histogram_at(START_MS));
    let mut batch = builder.build();
    batch.start_timestamps = vec![Timestamp(START_MS - 9)];
    batch
}

struct Hits;

impl MetadataSource for Hits {
    fn metadata(&self) -> Vec<(Arc<str>, Metadata)> {
        vec![("hits".into(), Metadata { kind: MetricType::Counter, help: "Hits.".into(), unit: "".into() })]
    }
}

#[tokio::test]
async fn the_second_version_carries_everything() {
    let mut bench = Bench::in_memory();
    bench.config.protobuf_message = crate::ProtobufMessage::Request;
    bench.config.send_exemplars = true;
    let sender = bench.sender(Some(Arc::new(Hits)));
    let outcome = bench.queue.append(every_kind()).await.unwrap();
    assert_eq!((outcome.histograms.stored, outcome.exemplars.stored), (1, 1));
    assert!(outcome.rejections.is_empty());
    bench.until("delivery", || bench.endpoint.batches.lock().len() == 1).await;
    let got = bench.endpoint.batches.lock()[0].clone();
    let want = every_kind();
    assert_eq!((&got.timestamps, &got.values), (&want.timestamps, &want.values));
    assert_eq!((&got.start_timestamps, &got.exemplars), (&want.start_timestamps, &want.exemplars));
    let (one, other) = (&got.histograms[0], &want.histograms[0]);
    assert_eq!((one.timestamp, one.start_timestamp), (other.timestamp, other.start_timestamp));
    assert_eq!(one.histogram, other.histogram);
    assert_eq!(got.series.len(), 2, "an exemplar stands with its series");
    assert_eq!((&*got.metadata[0].0, &*got.metadata[0].1.help), ("hits_total", "Hits."));
    let end = *bench.queue.durable_end().borrow();
    bench.until("the position", || sender.position() == end).await;
    let metric = |name: &str| bench.value(&format!("prometheus_remote_storage_{name}{{remote_name=\"hub\""));
    assert_eq!([metric("samples_total"), metric("histograms_total"), metric("exemplars_total")], [1.0; 3]);
    let pending = [metric("samples_pending"), metric("histograms_pending"), metric("exemplars_pending")];
    assert_eq!(pending, [0.0; 3]);
    assert_eq!(bench.value("prometheus_remote_storage_histograms_in_total "), 1.0);
    assert_eq!(bench.value("prometheus_remote_storage_exemplars_in_total "), 1.0);
    assert_eq!(bench.value("prometheus_agent_samples_appended_total{type=\"histogram\"} "), 1.0);
}

#[tokio::test]
async fn the_first_version_carries_what_the_settings_ask_for() {
    for (histograms, exemplars) in [(false, false), (true, false), (true, true)] {
        let mut bench = Bench::in_memory();
        bench.config.send_native_histograms = histograms;
        bench.config.send_exemplars = exemplars;
        let sender = bench.sender(None);
        bench.queue.append(every_kind()).await.unwrap();
        let end = *bench.queue.durable_end().borrow();
        bench.until("the position", || sender.position() == end).await;
        let got = bench.endpoint.batches.lock()[0].clone();
        assert_eq!(got.values.len(), 1);
        assert_eq!((got.histograms.len(), got.exemplars.len()), (histograms.into(), exemplars.into()));
        assert!(got.start_timestamps.is_empty(), "1.0 has none");
    }
}

#[tokio::test]
async fn an_endpoint_of_the_first_version_gets_no_histograms_unasked() {
    let mut bench = Bench::with(Endpoint { old: true, ..Endpoint::default() });
    bench.config.protobuf_message = crate::ProtobufMessage::Request;
    let sender = bench.sender(None);
    bench.queue.append(every_kind()).await.unwrap();
    let end = *bench.queue.durable_end().borrow();
    bench.until("the position", || sender.position() == end).await;
    assert_eq!(bench.endpoint.batches.lock()[0].histograms.len(), 0);
    let metric = |name: &str| bench.value(&format!("prometheus_remote_storage_{name}{{remote_name=\"hub\""));
    assert_eq!((metric("histograms_dropped_total"), metric("histograms_pending")), (1.0, 0.0));
}

#[tokio::test]
async fn zstd_is_for_the_second_version_where_the_endpoint_says_so() {
    for (second, zstd, want) in
        [(false, true, Encoding::Snappy), (true, false, Encoding::Snappy), (true, true, Encoding::Zstd)]
    {
        let mut bench = Bench::with(Endpoint { zstd, ..Endpoint::default() });
        if second {
            bench.config.protobuf_message = crate::ProtobufMessage::Request;
        }
        let _sender = bench.sender(None);
        bench.append(&[(1, 1), (2, 1)]).await;
        bench.until("delivery", || bench.delivered() == 2).await;
        assert_eq!(bench.endpoint.bytes.lock()[0].0, want, "2.0: {second}, zstd: {zstd}");
    }
}

#[tokio::test]
async fn an_endpoint_that_refuses_zstd_after_all_gets_snappy_and_the_same_message() {
    let mut bench = Bench::with(Endpoint { zstd: true, zstd_lies: true, ..Endpoint::default() });
    bench.config.protobuf_message = crate::ProtobufMessage::Request;
    let _sender = bench.sender(None);
    bench.append(&[(1, 1), (2, 1)]).await;
    bench.until("delivery", || bench.delivered() == 2).await;
    bench.append(&[(1, 2)]).await;
    bench.until("delivery", || bench.delivered() == 3).await;
    let encodings: Vec<_> = bench.endpoint.bytes.lock().iter().map(|(encoding, _)| *encoding).collect();
    assert_eq!(encodings, [Encoding::Zstd, Encoding::Snappy, Encoding::Snappy]);
    assert_eq!(*bench.endpoint.messages.lock(), [Message::V2; 2]);
}

/// Scrapes of exporters: counters that stand still, count slowly or fast, and seconds with all their digits.
fn scrape(random: &Random, target: usize, round: i64) -> Batch {
    let mut builder = BatchBuilder::new(Arc::new(Principal::anonymous("test")));
    let instance = format!("node-{target}.prod.example.org:9100");
    for family in 0..100 {
        let name = format!("node_subsystem{}_thing_{family}_total", family % 9);
        for part in 0..5 {
            let (device, mode) = (format!("device{part}"), ["idle", "user", "system", "iowait", "irq"][part]);
            let labels = [
                ("__name__", &*name),
                ("device", &*device),
                ("instance", &*instance),
                ("job", "node"),
                ("mode", mode),
                ("zone", "eu-west-1a"),
            ];
            let base = (target * 7919 + family * 104_729 + part * 15_485_863) % 900_000_000;
            let value = match (family + part) % 10 {
                0..3 => 0.0,
                3..6 => (base % 90) as f64,
                6..9 => (base as i64 + round * (base as i64 % 5_000)) as f64,
                _ => base as f64 / 997.0 + random.u64() as f64 / u64::MAX as f64,
            };
            let at = Timestamp(START_MS + round * 15_000 + target as i64 * 37);
            builder.series(&Labels::from_pairs(labels).unwrap(), SeriesRef::NONE).sample(at, value);
        }
    }
    builder.build()
}

/// Bytes per sample of 60 targets with 500 series each, over three scrapes.
async fn bytes_per_sample(second: bool, zstd: bool) -> f64 {
    const TARGETS: usize = 60;
    let mut bench = Bench::with(Endpoint { zstd, ..Endpoint::default() });
    if second {
        bench.config.protobuf_message = crate::ProtobufMessage::Request;
    }
    let _sender = bench.sender(None);
    let random = Random::from_seed(3);
    for round in 0..3 {
        for target in 0..TARGETS {
            bench.queue.append(scrape(&random, target, round)).await.unwrap();
        }
        let want = TARGETS * 500 * usize::try_from(round + 1).unwrap();
        bench.until("delivery", || bench.delivered() == want).await;
    }
    let bytes: usize = bench.endpoint.bytes.lock().iter().map(|(_, bytes)| bytes).sum();
    bytes as f64 / bench.delivered() as f64
}

#[tokio::test]
async fn the_second_version_is_smaller_and_zstd_smaller_again() {
    let first = bytes_per_sample(false, false).await;
    let second = bytes_per_sample(true, false).await;
    let zstd = bytes_per_sample(true, true).await;
    assert!(second < 0.65 * first && zstd < 0.4 * first, "1.0 {first}, 2.0 {second}, with zstd {zstd}");
}
