//! Native histograms in JSON: count, sum and the buckets that are not empty.

use nave_model::histogram::{CUSTOM_BUCKETS_SCHEMA, Histogram, Span};

use crate::json;

/// A bucket with absolute bounds.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Bucket {
    lower: f64,
    upper: f64,
    lower_inclusive: bool,
    upper_inclusive: bool,
    count: f64,
}

impl Bucket {
    /// Upstream's code for which ends are inside.
    fn boundaries(&self) -> u8 {
        match (self.lower_inclusive, self.upper_inclusive) {
            (false, true) => 0,
            (true, false) => 1,
            (false, false) => 2,
            (true, true) => 3,
        }
    }
}

/// Adds `{"count":"..","sum":"..","buckets":[[code,"lower","upper","count"],..]}`.
pub(crate) fn histogram(out: &mut String, histogram: &Histogram) {
    out.push_str("{\"count\":");
    json::float(out, histogram.count);
    out.push_str(",\"sum\":");
    json::float(out, histogram.sum);
    let buckets: Vec<Bucket> = buckets(histogram).into_iter().filter(|bucket| bucket.count != 0.0).collect();
    if !buckets.is_empty() {
        out.push_str(",\"buckets\":[");
        json::separated(out, &buckets, |out, bucket| {
            out.push_str(&format!("[{},", bucket.boundaries()));
            json::separated(out, [bucket.lower, bucket.upper, bucket.count], json::float);
            out.push(']');
        });
        out.push(']');
    }
    out.push('}');
}

/// All buckets, ascending.
fn buckets(histogram: &Histogram) -> Vec<Bucket> {
    let zero = histogram.zero_threshold;
    let mut all: Vec<Bucket> = indexed(&histogram.negative_spans, &histogram.negative_buckets)
        .map(|(index, count)| {
            let (lower, upper) = (-histogram.upper_bound(index), -histogram.lower_bound(index));
            // The zero bucket takes what overlaps with it.
            let upper = if upper < 0.0 && upper > -zero { -zero } else { upper };
            Bucket { lower, upper, lower_inclusive: lower < 0.0, upper_inclusive: upper > 0.0, count }
        })
        .collect();
    all.reverse();
    // A difference of histograms may have less than nothing in it, which upstream does not show.
    if histogram.zero_count > 0.0 {
        let (lower, upper, count) = (-zero, zero, histogram.zero_count);
        all.push(Bucket { lower, upper, lower_inclusive: true, upper_inclusive: true, count });
    }
    all.extend(indexed(&histogram.positive_spans, &histogram.positive_buckets).map(|(index, count)| {
        let (lower, upper) = (histogram.lower_bound(index), histogram.upper_bound(index));
        let lower = if lower > 0.0 && lower < zero { zero } else { lower };
        let (lower_inclusive, upper_inclusive) = match histogram.schema {
            CUSTOM_BUCKETS_SCHEMA => (index == 0, true),
            _ => (lower < 0.0, upper > 0.0),
        };
        Bucket { lower, upper, lower_inclusive, upper_inclusive, count }
    }));
    all
}

/// Bucket indexes with counts. Spans that name more buckets than there are end with them.
fn indexed<'a>(spans: &'a [Span], counts: &'a [f64]) -> impl Iterator<Item = (i32, f64)> + 'a {
    let indexes = spans.iter().scan(0i32, |next, span| {
        let start = next.saturating_add(span.offset);
        let end = start.saturating_add_unsigned(span.length);
        *next = end;
        Some(start..end)
    });
    indexes.flatten().zip(counts.iter().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base() -> Histogram {
        Histogram {
            schema: 0,
            zero_threshold: 0.001,
            zero_count: 2.0,
            count: 10.0,
            sum: 3.5,
            positive_spans: vec![Span { offset: 0, length: 2 }, Span { offset: 1, length: 1 }],
            positive_buckets: vec![1.0, 0.0, 4.0],
            negative_spans: vec![Span { offset: 1, length: 2 }],
            negative_buckets: vec![1.0, 2.0],
            custom_bounds: Vec::new(),
            counter_reset_hint: Default::default(),
            integer: true,
        }
    }

    fn check(given: &Histogram, expect: &str) {
        let mut out = String::new();
        histogram(&mut out, given);
        assert_eq!(out, expect);
    }

    #[test]
    fn buckets_ascend_and_empty_ones_are_left_out() {
        check(
            &base(),
            r#"{"count":"10","sum":"3.5","buckets":[[1,"-4","-2","2"],[1,"-2","-1","1"],[3,"-0.001","0.001","2"],[0,"0.5","1","1"],[0,"4","8","4"]]}"#,
        );
        let empty =
            Histogram { positive_buckets: vec![], negative_buckets: vec![], zero_count: 0.0, ..base() };
        check(&empty, r#"{"count":"10","sum":"3.5"}"#);
        let custom = Histogram {
            schema: CUSTOM_BUCKETS_SCHEMA,
            custom_bounds: vec![5.0, 10.0],
            zero_count: 0.0,
            positive_spans: vec![Span { offset: 0, length: 3 }],
            positive_buckets: vec![1.0, 2.0, 3.0],
            negative_buckets: vec![],
            ..base()
        };
        check(
            &custom,
            r#"{"count":"10","sum":"3.5","buckets":[[3,"-Inf","5","1"],[0,"5","10","2"],[0,"10","+Inf","3"]]}"#,
        );
    }
}
