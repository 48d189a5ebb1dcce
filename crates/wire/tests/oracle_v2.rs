//! The hand-written codec of `io.prometheus.write.v2.Request` beside one that prost derives from the same
//! definitions (corpora `protos/prometheus/prompb/io`): each reads what the other writes. Histograms are the
//! message of 1.0, which `oracle.rs` holds against prost.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use nave_model::append::{Batch, Principal};
use nave_model::label::Labels;
use nave_wire::write_v2::{Encoder, Request, Series, decompress};
use proptest::prelude::*;
use prost::Message;

#[derive(Clone, PartialEq, Message)]
struct RequestMessage {
    #[prost(string, repeated, tag = "4")]
    symbols: Vec<String>,
    #[prost(message, repeated, tag = "5")]
    timeseries: Vec<TimeSeries>,
}

#[derive(Clone, PartialEq, Message)]
struct TimeSeries {
    #[prost(uint32, repeated, tag = "1")]
    labels_refs: Vec<u32>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<SampleMessage>,
    #[prost(message, repeated, tag = "4")]
    exemplars: Vec<ExemplarMessage>,
    #[prost(message, optional, tag = "5")]
    metadata: Option<MetadataMessage>,
}

#[derive(Clone, PartialEq, Message)]
struct SampleMessage {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(int64, tag = "2")]
    timestamp: i64,
    #[prost(int64, tag = "3")]
    start_timestamp: i64,
}

#[derive(Clone, PartialEq, Message)]
struct ExemplarMessage {
    #[prost(uint32, repeated, tag = "1")]
    labels_refs: Vec<u32>,
    #[prost(double, tag = "2")]
    value: f64,
    #[prost(int64, tag = "3")]
    timestamp: i64,
}

#[derive(Clone, PartialEq, Message)]
struct MetadataMessage {
    #[prost(int32, tag = "1")]
    kind: i32,
    #[prost(uint32, tag = "3")]
    help_ref: u32,
    #[prost(uint32, tag = "4")]
    unit_ref: u32,
}

type Pairs = Vec<(String, String)>;

/// A series in words, as both codecs must see it.
#[derive(Debug, Clone, PartialEq)]
struct Row {
    labels: Pairs,
    samples: Vec<(i64, f64, i64)>,
    exemplars: Vec<(Pairs, f64, i64)>,
    help: String,
}

fn text() -> impl Strategy<Value = String> {
    "[a-cä]{1,3}"
}

fn labels() -> impl Strategy<Value = Pairs> {
    proptest::collection::btree_map(text(), text(), 0..5).prop_map(|map| map.into_iter().collect())
}

fn row() -> impl Strategy<Value = Row> {
    let number = || prop_oneof![Just(0.0), -1e300..1e300];
    let sample = (any::<i64>(), number(), prop_oneof![Just(0i64), any::<i64>()]);
    let exemplar = (labels(), number(), any::<i64>());
    let parts = (
        labels(),
        proptest::collection::vec(sample, 0..4),
        proptest::collection::vec(exemplar, 0..3),
        "[a-c]{0,2}",
    );
    parts.prop_map(|(labels, samples, exemplars, help)| Row { labels, samples, exemplars, help })
}

/// As prost would send it, with a table that is filled in order.
fn to_message(rows: &[Row]) -> RequestMessage {
    let (mut symbols, mut known) = (vec![String::new()], HashMap::from([(String::new(), 0u32)]));
    let mut symbol = |text: &String| {
        *known.entry(text.clone()).or_insert_with(|| {
            symbols.push(text.clone());
            u32::try_from(symbols.len() - 1).unwrap()
        })
    };
    let mut references = |labels: &[(String, String)]| -> Vec<u32> {
        labels.iter().flat_map(|(name, value)| [symbol(name), symbol(value)]).collect()
    };
    let timeseries: Vec<TimeSeries> = rows
        .iter()
        .map(|row| TimeSeries {
            labels_refs: references(&row.labels),
            samples: row
                .samples
                .iter()
                .map(|(timestamp, value, start)| SampleMessage {
                    value: *value,
                    timestamp: *timestamp,
                    start_timestamp: *start,
                })
                .collect(),
            exemplars: row
                .exemplars
                .iter()
                .map(|(labels, value, timestamp)| ExemplarMessage {
                    labels_refs: references(labels),
                    value: *value,
                    timestamp: *timestamp,
                })
                .collect(),
            metadata: Some(MetadataMessage {
                kind: 2,
                help_ref: references(&[(row.help.clone(), String::new())])[0],
                unit_ref: 0,
            }),
        })
        .collect();
    RequestMessage { symbols, timeseries }
}

/// What prost understands of a request.
fn from_message(message: &RequestMessage) -> Vec<Row> {
    let text = |reference: &u32| message.symbols[*reference as usize].clone();
    let pairs =
        |references: &[u32]| references.chunks(2).map(|pair| (text(&pair[0]), text(&pair[1]))).collect();
    let rows = message.timeseries.iter().map(|series| Row {
        labels: pairs(&series.labels_refs),
        samples: series.samples.iter().map(|one| (one.timestamp, one.value, one.start_timestamp)).collect(),
        exemplars: series
            .exemplars
            .iter()
            .map(|one| (pairs(&one.labels_refs), one.value, one.timestamp))
            .collect(),
        help: series.metadata.as_ref().map(|about| text(&about.help_ref)).unwrap_or_default(),
    });
    rows.collect()
}

fn words(labels: &Labels) -> Pairs {
    labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// What we understand of a request; its metadata is by family and looked at elsewhere.
fn from_batch(batch: &Batch) -> Vec<Row> {
    let rows = batch.series.iter().map(|series| Row {
        labels: words(&(batch.label_format.decode)(batch.label_bytes(series)).unwrap()),
        samples: (series.samples.start as usize..series.samples.end as usize)
            .map(|at| {
                let start = batch.start_timestamps.get(at).map_or(0, |start| start.0);
                (batch.timestamps[at].0, batch.values[at], start)
            })
            .collect(),
        exemplars: batch.exemplars[series.exemplars.start as usize..series.exemplars.end as usize]
            .iter()
            .map(|one| (words(&one.labels), one.value, one.timestamp.unwrap_or_default().0))
            .collect(),
        help: String::new(),
    });
    rows.collect()
}

fn encode(batch: &Batch) -> Vec<u8> {
    let mut encoder = Encoder::new();
    for series in &batch.series {
        let labels = (batch.label_format.decode)(batch.label_bytes(series)).unwrap();
        let samples: Vec<_> = batch.samples(series).collect();
        let range = series.samples.start as usize..series.samples.end as usize;
        encoder.write(&Series {
            labels: &labels,
            samples: &samples,
            start_timestamps: batch.start_timestamps.get(range).unwrap_or_default(),
            histograms: &[],
            exemplars: &batch.exemplars[series.exemplars.start as usize..series.exemplars.end as usize],
            metadata: None,
        });
    }
    encoder.finish()
}

fn decode(body: Bytes) -> Result<Batch, nave_wire::write_v2::Error> {
    Request::open(body, 1 << 20)?.decode(Arc::new(Principal::anonymous("test")))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_prost(rows in proptest::collection::vec(row(), 0..5)) {
        let body = Bytes::from(to_message(&rows).encode_to_vec());
        let batch = decode(body).unwrap();
        let bare: Vec<Row> = rows.into_iter().map(|row| Row { help: String::new(), ..row }).collect();
        prop_assert_eq!(from_batch(&batch), bare.clone());
        let sent = decompress(&encode(&batch), 1 << 20).unwrap();
        let message = RequestMessage::decode(sent).unwrap();
        prop_assert_eq!(from_message(&message), bare);
        prop_assert_eq!(message.symbols[0].as_str(), "");
        let distinct: std::collections::HashSet<_> = message.symbols.iter().collect();
        prop_assert_eq!(distinct.len(), message.symbols.len(), "a symbol stands twice");
    }

    #[test]
    fn noise_never_panics(mut body in proptest::collection::vec(any::<u8>(), 0..60), cut in 0usize..60) {
        // A table and the start of a series, mostly noise behind it.
        let length = body.len() as u8;
        body.splice(0..0, [0x22, 0, 0x22, 1, b'a', 0x2a, length]);
        body.truncate(cut.max(2));
        let _ = decode(Bytes::from(body));
    }
}
