//! Pages against the samples they tell; messages are written by `prost`, the oracle.

use nave_model::histogram::{CounterResetHint, Span};
use proptest::prelude::*;
use prost::Message;

use super::*;

#[derive(Clone, PartialEq, Message)]
struct Label {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct Time {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

#[derive(Clone, PartialEq, Message)]
struct ExemplarOf {
    #[prost(message, repeated, tag = "1")]
    label: Vec<Label>,
    #[prost(double, tag = "2")]
    value: f64,
    #[prost(message, optional, tag = "3")]
    timestamp: Option<Time>,
}

#[derive(Clone, PartialEq, Message)]
struct CounterOf {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(message, optional, tag = "2")]
    exemplar: Option<ExemplarOf>,
    #[prost(message, optional, tag = "3")]
    created: Option<Time>,
}

#[derive(Clone, PartialEq, Message)]
struct GaugeOf {
    #[prost(double, tag = "1")]
    value: f64,
}

#[derive(Clone, PartialEq, Message)]
struct QuantileOf {
    #[prost(double, tag = "1")]
    quantile: f64,
    #[prost(double, tag = "2")]
    value: f64,
}

#[derive(Clone, PartialEq, Message)]
struct SummaryOf {
    #[prost(uint64, tag = "1")]
    count: u64,
    #[prost(double, tag = "2")]
    sum: f64,
    #[prost(message, repeated, tag = "3")]
    quantile: Vec<QuantileOf>,
}

#[derive(Clone, PartialEq, Message)]
struct BucketOf {
    #[prost(uint64, tag = "1")]
    count: u64,
    #[prost(double, tag = "4")]
    count_float: f64,
    #[prost(double, tag = "2")]
    bound: f64,
    #[prost(message, optional, tag = "3")]
    exemplar: Option<ExemplarOf>,
}

#[derive(Clone, PartialEq, Message)]
struct SpanOf {
    #[prost(sint32, tag = "1")]
    offset: i32,
    #[prost(uint32, tag = "2")]
    length: u32,
}

#[derive(Clone, PartialEq, Message)]
struct HistogramOf {
    #[prost(uint64, tag = "1")]
    count: u64,
    #[prost(double, tag = "4")]
    count_float: f64,
    #[prost(double, tag = "2")]
    sum: f64,
    #[prost(message, repeated, tag = "3")]
    bucket: Vec<BucketOf>,
    #[prost(message, optional, tag = "15")]
    created: Option<Time>,
    #[prost(sint32, tag = "5")]
    schema: i32,
    #[prost(double, tag = "6")]
    zero_threshold: f64,
    #[prost(uint64, tag = "7")]
    zero_count: u64,
    #[prost(double, tag = "8")]
    zero_count_float: f64,
    #[prost(message, repeated, tag = "9")]
    negative_span: Vec<SpanOf>,
    #[prost(sint64, repeated, tag = "10")]
    negative_delta: Vec<i64>,
    #[prost(message, repeated, tag = "12")]
    positive_span: Vec<SpanOf>,
    #[prost(sint64, repeated, tag = "13")]
    positive_delta: Vec<i64>,
    #[prost(double, repeated, tag = "14")]
    positive_count: Vec<f64>,
    #[prost(message, repeated, tag = "16")]
    exemplars: Vec<ExemplarOf>,
}

#[derive(Clone, PartialEq, Message)]
struct MetricOf {
    #[prost(message, repeated, tag = "1")]
    label: Vec<Label>,
    #[prost(message, optional, tag = "2")]
    gauge: Option<GaugeOf>,
    #[prost(message, optional, tag = "3")]
    counter: Option<CounterOf>,
    #[prost(message, optional, tag = "4")]
    summary: Option<SummaryOf>,
    #[prost(message, optional, tag = "5")]
    untyped: Option<GaugeOf>,
    #[prost(message, optional, tag = "7")]
    histogram: Option<HistogramOf>,
    #[prost(int64, tag = "6")]
    timestamp_ms: i64,
}

#[derive(Clone, PartialEq, Message)]
struct FamilyOf {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    help: String,
    #[prost(int32, tag = "3")]
    kind: i32,
    #[prost(message, repeated, tag = "4")]
    metric: Vec<MetricOf>,
    #[prost(string, tag = "5")]
    unit: String,
}

const CLASSIC: Histograms = Histograms { native: false, classic_too: false };
const NATIVE: Histograms = Histograms { native: true, classic_too: false };
const BOTH: Histograms = Histograms { native: true, classic_too: true };

/// What a page tells, in words.
#[derive(Default)]
struct Told {
    lines: Vec<String>,
    histograms: Vec<nave_model::histogram::Histogram>,
}

impl Visit for Told {
    type Error = Error;

    fn family(&mut self, family: &Family<'_>) -> Result<(), Error> {
        let Family { name, kind, help, unit } = family;
        self.lines.push(format!("# {name} {kind} {help:?} {unit:?}"));
        Ok(())
    }

    fn sample(&mut self, sample: &Sample<'_>) -> Result<(), Error> {
        let labels = sample.labels().map_err(|why| Error::Family { family: String::new(), why })?;
        let mut line = match sample.value {
            Measured::Float(value) => format!("{labels} {value}"),
            Measured::Native(native) => {
                let why = |why| Error::Family { family: String::new(), why };
                self.histograms.push(native.decode().map_err(why)?);
                format!("{labels} native")
            }
        };
        if let Some(at) = sample.timestamp {
            line += &format!(" @{}", at.0);
        }
        if let Some(start) = sample.start_timestamp {
            line += &format!(" since {}", start.0);
        }
        for exemplar in sample.exemplars()? {
            line +=
                &format!(" # {} {} {:?}", exemplar.labels, exemplar.value, exemplar.timestamp.map(|at| at.0));
        }
        self.lines.push(line);
        Ok(())
    }
}

fn page(families: &[FamilyOf]) -> Vec<u8> {
    families.iter().flat_map(Message::encode_length_delimited_to_vec).collect()
}

fn told(page: &[u8], histograms: Histograms) -> Result<Told, Error> {
    let mut told = Told::default();
    read(page, histograms, &mut told).map(|()| told)
}

fn label(name: &str, value: &str) -> Label {
    Label { name: name.to_owned(), value: value.to_owned() }
}

fn exemplar(id: &str, value: f64, seconds: Option<i64>) -> Option<ExemplarOf> {
    let timestamp = seconds.map(|seconds| Time { seconds, nanos: 5_000_000 });
    Some(ExemplarOf { label: vec![label("trace_id", id)], value, timestamp })
}

fn family(name: &str, kind: i32, metric: MetricOf) -> FamilyOf {
    FamilyOf { name: name.to_owned(), kind, metric: vec![metric], ..FamilyOf::default() }
}

#[test]
fn counters_gauges_and_summaries() {
    let counter = CounterOf {
        value: 5.0,
        exemplar: exemplar("x", 0.5, None),
        created: Some(Time { seconds: 7, nanos: 9_999_999 }),
    };
    let counter = MetricOf {
        label: vec![label("b", "2"), label("a", "1")],
        counter: Some(counter),
        ..MetricOf::default()
    };
    let mut requests = family("http_requests_total", 0, counter);
    (requests.help, requests.unit) = ("Requests.".to_owned(), "requests".to_owned());
    let gauge =
        MetricOf { gauge: Some(GaugeOf { value: f64::NAN }), timestamp_ms: 12, ..MetricOf::default() };
    let quantiles = [(0.5, 3.0), (1.0, 4.0)].map(|(quantile, value)| QuantileOf { quantile, value });
    let summary = SummaryOf { count: 9, sum: 2.5, quantile: quantiles.to_vec() };
    let summary = MetricOf { summary: Some(summary), ..MetricOf::default() };
    let untyped = MetricOf { untyped: Some(GaugeOf { value: -1.0 }), ..MetricOf::default() };
    let page = page(&[
        requests,
        FamilyOf { name: "empty".to_owned(), ..FamilyOf::default() },
        family("temperature", 1, gauge),
        family("size", 2, summary),
        family("thing", 3, untyped),
    ]);
    let got = told(&page, NATIVE).unwrap().lines;
    let want = [
        "# http_requests_total counter \"Requests.\" \"requests\"",
        r#"{__name__="http_requests_total", a="1", b="2"} 5 since 7009 # {trace_id="x"} 0.5 None"#,
        "# temperature gauge \"\" \"\"",
        r#"{__name__="temperature"} NaN @12"#,
        "# size summary \"\" \"\"",
        r#"{__name__="size_count"} 9"#,
        r#"{__name__="size_sum"} 2.5"#,
        r#"{__name__="size", quantile="0.5"} 3"#,
        r#"{__name__="size", quantile="1.0"} 4"#,
        "# thing unknown \"\" \"\"",
        r#"{__name__="thing"} -1"#,
    ];
    assert_eq!(got, want);
}

fn native() -> HistogramOf {
    HistogramOf {
        count: 9,
        sum: 4.5,
        bucket: vec![
            BucketOf { count: 4, bound: 1.0, exemplar: exemplar("old", 0.1, Some(3)), ..BucketOf::default() },
            BucketOf {
                count: 8,
                bound: 2.0,
                exemplar: exemplar("untimed", 0.1, None),
                ..BucketOf::default()
            },
        ],
        schema: 3,
        zero_threshold: 0.001,
        zero_count: 2,
        positive_span: vec![SpanOf { offset: -1, length: 2 }, SpanOf { offset: 0, length: 1 }],
        positive_delta: vec![3, -3, 4],
        ..HistogramOf::default()
    }
}

#[test]
fn histograms_native_and_classic() {
    let metric = |histogram| MetricOf { histogram: Some(histogram), ..MetricOf::default() };
    let check = |histogram: HistogramOf, kind: i32, choice: Histograms, want: &[&str]| {
        let told = told(&page(&[family("h", kind, metric(histogram))]), choice).unwrap();
        assert_eq!(told.lines[1..], *want);
        told.histograms
    };
    let classic = [
        r#"{__name__="h_count"} 9"#,
        r#"{__name__="h_sum"} 4.5"#,
        r#"{__name__="h_bucket", le="1.0"} 4 # {trace_id="old"} 0.1 Some(3005)"#,
        r#"{__name__="h_bucket", le="2.0"} 8 # {trace_id="untimed"} 0.1 None"#,
        r#"{__name__="h_bucket", le="+Inf"} 9"#,
    ];
    let whole = r#"{__name__="h"} native # {trace_id="old"} 0.1 Some(3005)"#;
    check(native(), 4, CLASSIC, &classic);
    let got = check(native(), 4, NATIVE, &[whole]);
    let both: Vec<&str> = std::iter::once(whole).chain(classic).collect();
    check(native(), 4, BOTH, &both);
    assert_eq!((got[0].count, got[0].sum, got[0].schema, got[0].zero_count), (9.0, 4.5, 3, 2.0));
    assert_eq!(got[0].positive_spans, [Span { offset: -1, length: 1 }, Span { offset: 1, length: 1 }]);
    assert_eq!((&*got[0].positive_buckets, got[0].integer), (&[3.0, 4.0][..], true));
    let own = HistogramOf { exemplars: vec![exemplar("own", 0.2, Some(4)).unwrap()], ..native() };
    check(own, 4, NATIVE, &[r#"{__name__="h"} native # {trace_id="own"} 0.2 Some(4005)"#]);
    let gauge = check(native(), 5, NATIVE, &[whole]);
    assert_eq!(gauge[0].counter_reset_hint, CounterResetHint::Gauge);
    let float = HistogramOf {
        count_float: 1.5,
        sum: 1.0,
        positive_span: vec![SpanOf { offset: 0, length: 1 }],
        positive_count: vec![1.5],
        ..HistogramOf::default()
    };
    let float = check(float, 4, BOTH, &[r#"{__name__="h"} native"#]);
    assert_eq!((float[0].count, float[0].integer), (1.5, false));
    let empty = HistogramOf { positive_span: vec![SpanOf::default()], ..HistogramOf::default() };
    let empty = check(empty, 4, NATIVE, &[r#"{__name__="h"} native"#]);
    assert!(empty[0].positive_spans.is_empty());
}

#[test]
fn refusals() {
    let check = |page: &[u8], want: &str| {
        let error = told(page, NATIVE).map(|told| told.lines).unwrap_err().to_string();
        assert!(error.contains(want), "{error}");
    };
    let plain = |name: &str, kind: i32| family(name, kind, MetricOf::default());
    check(&[5, 1], "byte 0: expected a length within the message");
    check(b"<html>", "expected");
    check(&page(&[plain("", 0)]), "family \"\": the name is empty");
    check(&page(&[plain("a", 9)]), "family \"a\": unknown metric type 9");
    check(
        &page(&[FamilyOf { unit: "seconds".to_owned(), ..plain("a_second", 1) }]),
        "does not end in _seconds",
    );
    check(
        &page(&[FamilyOf { unit: "seconds".to_owned(), ..plain("seconds", 1) }]),
        "does not end in _seconds",
    );
    let twice = MetricOf { label: vec![label("a", "1"), label("a", "2")], ..MetricOf::default() };
    check(&page(&[family("x", 1, twice)]), "a");
    let odd = HistogramOf { positive_delta: vec![1], ..native() };
    let odd = MetricOf { histogram: Some(odd), ..MetricOf::default() };
    check(&page(&[family("x", 4, odd)]), "positive spans need 3 buckets, have 1 buckets");
}

#[test]
#[allow(clippy::print_stderr)] // a test that was skipped must be seen
fn a_page_of_a_real_program() {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/corpora");
    let root = std::env::var("NAVE_CORPORA").unwrap_or_else(|_| default.to_owned());
    let file = |name: &str| std::path::Path::new(&root).join("exposition/pages").join(name);
    let Ok(bytes) = std::fs::read(file("expfmt-protobuf")) else {
        assert!(std::env::var_os("CI").is_none(), "corpora not found at {root}");
        eprintln!("SKIPPED: corpora not found at {root}");
        return;
    };
    let lines = told(&bytes, NATIVE).unwrap().lines;
    let families = lines.iter().filter(|line| line.starts_with('#')).count();
    assert!(families > 30 && lines.len() > 100, "{families} families, {} lines", lines.len());
    assert!(lines.contains(&r#"{__name__="process_open_fds"} 18"#.to_owned()) || lines.len() > 200);
    let two = std::fs::read(file("expfmt-protobuf-multimessage")).unwrap();
    let lines = told(&two, NATIVE).unwrap().lines;
    assert!(lines.iter().filter(|line| line.starts_with('#')).count() >= 2, "{lines:?}");
}

proptest! {
    #[test]
    fn keys_are_those_of_labels(names in prop::collection::vec(("[a-c]", "[x-z]{0,2}"), 0..3), other in "[a-c]{1,2}") {
        let metric = |pairs: &[(String, String)]| MetricOf {
            label: pairs.iter().map(|(name, value)| label(name, value)).collect(),
            ..MetricOf::default()
        };
        struct Keys(Vec<(Vec<u8>, Result<nave_model::label::Labels, String>)>);
        impl Visit for Keys {
            type Error = Error;
            fn family(&mut self, _: &Family<'_>) -> Result<(), Error> {
                Ok(())
            }
            fn sample(&mut self, sample: &Sample<'_>) -> Result<(), Error> {
                self.0.push((sample.key.to_vec(), sample.labels()));
                Ok(())
            }
        }
        let mut keys = Keys(Vec::new());
        let families = [family("a", 4, metric(&names)), family("a", 2, metric(&names)), family(&other, 1, metric(&names))];
        read(&page(&families), NATIVE, &mut keys).unwrap();
        for (one, labels) in &keys.0 {
            for (two, others) in &keys.0 {
                prop_assert!(one != two || labels == others);
            }
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = told(&bytes, BOTH);
    }
}
