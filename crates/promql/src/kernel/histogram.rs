//! Native histograms: buckets with their bounds, sums and differences, resets, quantiles and moments.
//!
//! Counts are floats here. Results have no empty buckets. Files: [`bucket`] (indexes, bounds, spans),
//! [`combine`] (add, subtract), [`figure`] (what one histogram says), [`rate`] (over a window), [`total`]
//! (of many), [`trim`] (cut at a value).

mod bucket;
mod combine;
mod figure;
mod rate;
mod total;
mod trim;

use nave_model::histogram::{CounterResetHint, Histogram};

pub(crate) use bucket::same;
use combine::Combined;
pub(crate) use combine::{add, is_reset, subtract};
pub(crate) use figure::{average, fraction, has_nan_observations, quantile, text, variance};
pub(crate) use rate::{Remark, between, difference, edge_difference, last_difference, remark_types};
pub(crate) use total::Total;
pub(crate) use trim::trimmed;

/// All counts and the sum through `scale`.
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

/// All counts and the sum divided; by zero nothing is left of the buckets.
pub(crate) fn divided(histogram: &Histogram, divisor: f64) -> Histogram {
    let mut result = scaled(histogram, |count| count / divisor);
    if divisor == 0.0 {
        result.positive_spans.clear();
        result.positive_buckets.clear();
        result.negative_spans.clear();
        result.negative_buckets.clear();
    }
    result
}

/// `histogram` with the hint of a gauge.
pub(crate) fn as_gauge(mut histogram: Histogram) -> Histogram {
    histogram.counter_reset_hint = CounterResetHint::Gauge;
    histogram
}

#[cfg(test)]
mod tests;
