//! What one histogram says: mean, variance, quantiles, fractions, and its text.

use nave_model::histogram::Histogram;

use super::bucket::{Bucket, all, negative, positive};
use crate::kernel::logarithm::log2;
use crate::kernel::sum::Sum;

/// Mean of the observations.
pub(crate) fn average(histogram: &Histogram) -> f64 {
    histogram.sum / histogram.count
}

/// Variance, each observation taken as the middle of its bucket.
pub(crate) fn variance(histogram: &Histogram) -> f64 {
    let mean = average(histogram);
    let mut squares = Sum::default();
    for bucket in all(histogram).into_iter().filter(|bucket| bucket.count != 0.0) {
        let middle = if histogram.has_custom_buckets() {
            (bucket.upper + bucket.lower) / 2.0
        } else if bucket.lower <= 0.0 && bucket.upper >= 0.0 {
            0.0
        } else {
            (bucket.upper * bucket.lower).sqrt().copysign(bucket.upper)
        };
        let delta = middle - mean;
        squares = squares.plus(bucket.count * delta * delta);
    }
    (squares.value + squares.rest) / histogram.count
}

/// The `q` quantile: linear inside custom buckets and the zero bucket, else on a logarithmic scale.
pub(crate) fn quantile(q: f64, histogram: &Histogram) -> f64 {
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    if histogram.count == 0.0 || q.is_nan() {
        return f64::NAN;
    }
    // NaN observations are in no bucket, so that ranks count from below only.
    let forward = histogram.sum.is_nan() || q < 0.5;
    let mut buckets = all(histogram);
    if !forward {
        buckets.reverse();
    }
    let mut rank = if forward { q * histogram.count } else { (1.0 - q) * histogram.count };
    let mut count = 0.0;
    let mut found = Bucket { lower: 0.0, upper: 0.0, count: 0.0 };
    for bucket in buckets.into_iter().filter(|bucket| bucket.count != 0.0) {
        count += bucket.count;
        found = bucket;
        if count >= rank {
            break;
        }
    }
    if histogram.has_custom_buckets() {
        if found.lower == f64::NEG_INFINITY {
            if found.upper <= 0.0 {
                return found.upper;
            }
            found.lower = 0.0;
        } else if found.upper == f64::INFINITY {
            return found.lower;
        }
    } else if found.lower < 0.0 && found.upper > 0.0 {
        found = one_sided(histogram, found);
    }
    let count = count.min(histogram.count);
    if count < rank {
        return if histogram.sum.is_nan() { f64::NAN } else { found.upper };
    }
    rank = if forward { rank - (count - found.count) } else { count - rank };
    interpolate(histogram, found, rank / found.count)
}

/// The zero bucket of a histogram that has buckets on one side only.
pub(super) fn one_sided(histogram: &Histogram, zero: Bucket) -> Bucket {
    match (histogram.negative_buckets.is_empty(), histogram.positive_buckets.is_empty()) {
        (true, false) => Bucket { lower: 0.0, ..zero },
        (false, true) => Bucket { upper: 0.0, ..zero },
        _ => zero,
    }
}

fn interpolate(histogram: &Histogram, bucket: Bucket, fraction: f64) -> f64 {
    let Bucket { lower, upper, .. } = bucket;
    if histogram.has_custom_buckets() || (lower <= 0.0 && upper >= 0.0) {
        return lower + (upper - lower) * fraction;
    }
    let (log_lower, log_upper) = (log2(lower.abs()), log2(upper.abs()));
    if lower > 0.0 {
        (log_lower + (log_upper - log_lower) * fraction).exp2()
    } else {
        -(log_upper + (log_lower - log_upper) * (1.0 - fraction)).exp2()
    }
}

/// The share of observations between `lower` and `upper`.
pub(crate) fn fraction(lower: f64, upper: f64, histogram: &Histogram) -> f64 {
    if histogram.count == 0.0 || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    let buckets = all(histogram);
    let counted = if histogram.sum.is_nan() {
        buckets.iter().fold(0.0, |sum, bucket| sum + bucket.count)
    } else {
        histogram.count
    };
    let rank = |value| rank_of(value, histogram, &buckets).unwrap_or(counted).min(counted);
    (rank(upper) - rank(lower)) / histogram.count
}

fn rank_of(value: f64, histogram: &Histogram, buckets: &[Bucket]) -> Option<f64> {
    let mut rank = 0.0;
    for bucket in buckets {
        let mut bucket = *bucket;
        let zero = !histogram.has_custom_buckets() && bucket.lower <= 0.0 && bucket.upper >= 0.0;
        if zero {
            bucket = one_sided(histogram, bucket);
        } else if histogram.has_custom_buckets() && bucket.lower == f64::NEG_INFINITY && bucket.upper > 0.0 {
            bucket.lower = 0.0;
        }
        if bucket.lower >= value {
            return Some(rank);
        }
        if bucket.upper > value {
            return Some(rank + bucket.count * share(value, bucket, zero || histogram.has_custom_buckets()));
        }
        rank += bucket.count;
    }
    None
}

/// How much of `bucket` lies below `value`.
pub(super) fn share(value: f64, bucket: Bucket, linear: bool) -> f64 {
    let Bucket { lower, upper, .. } = bucket;
    if linear {
        // Nothing is known of where observations lie in a bucket without an end.
        return match (lower == f64::NEG_INFINITY, upper == f64::INFINITY) {
            (true, _) => 1.0,
            (_, true) => 0.0,
            _ => (value - lower) / (upper - lower),
        };
    }
    let (log_lower, log_upper, log_value) = (log2(lower.abs()), log2(upper.abs()), log2(value.abs()));
    if value < 0.0 {
        1.0 - (log_value - log_upper) / (log_lower - log_upper)
    } else {
        (log_value - log_lower) / (log_upper - log_lower)
    }
}

/// As upstream prints it: `{count:3, sum:5, (1,2]:3}`; `number` writes the figures.
pub(crate) fn text(histogram: &Histogram, number: impl Fn(f64) -> String) -> String {
    let mut text = format!("{{count:{}, sum:{}", number(histogram.count), number(histogram.sum));
    let mut put = |open: char, bucket: Bucket, close: char| {
        if bucket.count != 0.0 {
            let (lower, upper) = (number(bucket.lower), number(bucket.upper));
            text.push_str(&format!(", {open}{lower},{upper}{close}:{}", number(bucket.count)));
        }
    };
    let mut below: Vec<Bucket> = negative(histogram).collect();
    below.reverse();
    below.into_iter().for_each(|bucket| put('[', bucket, ')'));
    let threshold = histogram.zero_threshold;
    put('[', Bucket { lower: -threshold, upper: threshold, count: histogram.zero_count }, ']');
    // The first custom bucket has no lower end; upstream shows minus infinity as part of it.
    let open = |bucket: &Bucket| if bucket.lower == f64::NEG_INFINITY { '[' } else { '(' };
    positive(histogram).for_each(|bucket| put(open(&bucket), bucket, ']'));
    text.push('}');
    text
}

/// Whether some observations are in no bucket, which only NaN can be.
pub(crate) fn has_nan_observations(histogram: &Histogram) -> bool {
    histogram.sum.is_nan()
        && all(histogram).iter().fold(0.0, |sum, bucket| sum + bucket.count) < histogram.count
}
