use std::sync::Arc;

use bytes::Bytes;
use nave_base::varint::put_u64;
use nave_model::append::{Batch, HistogramSample, Principal};
use nave_model::histogram::{CounterResetHint, Histogram, Span};
use nave_model::label::Labels;
use nave_model::metadata::{Metadata, MetricType};
use nave_model::sample::{Exemplar, STALE_NAN_BITS};
use nave_model::time::Timestamp;

use super::encode::{put_bytes, put_tag};
use super::{Encoder, Error, Series, decode, decompress};

fn principal() -> Arc<Principal> {
    Arc::new(Principal::anonymous("test"))
}

fn decode_plain(body: Vec<u8>) -> Result<Batch, Error> {
    decode(Bytes::from(body), principal())
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::from_pairs(pairs.iter().copied()).unwrap()
}

fn decoded_labels(batch: &Batch, series: usize) -> Result<Labels, String> {
    (batch.label_format.decode)(batch.label_bytes(&batch.series[series])).map_err(|error| error.to_string())
}

/// One `Label` field.
fn label(name: &[u8], value: &[u8]) -> Vec<u8> {
    let (mut label, mut out) = (Vec::new(), Vec::new());
    put_bytes(&mut label, 1, name);
    put_bytes(&mut label, 2, value);
    put_bytes(&mut out, 1, &label);
    out
}

/// One `TimeSeries` field of the given parts.
fn series(parts: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    put_bytes(&mut out, 1, &parts.concat());
    out
}

fn sample(value: f64, timestamp: u64) -> Vec<u8> {
    let (mut sample, mut out) = (Vec::new(), Vec::new());
    put_tag(&mut sample, 2, 0);
    put_u64(&mut sample, timestamp);
    put_tag(&mut sample, 1, 1);
    sample.extend_from_slice(&value.to_le_bytes());
    put_bytes(&mut out, 2, &sample);
    out
}

fn histogram(integer: bool) -> HistogramSample {
    let histogram = Histogram {
        schema: -4,
        zero_threshold: 1e-128,
        zero_count: 2.0,
        count: 12.0,
        sum: -3.5,
        positive_spans: vec![Span { offset: -2, length: 2 }, Span { offset: 3, length: 1 }],
        positive_buckets: vec![3.0, 1.0, 4.0],
        negative_spans: vec![Span { offset: 0, length: 1 }],
        negative_buckets: vec![2.0],
        custom_bounds: vec![0.5, 1.0],
        counter_reset_hint: CounterResetHint::Gauge,
        integer,
    };
    HistogramSample { timestamp: Timestamp(-7), start_timestamp: None, histogram: Arc::new(histogram) }
}

#[test]
fn everything_survives_the_round_trip() {
    let name = labels(&[("__name__", "a"), ("b", "1")]);
    let samples =
        [(Timestamp(1), -0.0), (Timestamp(-2), f64::from_bits(STALE_NAN_BITS)), (Timestamp(0), 0.0)];
    let histograms = [histogram(true), histogram(false)];
    let exemplars = [
        Exemplar { labels: labels(&[("trace_id", "x")]), value: 0.25, timestamp: Some(Timestamp(5)) },
        Exemplar { labels: labels(&[]), value: 0.0, timestamp: None },
    ];
    let metadata = Metadata { kind: MetricType::StateSet, help: "h".into(), unit: "".into() };
    let mut encoder = Encoder::new();
    encoder.write(&Series {
        labels: &name,
        samples: &samples,
        histograms: &histograms,
        exemplars: &exemplars,
    });
    encoder.metadata("a", &metadata);
    assert!(!encoder.is_empty() && encoder.len_bytes() > 100);
    let body = encoder.finish();
    assert!(encoder.is_empty());

    let batch = decode(decompress(&body, 1 << 20).unwrap(), principal()).unwrap();
    assert_eq!(decoded_labels(&batch, 0).unwrap(), name);
    let bits = |samples: &mut dyn Iterator<Item = (Timestamp, f64)>| -> Vec<_> {
        samples.map(|(timestamp, value)| (timestamp, value.to_bits())).collect()
    };
    assert_eq!(bits(&mut batch.samples(&batch.series[0])), bits(&mut samples.into_iter()));
    assert_eq!(batch.exemplars, exemplars);
    assert_eq!(batch.metadata, [("a".into(), metadata)]);
    for (got, want) in batch.histograms.iter().zip(&histograms) {
        assert_eq!((got.timestamp, &got.histogram), (want.timestamp, &want.histogram));
    }
}

#[test]
fn bad_label_sets_are_problems_of_their_series() {
    let check = |fields: &[Vec<u8>], want: Result<Labels, &str>| {
        let fields: Vec<&[u8]> = fields.iter().map(Vec::as_slice).collect();
        let batch = decode_plain(series(&fields)).unwrap();
        assert_eq!(decoded_labels(&batch, 0), want.map_err(str::to_owned));
    };
    check(&[label(b"b", b"2"), label(b"a", b"1")], Ok(labels(&[("a", "1"), ("b", "2")])));
    check(&[label(b"a", b""), label(b"b", b"2")], Ok(labels(&[("b", "2")])));
    check(&[label(b"a", b"1"), label(b"a", b"2")], Err("duplicate label name \"a\""));
    check(&[label(b"", b"1")], Err("invalid label name \"\""));
    check(&[label(b"a", b"\xff")], Err("label \"a\" is not valid UTF-8"));
    check(&[label(b"\xff", b"")], Err("label \"\u{fffd}\" is not valid UTF-8"));
    check(&[], Ok(labels(&[])));
}

#[test]
fn labels_that_do_not_stand_together_are_collected() {
    let (a, b) = (label(b"a", b"1"), label(b"b", b"2"));
    let body = [series(&[&a, &sample(1.0, 1), &b, &sample(2.0, 2)]), series(&[&b, &sample(3.0, 3)])].concat();
    let batch = decode_plain(body).unwrap();
    assert_eq!(decoded_labels(&batch, 0).unwrap(), labels(&[("a", "1"), ("b", "2")]));
    assert_eq!(decoded_labels(&batch, 1).unwrap(), labels(&[("b", "2")]));
    assert_eq!(batch.samples(&batch.series[0]).count(), 2);
    let together = decode_plain(series(&[&sample(1.0, 1), &a, &b])).unwrap();
    let joined = [a, b].concat();
    assert_eq!(together.label_bytes(&together.series[0]), &joined[..]);
    assert_eq!(batch.label_bytes(&batch.series[0]), &joined[..]);
}

#[test]
fn unknown_fields_are_skipped() {
    let mut unknown = Vec::new();
    put_tag(&mut unknown, 99, 0);
    put_u64(&mut unknown, 7);
    put_tag(&mut unknown, 98, 5);
    unknown.extend_from_slice(&[1, 2, 3, 4]);
    put_bytes(&mut unknown, 97, b"text");
    let body = [unknown.clone(), series(&[&label(b"a", b"1"), &unknown, &sample(1.0, 1)])].concat();
    let batch = decode_plain(body).unwrap();
    assert_eq!(decoded_labels(&batch, 0).unwrap(), labels(&[("a", "1")]));
    assert_eq!(batch.sample_count(), 1);
}

#[test]
fn broken_protobuf_is_named_with_its_place() {
    let check = |body: &[u8], offset: usize, expected: &str| {
        let error = decode_plain(body.to_vec()).unwrap_err();
        let Error::Protobuf { offset: at, expected: wanted } = error else { panic!("{error}") };
        assert_eq!((at, wanted), (offset, expected));
    };
    check(b"\x0a\x05abc", 1, "a length within the message");
    check(b"\x0b", 0, "a field without groups");
    check(b"\x02\x00", 0, "a field number from 1 to 536870911");
    check(b"\x08\x01", 1, "the field in the layout that the message defines");
    check(b"\xff\xff", 0, "a varint of at most 64 bits");
    check(b"\x0a\x04\x12\x02\x09\x00", 5, "8 bytes of a double");
    let whole = series(&[&label(b"abc", b"def"), &sample(1.0, 1)]);
    for cut in 1..whole.len() {
        assert!(decode_plain(whole[..cut].to_vec()).is_err(), "cut at {cut}");
    }
}

#[test]
fn bombs_are_refused_before_memory_is_taken() {
    let too_large = |result: Result<Batch, Error>, what: &str| match result {
        Err(Error::TooLarge { what: got, .. }) => assert_eq!(got, what),
        Err(other) => panic!("{other}"),
        Ok(batch) => panic!("{} series, {} exemplars", batch.series.len(), batch.exemplars.len()),
    };
    let mut declared = Vec::new();
    put_u64(&mut declared, u64::from(u32::MAX));
    declared.extend_from_slice(b"xxxx");
    let error = decompress(&declared, 1 << 20).unwrap_err();
    assert_eq!(
        error.to_string(),
        "request is too large: the decompressed body of 4294967295 bytes, the limit is 1048576"
    );
    let error = decompress(&declared, usize::MAX).unwrap_err().to_string();
    assert!(error.contains("9 bytes cannot decompress to the declared 4294967295"), "{error}");
    // Honest extreme: a megabyte of zeros.
    let zeros = snap::raw::Encoder::new().compress_vec(&vec![0; 1 << 20]).unwrap();
    assert_eq!(decompress(&zeros, 1 << 20).unwrap().len(), 1 << 20);
    assert!(matches!(decompress(&zeros, (1 << 20) - 1), Err(Error::TooLarge { .. })));

    let many = |field: &[u8]| series(&[&field.repeat(100_000)]);
    too_large(decode_plain(many(b"\x22\x00")), "the decoded request");
    too_large(decode_plain(b"\x1a\x00".repeat(100_000)), "the decoded request");
    too_large(decode_plain(many(b"\x1a\x00")), "the decoded request");
    // Empty samples and series stay within the allowance.
    assert_eq!(decode_plain(many(b"\x12\x00")).unwrap().sample_count(), 100_000);
    assert_eq!(decode_plain(b"\x0a\x00".repeat(100_000)).unwrap().series.len(), 100_000);
}

#[test]
fn no_body_is_an_error_and_an_empty_request_is_not() {
    let error = decompress(b"", 10).unwrap_err().to_string();
    assert_eq!(error, "snappy decompression failed: the body is empty; the body must be one snappy block");
    assert!(matches!(decompress(b"\x05abc", 10), Err(Error::Snappy(_))));
    let empty = decompress(&Encoder::new().finish(), 10).unwrap();
    assert_eq!(decode(empty, principal()).unwrap().sample_count(), 0);
}
