//! Differences of histograms over a window, for `rate`, `increase`, `delta`, `irate` and `idelta`.

use nave_model::histogram::{CounterResetHint, Histogram};

use super::combine::{Incompatible, add, is_reset, subtract};
use super::{as_gauge, scaled};

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

/// Last minus first, with resets added when they are a counter; `restarted` says of an index whether that
/// histogram began again by its start. With `from_zero`, the first one counts in full.
pub(crate) fn difference(
    histograms: &[&Histogram],
    counter: bool,
    (restarted, from_zero): (&dyn Fn(usize) -> bool, bool),
    remark: &mut impl FnMut(Remark),
) -> Option<Histogram> {
    let first = *histograms.first()?;
    let last = histograms[histograms.len() - 1];
    let is_reset = |at: usize| counter && (restarted(at) || is_reset(histograms[at], histograms[at - 1]));
    if counter && histograms.iter().any(|histogram| is_gauge(histogram)) {
        remark(Remark::NotCounter);
    }
    // A reset right after the first sample makes its layout irrelevant.
    let reset_at_once = histograms.len() > 1 && is_reset(1);
    let empty = empty_like(histograms[1.min(histograms.len() - 1)]);
    let base = if reset_at_once { &empty } else { first };
    let custom = base.has_custom_buckets();
    let middle = if counter { &histograms[1..] } else { &histograms[histograms.len() - 1..] };
    if middle.iter().any(|h| h.has_custom_buckets() != custom) {
        remark(Remark::MixedSchemas);
        return None;
    }
    let mut result = keep(subtract(last, base), true, remark)?;
    for at in (1 + usize::from(reset_at_once))..histograms.len() {
        if is_reset(at) {
            result = keep(add(&result, histograms[at - 1]), false, remark)?;
        }
    }
    if from_zero {
        result = keep(add(&result, first), false, remark)?;
    }
    if !counter && (!is_gauge(first) || !is_gauge(last)) {
        remark(Remark::NotGauge);
    }
    Some(as_gauge(result))
}

/// The histogram at `share` of the way from `a` to `b`; a counter that began again counts from zero.
pub(crate) fn between(
    a: &Histogram,
    b: &Histogram,
    share: f64,
    remark: &mut impl FnMut(Remark),
) -> Option<Histogram> {
    if a.has_custom_buckets() != b.has_custom_buckets() {
        remark(Remark::MixedSchemas);
        return None;
    }
    let counter = !is_gauge(a) && !is_gauge(b);
    if counter && is_reset(b, a) {
        return Some(scaled(b, |count| count * share));
    }
    let gained = scaled(&keep(subtract(b, a), true, remark)?, |count| count * share);
    keep(add(a, &gained), false, remark)
}

/// `right` minus `left`, plus what was lost at each reset.
pub(crate) fn edge_difference(
    (left, right): (&Histogram, &Histogram),
    lost: &[&Histogram],
    remark: &mut impl FnMut(Remark),
) -> Option<Histogram> {
    let mut result = keep(subtract(right, left), true, remark)?;
    for histogram in lost {
        result = keep(add(&result, histogram), false, remark)?;
    }
    Some(as_gauge(result))
}

/// Remarks on the types of the samples of a window.
pub(crate) fn remark_types(histograms: &[&Histogram], counter: bool, remark: &mut impl FnMut(Remark)) {
    let edges = [histograms.first(), histograms.last()];
    if counter && histograms.iter().any(|histogram| is_gauge(histogram)) {
        remark(Remark::NotCounter);
    } else if !counter && edges.into_iter().flatten().any(|histogram| !is_gauge(histogram)) {
        remark(Remark::NotGauge);
    }
}

/// Last minus the one before, or the last after a reset.
pub(crate) fn last_difference(
    previous: &Histogram,
    last: &Histogram,
    (counter, restarted): (bool, bool),
    remark: &mut impl FnMut(Remark),
) -> Option<Histogram> {
    if counter && (is_gauge(previous) || is_gauge(last)) {
        remark(Remark::NotCounter);
    }
    if !counter && (!is_gauge(previous) || !is_gauge(last)) {
        remark(Remark::NotGauge);
    }
    if counter && (restarted || is_reset(last, previous)) {
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
