//! Differences of histograms over a window, for `rate`, `increase`, `delta`, `irate` and `idelta`.

use nave_model::histogram::{CounterResetHint, Histogram};

use super::as_gauge;
use super::bucket::is_custom;
use super::combine::{Incompatible, add, is_reset, subtract};

/// What upstream remarks on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Remark {
    NotCounter,
    NotGauge,
    /// Custom bounds were reconciled in an addition or a subtraction.
    Reconciled {
        subtraction: bool,
    },
    /// Exponential and custom layouts; there is no result.
    MixedSchemas,
}

fn is_gauge(histogram: &Histogram) -> bool {
    histogram.counter_reset_hint == CounterResetHint::Gauge
}

/// Last minus first of at least two histograms, with resets added when they are a counter.
pub(crate) fn difference(
    histograms: &[&Histogram],
    counter: bool,
    remark: &mut impl FnMut(Remark),
) -> Option<Histogram> {
    let [first, second, ..] = histograms else { return None };
    let last = histograms[histograms.len() - 1];
    if counter && histograms.iter().any(|histogram| is_gauge(histogram)) {
        remark(Remark::NotCounter);
    }
    // A reset right after the first sample makes its layout irrelevant.
    let empty;
    let mut previous = *first;
    if counter && is_reset(second, first) {
        empty = empty_like(second);
        previous = &empty;
    }
    let custom = is_custom(previous);
    let middle = if counter { &histograms[1..] } else { &histograms[histograms.len() - 1..] };
    if middle.iter().any(|h| is_custom(h) != custom) {
        remark(Remark::MixedSchemas);
        return None;
    }
    let mut result = keep(subtract(last, previous), true, remark)?;
    if counter {
        for current in &histograms[1..] {
            if is_reset(current, previous) {
                result = keep(add(&result, previous), false, remark)?;
            }
            previous = current;
        }
    } else if !is_gauge(first) || !is_gauge(last) {
        remark(Remark::NotGauge);
    }
    Some(as_gauge(result))
}

/// Last minus the one before, or the last after a reset.
pub(crate) fn last_difference(
    previous: &Histogram,
    last: &Histogram,
    counter: bool,
    remark: &mut impl FnMut(Remark),
) -> Option<Histogram> {
    if counter && (is_gauge(previous) || is_gauge(last)) {
        remark(Remark::NotCounter);
    }
    if !counter && (!is_gauge(previous) || !is_gauge(last)) {
        remark(Remark::NotGauge);
    }
    if counter && is_reset(last, previous) {
        return Some(as_gauge(last.clone()));
    }
    keep(subtract(last, previous), true, remark).map(as_gauge)
}

fn keep(
    combined: Result<super::Combined, Incompatible>,
    subtraction: bool,
    remark: &mut impl FnMut(Remark),
) -> Option<Histogram> {
    let Ok(combined) = combined else {
        remark(Remark::MixedSchemas);
        return None;
    };
    if combined.bounds_reconciled {
        remark(Remark::Reconciled { subtraction });
    }
    Some(combined.histogram)
}

fn empty_like(histogram: &Histogram) -> Histogram {
    Histogram {
        zero_threshold: 0.0,
        zero_count: 0.0,
        count: 0.0,
        sum: 0.0,
        positive_spans: Vec::new(),
        positive_buckets: Vec::new(),
        negative_spans: Vec::new(),
        negative_buckets: Vec::new(),
        counter_reset_hint: CounterResetHint::Unknown,
        ..histogram.clone()
    }
}
