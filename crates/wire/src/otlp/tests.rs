//! Requests against the series they become.

use std::fmt::Write as _;

use nave_model::label::Labels;
use proptest::prelude::*;

use super::*;
use crate::write_v1::encode::{put_bytes, put_double, put_int64, put_tag};

/// A message in the making.
#[derive(Clone, Default)]
struct Message(Vec<u8>);

impl Message {
    fn int(mut self, number: u32, value: i64) -> Self {
        put_int64(&mut self.0, number, value);
        self
    }

    fn zigzag(self, number: u32, value: i64) -> Self {
        self.int(number, (value << 1) ^ (value >> 63))
    }

    fn double(mut self, number: u32, value: f64) -> Self {
        put_double(&mut self.0, number, value);
        self
    }

    fn fixed(mut self, number: u32, value: u64) -> Self {
        put_tag(&mut self.0, number, 1);
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    fn bytes(mut self, number: u32, value: &[u8]) -> Self {
        put_bytes(&mut self.0, number, value);
        self
    }

    fn text(self, number: u32, value: &str) -> Self {
        self.bytes(number, value.as_bytes())
    }

    fn with(self, number: u32, value: &Self) -> Self {
        self.bytes(number, &value.0)
    }

    fn attribute(self, number: u32, key: &str, value: &Self) -> Self {
        self.with(number, &new().text(1, key).with(2, value))
    }

    fn label(self, number: u32, key: &str, value: &str) -> Self {
        self.attribute(number, key, &new().text(1, value))
    }
}

fn new() -> Message {
    Message::default()
}

const MS: u64 = 1_000_000;

fn number(value: f64) -> Message {
    new().fixed(2, 1_000 * MS).fixed(3, 5_000 * MS).double(4, value)
}

/// One metric of a type's field, points and the fields of the type beside them.
fn metric(name: &str, unit: &str, field: u32, points: &[Message], more: &Message) -> Message {
    let kind = points.iter().fold(more.clone(), |kind, point| kind.with(1, point));
    new().text(1, name).text(2, "Help.").text(3, unit).with(field, &kind)
}

fn cumulative() -> Message {
    new().int(2, 2)
}

fn request(resource: &Message, metrics: &[Message]) -> Vec<u8> {
    let scope = new().text(1, "scope").text(2, "1.0").label(3, "some.thing", "x");
    let scoped = metrics.iter().fold(new().with(1, &scope), |all, metric| all.with(2, metric));
    new().with(1, &new().with(1, resource).with(2, &scoped)).0
}

fn identity() -> Message {
    new().label(1, "service.name", "shop").label(1, "service.namespace", "eu").label(
        1,
        "service.instance.id",
        "i1",
    )
}

fn lines(body: &[u8], settings: &Settings) -> (Vec<String>, Refused) {
    let Translated { batch, refused } =
        decode(body, settings, Arc::new(Principal::anonymous("test")), 1 << 20).unwrap();
    let mut lines = Vec::new();
    for series in &batch.series {
        let mut line = Labels::from_bytes(batch.label_bytes(series)).unwrap().to_string();
        for (at, value) in batch.samples(series) {
            let _ = write!(line, " {value}@{}", at.0);
        }
        for sample in &batch.histograms[series.histograms.start as usize..series.histograms.end as usize] {
            let h = &sample.histogram;
            let spans: Vec<_> = h.positive_spans.iter().map(|span| (span.offset, span.length)).collect();
            let _ = write!(
                line,
                " schema {} count {} sum {} zero {} {spans:?} {:?} {:?}@{}",
                h.schema,
                h.count,
                h.sum,
                h.zero_count,
                h.positive_buckets,
                h.custom_bounds,
                sample.timestamp.0
            );
        }
        for exemplar in &batch.exemplars[series.exemplars.start as usize..series.exemplars.end as usize] {
            let _ = write!(line, " # {} {}", exemplar.labels, exemplar.value);
        }
        lines.push(line);
    }
    (lines, refused)
}

fn check(body: &[u8], settings: &Settings, want: &[&str]) {
    assert_eq!(lines(body, settings).0, want);
}

#[test]
fn gauges_and_sums() {
    let exemplar = new().fixed(2, 4_000 * MS).double(3, 0.5).bytes(5, &[0xab; 16]).label(7, "user", "u");
    let gauge = metric("used", "1", 5, &[number(0.25).label(7, "http.method", "GET")], &new());
    let counter = metric("requests", "", 7, &[number(7.0).with(5, &exemplar)], &cumulative().int(3, 1));
    let down = new().fixed(3, 6_000 * MS).fixed(6, (-3i64) as u64);
    let updown = metric("queue.length", "{items}", 7, &[down], &cumulative());
    let gone = new().fixed(3, 5_000 * MS).int(8, 1);
    let gone = metric("gone", "", 5, &[gone], &new());
    let id = "abababababababababababababababab";
    check(
        &request(&identity(), &[gauge, counter, updown, gone]),
        &Settings::default(),
        &[
            r#"{__name__="used_ratio", http_method="GET", instance="i1", job="eu/shop"} 0.25@5000"#,
            &format!(
                r#"{{__name__="requests_total", instance="i1", job="eu/shop"}} 7@5000 # {{trace_id="{id}", user="u"}} 0.5"#
            ),
            r#"{__name__="queue_length", instance="i1", job="eu/shop"} -3@6000"#,
            r#"{__name__="gone", instance="i1", job="eu/shop"} NaN@5000"#,
        ],
    );
}

#[test]
fn resources_and_scopes() {
    let resource = identity().label(1, "host.name", "h").label(1, "os", "linux");
    let body = request(&resource, &[metric("m", "", 5, &[number(1.0)], &new())]);
    let point = |more: &str| format!(r#"{{__name__="m", {more}instance="i1", job="eu/shop"}} 1@5000"#);
    let info = r#"{__name__="target_info", host_name="h", instance="i1", job="eu/shop", os="linux"} 1@5000"#;
    check(&body, &Settings::default(), &[&point(""), info]);
    let only = Promote::Only(BTreeSet::from(["host.name".to_owned()]));
    check(&body, &Settings { promote: only, ..Settings::default() }, &[&point(r#"host_name="h", "#), info]);
    let all = Promote::AllBut(
        ["service.name", "service.namespace", "service.instance.id", "os"].map(str::to_owned).into(),
    );
    check(&body, &Settings { promote: all, ..Settings::default() }, &[&point(r#"host_name="h", "#), info]);
    let keep = Settings { keep_identifying: true, ..Settings::default() };
    let kept = r#"{__name__="target_info", host_name="h", instance="i1", job="eu/shop", os="linux", service_instance_id="i1", service_name="shop", service_namespace="eu"} 1@5000"#;
    check(&body, &keep, &[&point(""), kept]);
    let scope = Settings { promote_scope: true, ..Settings::default() };
    let scoped = r#"{__name__="m", instance="i1", job="eu/shop", otel_scope_name="scope", otel_scope_some_thing="x", otel_scope_version="1.0"} 1@5000"#;
    check(&body, &scope, &[scoped, info]);
    // Two points ten minutes apart: target_info is found at any time between.
    let late = new().fixed(3, 605_000 * MS);
    let far = request(&resource, &[metric("m", "", 5, &[number(1.0), late], &new())]);
    let (got, _) = lines(&far, &Settings::default());
    assert!(got[2].ends_with(" 1@5000 1@155000 1@305000 1@455000 1@605000"), "{}", got[2]);
    let bare = request(&new().label(1, "os", "linux"), &[metric("m", "", 5, &[number(1.0)], &new())]);
    check(&bare, &Settings::default(), &[r#"{__name__="m"} 1@5000"#]);
}

#[test]
fn attributes_of_all_types() {
    let list = new().with(5, &new().with(1, &new().text(1, "a\"<")).with(1, &new().int(3, 2)));
    let map = new().with(6, &new().label(1, "b", "x").attribute(1, "a", &new().double(4, 1e21)));
    let point = number(1.0)
        .attribute(7, "bool", &new().int(2, 1))
        .attribute(7, "int", &new().int(3, -5))
        .attribute(7, "double", &new().double(4, 0.5))
        .attribute(7, "bytes", &new().bytes(7, &[1, 2, 3]))
        .attribute(7, "list", &list)
        .attribute(7, "map", &map)
        .label(7, "x.y", "1")
        .label(7, "x_y", "2")
        .attribute(7, "unset", &new());
    let body = request(&new(), &[metric("m", "", 5, &[point], &new())]);
    let labels = r#"{__name__="m", bool="true", bytes="AQID", double="0.5", int="-5", list="[\"a\\\"\\u003c\",2]", map="{\"a\":1e+21,\"b\":\"x\"}", x_y="1;2"} 1@5000"#;
    check(&body, &Settings::default(), &[labels]);
    let deep = (0..20).fold(new().text(1, "x"), |inner, _| new().with(5, &new().with(1, &inner)));
    let body = request(&new(), &[metric("m", "", 5, &[number(1.0).attribute(7, "deep", &deep)], &new())]);
    let error =
        decode(&body, &Settings::default(), Arc::new(Principal::anonymous("t")), 1 << 20).unwrap_err();
    assert!(error.to_string().contains("nests less deep"), "{error}");
}

fn explicit() -> Message {
    let counts = [1u64, 0, 2].iter().flat_map(|count| count.to_le_bytes()).collect::<Vec<_>>();
    let bounds = [0.5f64, 10.0].iter().flat_map(|bound| bound.to_le_bytes()).collect::<Vec<_>>();
    let exemplar = |value| new().fixed(2, 4_000 * MS).double(3, value).label(7, "id", "e");
    let point = new().fixed(2, 1_000 * MS).fixed(3, 5_000 * MS).fixed(4, 3).double(5, 21.5);
    point.bytes(6, &counts).bytes(7, &bounds).with(8, &exemplar(99.0)).with(8, &exemplar(0.1))
}

#[test]
fn histograms_and_summaries() {
    let body = request(&new(), &[metric("d", "s", 9, &[explicit()], &cumulative())]);
    check(
        &body,
        &Settings::default(),
        &[
            r#"{__name__="d_seconds_sum"} 21.5@5000"#,
            r#"{__name__="d_seconds_count"} 3@5000"#,
            r#"{__name__="d_seconds_bucket", le="0.5"} 1@5000 # {id="e"} 0.1"#,
            r#"{__name__="d_seconds_bucket", le="10"} 1@5000"#,
            r#"{__name__="d_seconds_bucket", le="+Inf"} 3@5000 # {id="e"} 99"#,
        ],
    );
    let nhcb = Settings { convert_histograms: true, ..Settings::default() };
    let want = r#"{__name__="d_seconds"} schema -53 count 3 sum 21.5 zero 0 [(0, 3)] [1.0, 0.0, 2.0] [0.5, 10.0]@5000 # {id="e"} 99 # {id="e"} 0.1"#;
    check(&body, &nhcb, &[want]);
    let buckets = new().zigzag(1, -1).bytes(2, &[1, 0, 0, 0, 2]);
    let exponential = |scale| {
        new().fixed(3, 5_000 * MS).fixed(4, 5).double(5, 4.0).zigzag(6, scale).fixed(7, 2).with(8, &buckets)
    };
    let body = |scale| request(&new(), &[metric("e", "", 10, &[exponential(scale)], &cumulative())]);
    let want = r#"{__name__="e"} schema 3 count 5 sum 4 zero 2 [(0, 1), (3, 1)] [1.0, 2.0] []@5000"#;
    check(&body(3), &Settings::default(), &[want]);
    // Two finer than there is: four buckets become one.
    let want = r#"{__name__="e"} schema 8 count 5 sum 4 zero 2 [(0, 2)] [1.0, 2.0] []@5000"#;
    check(&body(10), &Settings::default(), &[want]);
    let (got, refused) = lines(&body(-5), &Settings::default());
    assert!(
        got.is_empty() && refused.points == 1 && refused.reasons[0].contains("Scale must be >= -4, was -5")
    );
    let quantile = new().double(1, 0.5).double(2, 7.0);
    let summary = new().fixed(3, 5_000 * MS).fixed(4, 2).double(5, 9.0).with(6, &quantile);
    check(
        &request(&new(), &[metric("s", "ms", 11, &[summary], &new())]),
        &Settings::default(),
        &[
            r#"{__name__="s_milliseconds_sum"} 9@5000"#,
            r#"{__name__="s_milliseconds_count"} 2@5000"#,
            r#"{__name__="s_milliseconds", quantile="0.5"} 7@5000"#,
        ],
    );
}

#[test]
fn what_is_left_out_is_told() {
    let delta = metric("delta", "", 7, &[number(1.0), number(2.0)], &new().int(2, 1).int(3, 1));
    let empty = metric("empty", "", 5, &[], &new());
    let good = metric("good", "", 5, &[number(1.0)], &new());
    let (got, refused) = lines(&request(&new(), &[delta, empty, good]), &Settings::default());
    assert_eq!(got, [r#"{__name__="good"} 1@5000"#]);
    assert_eq!(refused.points, 2);
    assert_eq!(
        refused.reasons,
        [
            "invalid temporality and type combination for metric \"delta\"",
            "empty data points. empty is dropped"
        ]
    );
    assert!(response(&Refused::default()).is_empty());
    let answer = String::from_utf8_lossy(&response(&refused)).into_owned();
    assert!(answer.contains("delta"), "{answer}");
}

#[test]
fn bounds() {
    let check = |body: &[u8], limit: usize, want: &str| {
        let error =
            decode(body, &Settings::default(), Arc::new(Principal::anonymous("t")), limit).unwrap_err();
        assert!(error.to_string().contains(want), "{error}");
    };
    check(b"\x0a\x05abc", 100, "a length within the message");
    let resource = identity().label(1, "os", &"x".repeat(500));
    let many = vec![number(1.0); 20];
    let body = request(&resource, &[metric("m", "", 5, &many, &new())]);
    check(&body, 1_000, "all labels written out");
    let huge = new().fixed(3, 1).bytes(6, &vec![0; (1 << 20) + 8]);
    check(&request(&new(), &[metric("h", "", 9, &[huge], &cumulative())]), 1 << 20, "a histogram point");
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(mut bytes in prop::collection::vec(any::<u8>(), 0..300), at in 0usize..400) {
        let settings = Settings { promote: Promote::AllBut(BTreeSet::new()), promote_scope: true, ..Settings::default() };
        let _ = decode(&bytes, &settings, Arc::new(Principal::anonymous("t")), 1 << 16);
        // And a good request with a piece of it broken.
        let mut body = request(&identity(), &[metric("d", "s", 9, &[explicit()], &cumulative())]);
        bytes.truncate(3);
        for (to, from) in body.iter_mut().skip(at).zip(bytes) {
            *to = from;
        }
        let _ = decode(&body, &settings, Arc::new(Principal::anonymous("t")), 1 << 16);
    }
}
