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
