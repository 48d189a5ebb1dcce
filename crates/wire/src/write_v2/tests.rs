use std::sync::Arc;

use bytes::Bytes;
use nave_base::varint::put_u64;
use nave_model::append::{Batch, HistogramSample, Principal};
use nave_model::histogram::{CounterResetHint, Histogram, Span};
use nave_model::label::Labels;
use nave_model::metadata::{Metadata, MetricType};
use nave_model::sample::{Exemplar, STALE_NAN_BITS};
use nave_model::time::Timestamp;

use super::{Encoder, Error, Request, Series, decompress};
use crate::write_v1::encode::{put_bytes, put_double, put_int64, put_tag};

fn decode_plain(body: Vec<u8>) -> Result<Batch, Error> {
    Request::open(Bytes::from(body), 1 << 20)?.decode(Arc::new(Principal::anonymous("test")))
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::from_pairs(pairs.iter().copied()).unwrap()
}

fn decoded_labels(batch: &Batch, series: usize) -> Result<Labels, String> {
    (batch.label_format.decode)(batch.label_bytes(&batch.series[series])).map_err(|error| error.to_string())
}

fn table(symbols: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    symbols.iter().for_each(|symbol| put_bytes(&mut out, 4, symbol));
    out
}

/// A field `labels_refs`, packed.
fn references(numbers: &[u64]) -> Vec<u8> {
    let (mut packed, mut out) = (Vec::new(), Vec::new());
    numbers.iter().for_each(|number| put_u64(&mut packed, *number));
    put_bytes(&mut out, 1, &packed);
    out
}

fn message(number: u32, parts: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    put_bytes(&mut out, number, &parts.concat());
    out
}

fn series(parts: &[&[u8]]) -> Vec<u8> {
    message(5, parts)
}

fn sample(value: f64, timestamp: i64) -> Vec<u8> {
    let mut sample = Vec::new();
    put_double(&mut sample, 1, value);
    put_int64(&mut sample, 2, timestamp);
    message(2, &[&sample])
}

fn histogram(integer: bool) -> HistogramSample {
    let histogram = Histogram {
        schema: 3,
        zero_threshold: 1e-128,
        zero_count: 2.0,
        count: 12.0,
        sum: -3.5,
        positive_spans: vec![Span { offset: -2, length: 2 }],
        positive_buckets: vec![3.0, 5.0],
        negative_spans: vec![Span { offset: 0, length: 1 }],
        negative_buckets: vec![2.0],
        custom_bounds: Vec::new(),
        counter_reset_hint: CounterResetHint::NotReset,
        integer,
    };
    let start_timestamp = integer.then_some(Timestamp(3));
    HistogramSample { timestamp: Timestamp(7), start_timestamp, histogram: Arc::new(histogram) }
}

#[test]
fn everything_survives_the_round_trip() {
    let name = labels(&[("__name__", "a_total"), ("b", "1")]);
    let samples = [(Timestamp(1), -0.0), (Timestamp(2), f64::from_bits(STALE_NAN_BITS))];
    let histograms = [histogram(true), histogram(false)];
    let exemplars = [
        Exemplar { labels: labels(&[("trace_id", "x")]), value: 0.25, timestamp: Some(Timestamp(5)) },
        Exemplar { labels: labels(&[]), value: 0.0, timestamp: None },
    ];
    let metadata = Metadata { kind: MetricType::Counter, help: "h".into(), unit: "s".into() };
    let mut encoder = Encoder::new();
    for _ in 0..2 {
        encoder.write(&Series {
            labels: &name,
            samples: &samples,
            start_timestamps: &[Timestamp(0), Timestamp(1)],
            histograms: &histograms,
            exemplars: &exemplars,
            metadata: Some(&metadata),
        });
        assert!(!encoder.is_empty() && encoder.len_bytes() > 100);
        let body = encoder.finish();
        assert!(encoder.is_empty());
        let batch = decode_plain(decompress(&body, 1 << 20).unwrap().to_vec()).unwrap();
        assert_eq!(decoded_labels(&batch, 0).unwrap(), name);
        assert_eq!(batch.bytes, name.as_bytes(), "sorted labels have canonical bytes");
        let bits: Vec<_> = batch.samples(&batch.series[0]).map(|(t, v)| (t, v.to_bits())).collect();
        assert_eq!(bits, samples.map(|(t, v)| (t, v.to_bits())));
        assert_eq!(batch.start_timestamps, [Timestamp(0), Timestamp(1)]);
        assert_eq!(batch.exemplars, exemplars);
        assert_eq!(batch.metadata, [("a_total".into(), metadata.clone())]);
        for (got, want) in batch.histograms.iter().zip(&histograms) {
            assert_eq!(
                (got.timestamp, got.start_timestamp, &got.histogram),
                (want.timestamp, want.start_timestamp, &want.histogram)
            );
        }
    }
}

#[test]
fn every_text_is_sent_once() {
    let mut encoder = Encoder::new();
    let rows = [
        labels(&[("__name__", "a"), ("instance", "host"), ("x", "1")]),
        labels(&[("__name__", "a"), ("instance", "host"), ("x", "2")]),
        labels(&[("__name__", "b"), ("host", "host")]),
        labels(&[("__name__", "b"), ("instance", "host"), ("job", "2")]),
    ];
    for row in &rows {
        let samples = &[(Timestamp(1), 1.0)];
        encoder.write(&Series {
            labels: row,
            samples,
            start_timestamps: &[],
            histograms: &[],
            exemplars: &[],
            metadata: None,
        });
    }
    let plain = decompress(&encoder.finish(), 1 << 20).unwrap();
    let want = table(&[b"", b"__name__", b"a", b"instance", b"host", b"x", b"1", b"2", b"b", b"job"]);
    assert_eq!(plain[..want.len()], want);
    let batch = decode_plain(plain.to_vec()).unwrap();
    for (at, row) in rows.iter().enumerate() {
        assert_eq!(decoded_labels(&batch, at).as_ref(), Ok(row));
    }
}

#[test]
fn bad_label_sets_are_problems_of_their_series() {
    let symbols = table(&[b"", b"a", b"b", b"1", b"\xff"]);
    let check = |numbers: &[u64], want: Result<Labels, &str>| {
        let body = [&symbols[..], &series(&[&references(numbers)])].concat();
        assert_eq!(decoded_labels(&decode_plain(body).unwrap(), 0), want.map_err(str::to_owned));
    };
    check(&[2, 3, 1, 3], Ok(labels(&[("a", "1"), ("b", "1")])));
    check(&[1, 0, 2, 3], Ok(labels(&[("b", "1")])));
    check(&[1, 3, 1, 3], Err("duplicate label name \"a\""));
    check(&[0, 3], Err("invalid label name \"\""));
    check(&[1, 4], Err("label \"a\" is not valid UTF-8"));
    check(&[], Ok(labels(&[])));
}

#[test]
fn the_table_may_stand_behind_the_series_and_references_unpacked() {
    let mut unpacked = Vec::new();
    for number in [1u64, 2] {
        put_tag(&mut unpacked, 1, 0);
        put_u64(&mut unpacked, number);
    }
    let body = [series(&[&sample(1.0, 1), &unpacked]), table(&[b"", b"a", b"1"])].concat();
    let batch = decode_plain(body).unwrap();
    assert_eq!(decoded_labels(&batch, 0).unwrap(), labels(&[("a", "1")]));
    assert_eq!(batch.sample_count(), 1);
}

#[test]
fn metadata_comes_once_by_family() {
    let about = |kind: i64, help: i64| {
        let mut about = Vec::new();
        put_int64(&mut about, 1, kind);
        put_int64(&mut about, 3, help);
        message(5, &[&about])
    };
    let symbols = table(&[b"", b"__name__", b"lat_bucket", b"lat_sum", b"up_sum", b"text", b"_sum", b"x"]);
    let rows = [(2, 3, 5), (3, 3, 5), (4, 2, 0), (6, 3, 5), (7, 0, 0)];
    let rows = rows.map(|(name, kind, help)| series(&[&references(&[1, name]), &about(kind, help)]));
    let batch = decode_plain([&symbols[..], &rows.concat()].concat()).unwrap();
    let metadata = |kind, help: &str| Metadata { kind, help: help.into(), unit: "".into() };
    assert_eq!(
        batch.metadata,
        [
            ("lat".into(), metadata(MetricType::Histogram, "text")),
            ("up_sum".into(), metadata(MetricType::Gauge, "")),
            ("_sum".into(), metadata(MetricType::Histogram, "text")),
        ]
    );
    // A series of nothing but metadata stays a series of nothing.
    assert_eq!((batch.series.len(), batch.sample_count()), (5, 0));
    let bare = decode_plain(series(&[&about(2, 0)])).unwrap();
    assert_eq!((bare.series.len(), bare.metadata.len()), (1, 0), "no name, no table");
}

#[test]
fn the_start_of_drafts_is_taken() {
    let mut created = Vec::new();
    put_int64(&mut created, 6, 9);
    let symbols = table(&[b"", b"a", b"1"]);
    let body = [
        &symbols[..],
        &series(&[&references(&[1, 2]), &sample(1.0, 10)]),
        &series(&[&references(&[1, 2]), &sample(1.0, 20), &sample(1.0, 30), &created]),
        &series(&[&references(&[1, 2]), &sample(1.0, 40)]),
    ]
    .concat();
    let batch = decode_plain(body).unwrap();
    assert_eq!(batch.start_timestamps, [0, 9, 9, 0].map(Timestamp));
}

#[test]
fn broken_messages_are_named_with_their_place() {
    let symbols = table(&[b"", b"a"]);
    let check = |body: &[u8], expected: &str| {
        let body = [&symbols[..], body].concat();
        let error = decode_plain(body.clone()).unwrap_err();
        let Error::Protobuf { offset, expected: wanted } = error else { panic!("{error}") };
        assert_eq!(wanted, expected);
        assert!(offset >= symbols.len() && offset <= body.len(), "at {offset}");
    };
    check(&series(&[&references(&[0, 2])]), "a reference to one of the symbols");
    check(&series(&[&references(&[0, u64::MAX])]), "a reference to one of the symbols");
    check(&series(&[&references(&[0, 1, 1])]), "references in pairs of name and value");
    check(&series(&[&message(4, &[&references(&[0])])]), "references in pairs of name and value");
    check(&series(&[&message(4, &[&references(&[0, 7])])]), "a reference to one of the symbols");
    let mut about = Vec::new();
    put_int64(&mut about, 3, 7);
    check(&series(&[&message(5, &[&about])]), "a reference to one of the symbols");
    check(b"\x28\x01", "the field in the layout that the message defines");
    let whole = [&symbols[..], &series(&[&references(&[0, 1]), &sample(1.0, 1)])].concat();
    for cut in symbols.len() + 1..whole.len() {
        assert!(decode_plain(whole[..cut].to_vec()).is_err(), "cut at {cut}");
    }
}

#[test]
fn bombs_are_refused_before_memory_is_taken() {
    let too_large = |body: Vec<u8>, what: &str| match decode_plain(body) {
        Err(Error::TooLarge { what: got, .. }) => assert_eq!(got, what),
        Err(other) => panic!("{other}"),
        Ok(batch) => panic!("{} series, {} exemplars", batch.series.len(), batch.exemplars.len()),
    };
    // Two bytes that stand for a thousand.
    let long = [b'x'; 1000];
    let symbols = table(&[b"", &long]);
    let many = [&symbols[..], &series(&[&references(&[1; 2000])])].concat();
    too_large(many, "all labels written out");
    let pair = references(&[1, 1]);
    let exemplars = message(4, &[&pair]).repeat(10_000);
    too_large([&symbols[..], &series(&[&exemplars])].concat(), "the decoded request");
    too_large(series(&[&b"\x1a\x00".repeat(100_000)]), "the decoded request");
    // Empty symbols, series and samples stay within the allowance.
    assert_eq!(decode_plain(b"\x22\x00".repeat(100_000)).unwrap().series.len(), 0);
    assert_eq!(decode_plain(b"\x2a\x00".repeat(100_000)).unwrap().series.len(), 100_000);
    assert_eq!(decode_plain(series(&[&b"\x12\x00".repeat(100_000)])).unwrap().sample_count(), 100_000);
}
