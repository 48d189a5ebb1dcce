//! Native histograms: what is computed from one of them.

use nave_model::histogram::{CounterResetHint, Histogram};

/// Mean of the observations.
pub(crate) fn average(histogram: &Histogram) -> f64 {
    histogram.sum / histogram.count
}

/// All counts and the sum through `scale`; the result is a gauge, as upstream has it for negative factors.
pub(crate) fn scaled(histogram: &Histogram, scale: impl Fn(f64) -> f64) -> Histogram {
    let mut result = histogram.clone();
    result.integer = false;
    result.zero_count = scale(result.zero_count);
    result.count = scale(result.count);
    result.sum = scale(result.sum);
    let buckets = result.positive_buckets.iter_mut().chain(&mut result.negative_buckets);
    buckets.for_each(|count| *count = scale(*count));
    result
}

/// `histogram` with the hint of a gauge.
pub(crate) fn as_gauge(mut histogram: Histogram) -> Histogram {
    histogram.counter_reset_hint = CounterResetHint::Gauge;
    histogram
}
