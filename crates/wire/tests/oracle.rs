//! The hand-written codec of `prometheus.WriteRequest` beside one that prost derives from the same
//! definitions (corpora `protos/prometheus/prompb`): each reads what the other writes.

use std::sync::Arc;

use bytes::Bytes;
use nave_model::append::{Batch, HistogramSample, Principal};
use nave_model::histogram::{CounterResetHint, Span};
use nave_model::label::Labels;
use nave_model::sample::Exemplar;
use nave_wire::write_v1::{Encoder, Series, decode, decompress};
use proptest::prelude::*;
use prost::Message;

#[derive(Clone, PartialEq, Message)]
struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    timeseries: Vec<TimeSeries>,
    #[prost(message, repeated, tag = "3")]
    metadata: Vec<MetricMetadata>,
}

#[derive(Clone, PartialEq, Message)]
struct TimeSeries {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<LabelPair>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<SamplePair>,
    #[prost(message, repeated, tag = "3")]
    exemplars: Vec<ExemplarMessage>,
    #[prost(message, repeated, tag = "4")]
    histograms: Vec<HistogramMessage>,
}

#[derive(Clone, PartialEq, Message)]
struct LabelPair {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct SamplePair {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(int64, tag = "2")]
    timestamp: i64,
}

#[derive(Clone, PartialEq, Message)]
struct ExemplarMessage {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<LabelPair>,
    #[prost(double, tag = "2")]
    value: f64,
    #[prost(int64, tag = "3")]
    timestamp: i64,
}

#[derive(Clone, PartialEq, Message)]
struct BucketSpan {
    #[prost(sint32, tag = "1")]
    offset: i32,
    #[prost(uint32, tag = "2")]
    length: u32,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Count {
    #[prost(uint64, tag = "1")]
    Int(u64),
    #[prost(double, tag = "2")]
    Float(f64),
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum ZeroCount {
    #[prost(uint64, tag = "6")]
    Int(u64),
    #[prost(double, tag = "7")]
    Float(f64),
}

#[derive(Clone, PartialEq, Message)]
struct HistogramMessage {
    #[prost(oneof = "Count", tags = "1, 2")]
    count: Option<Count>,
    #[prost(double, tag = "3")]
    sum: f64,
    #[prost(sint32, tag = "4")]
    schema: i32,
    #[prost(double, tag = "5")]
    zero_threshold: f64,
    #[prost(oneof = "ZeroCount", tags = "6, 7")]
    zero_count: Option<ZeroCount>,
    #[prost(message, repeated, tag = "8")]
    negative_spans: Vec<BucketSpan>,
    #[prost(sint64, repeated, tag = "9")]
    negative_deltas: Vec<i64>,
    #[prost(double, repeated, tag = "10")]
    negative_counts: Vec<f64>,
    #[prost(message, repeated, tag = "11")]
    positive_spans: Vec<BucketSpan>,
    #[prost(sint64, repeated, tag = "12")]
    positive_deltas: Vec<i64>,
    #[prost(double, repeated, tag = "13")]
    positive_counts: Vec<f64>,
    #[prost(int32, tag = "14")]
    reset_hint: i32,
    #[prost(int64, tag = "15")]
    timestamp: i64,
    #[prost(double, repeated, tag = "16")]
    custom_values: Vec<f64>,
}

#[derive(Clone, PartialEq, Message)]
struct MetricMetadata {
    #[prost(int32, tag = "1")]
    kind: i32,
    #[prost(string, tag = "2")]
    metric_family_name: String,
    #[prost(string, tag = "4")]
    help: String,
    #[prost(string, tag = "5")]
    unit: String,
}

fn text() -> impl Strategy<Value = String> {
    "[a-zä_]{1,9}"
}

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![Just(0.0), any::<i32>().prop_map(f64::from), -1e300..1e300]
}

fn labels() -> impl Strategy<Value = Vec<LabelPair>> {
    proptest::collection::btree_map(text(), text(), 0..5)
        .prop_map(|map| map.into_iter().map(|(name, value)| LabelPair { name, value }).collect())
}

fn spans() -> impl Strategy<Value = Vec<BucketSpan>> {
    let span = (any::<i32>(), any::<u32>()).prop_map(|(offset, length)| BucketSpan { offset, length });
    proptest::collection::vec(span, 0..3)
}

fn histogram() -> impl Strategy<Value = HistogramMessage> {
    let numbers = || proptest::collection::vec(number(), 0..4);
    let deltas = || proptest::collection::vec(-1000i64..1000, 0..4);
    let scalars = (any::<bool>(), 0..1u64 << 53, number(), any::<i32>(), 0..4i32, any::<i64>());
    (scalars, (spans(), spans()), (deltas(), deltas()), (numbers(), numbers(), numbers())).prop_map(
        |((integer, count, sum, schema, reset_hint, timestamp), spans, deltas, counts)| HistogramMessage {
            count: Some(if integer { Count::Int(count) } else { Count::Float(count as f64 / 3.0) }),
            sum,
            schema,
            zero_threshold: sum / 7.0,
            zero_count: Some(if integer { ZeroCount::Int(count / 2) } else { ZeroCount::Float(0.5) }),
            negative_spans: spans.0,
            positive_spans: spans.1,
            negative_deltas: if integer { deltas.0 } else { Vec::new() },
            positive_deltas: if integer { deltas.1 } else { Vec::new() },
            negative_counts: if integer { Vec::new() } else { counts.0 },
            positive_counts: if integer { Vec::new() } else { counts.1 },
            reset_hint,
            timestamp,
            custom_values: counts.2,
        },
    )
}

fn series() -> impl Strategy<Value = TimeSeries> {
    let sample = (number(), any::<i64>()).prop_map(|(value, timestamp)| SamplePair { value, timestamp });
    let exemplar = (labels(), number(), any::<i64>())
        .prop_map(|(labels, value, timestamp)| ExemplarMessage { labels, value, timestamp });
    (
        labels(),
        proptest::collection::vec(sample, 0..4),
        proptest::collection::vec(exemplar, 0..3),
        proptest::collection::vec(histogram(), 0..3),
    )
        .prop_map(|(labels, samples, exemplars, histograms)| TimeSeries {
            labels,
            samples,
            exemplars,
            histograms,
        })
}

fn metadata() -> impl Strategy<Value = MetricMetadata> {
    (0..8i32, text(), text(), text()).prop_map(|(kind, metric_family_name, help, unit)| MetricMetadata {
        kind,
        metric_family_name,
        help,
        unit,
    })
}

fn pairs(labels: &Labels) -> Vec<LabelPair> {
    labels.iter().map(|(name, value)| LabelPair { name: name.to_owned(), value: value.to_owned() }).collect()
}

/// The batch in the oracle's words.
fn to_message(batch: &Batch) -> WriteRequest {
    let timeseries = batch.series.iter().map(|series| TimeSeries {
        labels: pairs(&(batch.label_format.decode)(batch.label_bytes(series)).unwrap()),
        samples: batch
            .samples(series)
            .map(|(timestamp, value)| SamplePair { value, timestamp: timestamp.0 })
            .collect(),
        exemplars: batch.exemplars[series.exemplars.start as usize..series.exemplars.end as usize]
            .iter()
            .map(exemplar_message)
            .collect(),
        histograms: batch.histograms[series.histograms.start as usize..series.histograms.end as usize]
            .iter()
            .map(histogram_message)
            .collect(),
    });
    let metadata = batch.metadata.iter().map(|(family, metadata)| MetricMetadata {
        kind: KINDS.iter().position(|word| *word == metadata.kind.as_str()).unwrap() as i32,
        metric_family_name: family.to_string(),
        help: metadata.help.to_string(),
        unit: metadata.unit.to_string(),
    });
    WriteRequest { timeseries: timeseries.collect(), metadata: metadata.collect() }
}

const KINDS: [&str; 8] =
    ["unknown", "counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset"];

fn exemplar_message(exemplar: &Exemplar) -> ExemplarMessage {
    let timestamp = exemplar.timestamp.unwrap_or_default().0;
    ExemplarMessage { labels: pairs(&exemplar.labels), value: exemplar.value, timestamp }
}

fn histogram_message(sample: &HistogramSample) -> HistogramMessage {
    let h = &sample.histogram;
    let spans = |spans: &[Span]| {
        spans.iter().map(|span| BucketSpan { offset: span.offset, length: span.length }).collect()
    };
    let deltas = |counts: &[f64]| -> Vec<i64> {
        let before = std::iter::once(&0.0).chain(counts);
        counts.iter().zip(before).map(|(count, before)| (count - before) as i64).collect()
    };
    let when = |wanted: bool, counts: &[f64]| if wanted { counts.to_vec() } else { Vec::new() };
    HistogramMessage {
        count: Some(if h.integer { Count::Int(h.count as u64) } else { Count::Float(h.count) }),
        sum: h.sum,
        schema: h.schema,
        zero_threshold: h.zero_threshold,
        zero_count: Some(if h.integer {
            ZeroCount::Int(h.zero_count as u64)
        } else {
            ZeroCount::Float(h.zero_count)
        }),
        negative_spans: spans(&h.negative_spans),
        negative_deltas: deltas(&when(h.integer, &h.negative_buckets)),
        negative_counts: when(!h.integer, &h.negative_buckets),
        positive_spans: spans(&h.positive_spans),
        positive_deltas: deltas(&when(h.integer, &h.positive_buckets)),
        positive_counts: when(!h.integer, &h.positive_buckets),
        reset_hint: match h.counter_reset_hint {
            CounterResetHint::Unknown => 0,
            CounterResetHint::Reset => 1,
            CounterResetHint::NotReset => 2,
            CounterResetHint::Gauge => 3,
        },
        timestamp: sample.timestamp.0,
        custom_values: h.custom_bounds.clone(),
    }
}

fn encode(batch: &Batch) -> Vec<u8> {
    let mut encoder = Encoder::new();
    for series in &batch.series {
        let labels = (batch.label_format.decode)(batch.label_bytes(series)).unwrap();
        let samples: Vec<_> = batch.samples(series).collect();
        encoder.write(&Series {
            labels: &labels,
            samples: &samples,
            histograms: &batch.histograms[series.histograms.start as usize..series.histograms.end as usize],
            exemplars: &batch.exemplars[series.exemplars.start as usize..series.exemplars.end as usize],
        });
    }
    for (family, metadata) in &batch.metadata {
        encoder.metadata(family, metadata);
    }
    encoder.finish()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_prost(
        timeseries in proptest::collection::vec(series(), 0..4),
        metadata in proptest::collection::vec(metadata(), 0..3),
    ) {
        let message = WriteRequest { timeseries, metadata };
        let body = Bytes::from(message.encode_to_vec());
        let batch = decode(body, Arc::new(Principal::anonymous("test"))).unwrap();
        prop_assert_eq!(to_message(&batch), message.clone());
        let sent = decompress(&encode(&batch), 1 << 20).unwrap();
        prop_assert_eq!(WriteRequest::decode(sent).unwrap(), message);
    }

    #[test]
    fn refuses_what_prost_refuses(mut body in proptest::collection::vec(any::<u8>(), 0..40), cut in 0usize..40) {
        // Mostly noise behind the start of a series.
        body.splice(0..0, [0x0a, body.len() as u8]);
        body.truncate(cut.max(2));
        let ours = decode(Bytes::from(body.clone()), Arc::new(Principal::anonymous("test")));
        // Label messages are looked at later and UTF-8 is the series' own problem: only one direction holds.
        if ours.is_err() {
            prop_assert!(WriteRequest::decode(&body[..]).is_err(), "{:?}", ours);
        }
    }
}
