//! The part of a histogram below or above a value.
//!
//! Buckets that the value cuts are divided as quantiles divide them. The sum of what is left is not
//! known; it is estimated from the middles of the buckets, unless nothing was cut off.

use nave_model::histogram::Histogram;

use super::bucket::{Bucket, pairs, spans};
use super::figure::{one_sided, share};

/// What of `histogram` lies below `value`, or above it.
pub(crate) fn trimmed(histogram: &Histogram, value: f64, above: bool) -> Histogram {
    let mut result = Histogram { integer: false, count: 0.0, sum: 0.0, ..histogram.clone() };
    let mut cut = false;
    let mut keep = |bucket: Bucket| {
        let kept = part(histogram, bucket, value, above);
        cut |= kept.count != bucket.count;
        if kept.count != 0.0 {
            result.count += kept.count;
            result.sum += kept.count * middle(histogram, kept);
        }
        kept.count
    };
    let positive = kept_pairs(histogram, false, &mut keep);
    let negative = kept_pairs(histogram, true, &mut keep);
    let threshold = histogram.zero_threshold;
    let zero = Bucket { lower: -threshold, upper: threshold, count: histogram.zero_count };
    let zero_count = if histogram.has_custom_buckets() { 0.0 } else { keep(zero) };
    if !cut {
        return histogram.clone();
    }
    (result.positive_spans, result.positive_buckets) = spans(&positive);
    (result.negative_spans, result.negative_buckets) = spans(&negative);
    result.zero_count = zero_count;
    result
}

fn kept_pairs(
    histogram: &Histogram,
    negative: bool,
    keep: &mut impl FnMut(Bucket) -> f64,
) -> Vec<(i32, f64)> {
    let (indexes, buckets): (_, Vec<Bucket>) = if negative {
        let indexes = pairs(&histogram.negative_spans, &histogram.negative_buckets);
        (indexes, super::bucket::negative(histogram).collect())
    } else {
        let indexes = pairs(&histogram.positive_spans, &histogram.positive_buckets);
        (indexes, super::bucket::positive(histogram).collect())
    };
    indexes.into_iter().zip(buckets).map(|((index, _), bucket)| (index, keep(bucket))).collect()
}

/// The part of `bucket` that is kept.
fn part(histogram: &Histogram, bucket: Bucket, value: f64, above: bool) -> Bucket {
    let zero = !histogram.has_custom_buckets() && bucket.lower <= 0.0 && bucket.upper >= 0.0;
    let endless = bucket.lower == f64::NEG_INFINITY && value.is_finite();
    if endless && (bucket.upper == f64::INFINITY || above && value < 0.0) {
        // Nothing is known of where observations lie in a bucket without a lower end.
        return Bucket { count: 0.0, ..bucket };
    }
    let mut whole = if zero { one_sided(histogram, bucket) } else { bucket };
    if histogram.has_custom_buckets() && whole.lower == f64::NEG_INFINITY && whole.upper > 0.0 {
        whole.lower = 0.0;
    }
    let below = if value >= whole.upper {
        1.0
    } else if value <= whole.lower {
        0.0
    } else {
        share(value, whole, zero || histogram.has_custom_buckets())
    };
    let count = whole.count * if above { 1.0 - below } else { below };
    let inside = value > whole.lower && value < whole.upper;
    match (inside, above) {
        (true, true) => Bucket { lower: value, count, ..whole },
        (true, false) => Bucket { upper: value, count, ..whole },
        _ => Bucket { count, ..whole },
    }
}

/// Where the observations of a bucket are taken to be.
fn middle(histogram: &Histogram, bucket: Bucket) -> f64 {
    let Bucket { lower, upper, .. } = bucket;
    if lower == f64::NEG_INFINITY {
        upper
    } else if upper == f64::INFINITY {
        lower
    } else if histogram.has_custom_buckets() || lower.abs().max(upper.abs()) <= histogram.zero_threshold {
        (lower + upper) / 2.0
    } else {
        (lower * upper).sqrt().copysign(lower)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nave_model::histogram::{CounterResetHint, Span};

    #[test]
    fn buckets_are_cut() {
        let histogram = Histogram {
            schema: 0,
            zero_threshold: 0.5,
            zero_count: 2.0,
            count: 12.0,
            sum: 100.0,
            positive_spans: vec![Span { offset: 1, length: 1 }],
            positive_buckets: vec![10.0],
            negative_spans: Vec::new(),
            negative_buckets: Vec::new(),
            custom_bounds: Vec::new(),
            counter_reset_hint: CounterResetHint::Unknown,
            integer: true,
        };
        let check = |value: f64, above: bool, zero: f64, bucket: f64, sum: f64| {
            let got = trimmed(&histogram, value, above);
            let buckets = got.positive_buckets.first().copied().unwrap_or(0.0);
            let same = |a: f64, b: f64| (a - b).abs() < 1e-9;
            assert!(
                same(got.zero_count, zero) && same(buckets, bucket) && same(got.sum, sum),
                "{value} {above}: {got:?}"
            );
        };
        check(f64::INFINITY, false, 2.0, 10.0, 100.0);
        check(f64::INFINITY, true, 0.0, 0.0, 0.0);
        check(0.25, false, 1.0, 0.0, 0.125);
        check(0.25, true, 1.0, 10.0, 0.375 + 10.0 * 2_f64.sqrt());
        check(2_f64.sqrt(), true, 0.0, 5.0, 5.0 * 2_f64.powf(0.75));
    }
}
