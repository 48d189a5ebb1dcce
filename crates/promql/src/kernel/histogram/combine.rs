//! Sums and differences of two histograms, and whether one is a reset of the other.
//!
//! Layouts are brought together first: the coarser of two exponential schemas, the bounds that two
//! custom layouts share, the wider zero bucket. Exponential and custom layouts do not mix.

use std::collections::BTreeMap;

use nave_model::histogram::{CounterResetHint, Histogram, exponential_bound};

use super::bucket::{Pairs, negative, pairs, positive, spans};

/// One histogram has exponential and the other custom buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Incompatible;

/// The result of an operation and what was odd about it.
#[derive(Debug, Clone)]
pub(crate) struct Combined {
    pub(crate) histogram: Histogram,
    /// One said "reset" and the other "no reset".
    pub(crate) hints_collide: bool,
    /// Custom bounds differed.
    pub(crate) bounds_reconciled: bool,
}

/// `a + b`
pub(crate) fn add(a: &Histogram, b: &Histogram) -> Result<Combined, Incompatible> {
    combine(a, b, |x, y| x + y)
}

/// `a - b`
pub(crate) fn subtract(a: &Histogram, b: &Histogram) -> Result<Combined, Incompatible> {
    combine(a, b, |x, y| x - y)
}

fn combine(a: &Histogram, b: &Histogram, with: impl Fn(f64, f64) -> f64) -> Result<Combined, Incompatible> {
    let (mut a, mut b, bounds_reconciled) = aligned(a, b)?;
    let (hint, hints_collide) = combined_hint(a.counter_reset_hint, b.counter_reset_hint);
    if !a.has_custom_buckets() {
        widen_zero_buckets(&mut a, &mut b);
    }
    let mut histogram = a.clone();
    histogram.integer = false;
    histogram.counter_reset_hint = hint;
    histogram.zero_count = with(a.zero_count, b.zero_count);
    histogram.count = with(a.count, b.count);
    histogram.sum = with(a.sum, b.sum);
    let merged = |a: Pairs, b: Pairs| {
        let mut all: BTreeMap<i32, f64> = a.into_iter().collect();
        for (index, count) in b {
            let total = all.entry(index).or_default();
            *total = with(*total, count);
        }
        spans(&all.into_iter().collect::<Vec<_>>())
    };
    (histogram.positive_spans, histogram.positive_buckets) = merged(positive_pairs(&a), positive_pairs(&b));
    (histogram.negative_spans, histogram.negative_buckets) = merged(negative_pairs(&a), negative_pairs(&b));
    Ok(Combined { histogram, hints_collide, bounds_reconciled })
}

pub(super) fn positive_pairs(histogram: &Histogram) -> Pairs {
    pairs(&histogram.positive_spans, &histogram.positive_buckets)
}

pub(super) fn negative_pairs(histogram: &Histogram) -> Pairs {
    pairs(&histogram.negative_spans, &histogram.negative_buckets)
}

pub(super) fn combined_hint(a: CounterResetHint, b: CounterResetHint) -> (CounterResetHint, bool) {
    use CounterResetHint::{Gauge, Unknown};
    match (a, b) {
        (a, b) if a == b => (a, false),
        (Gauge, _) | (_, Gauge) => (Gauge, false),
        (Unknown, _) | (_, Unknown) => (Unknown, false),
        _ => (Unknown, true),
    }
}

/// Both with the same schema or bounds, and whether bounds had to change.
pub(super) fn aligned(a: &Histogram, b: &Histogram) -> Result<(Histogram, Histogram, bool), Incompatible> {
    if a.has_custom_buckets() != b.has_custom_buckets() {
        return Err(Incompatible);
    }
    if !a.has_custom_buckets() {
        let schema = a.schema.min(b.schema);
        return Ok((coarser(a, schema), coarser(b, schema), false));
    }
    if a.custom_bounds == b.custom_bounds {
        return Ok((a.clone(), b.clone(), false));
    }
    let shared = |bound: &f64| b.custom_bounds.contains(bound);
    let bounds: Vec<f64> = a.custom_bounds.iter().copied().filter(shared).collect();
    Ok((with_bounds(a, &bounds), with_bounds(b, &bounds), true))
}

/// The same observations in an exponential schema that is not finer.
fn coarser(histogram: &Histogram, schema: i32) -> Histogram {
    let mut result = histogram.clone();
    let shift = u32::try_from(histogram.schema - schema).unwrap_or(0).min(31);
    if shift > 0 {
        let index = |index: i32| ((index - 1) >> shift) + 1;
        (result.positive_spans, result.positive_buckets) = moved(positive_pairs(histogram), index);
        (result.negative_spans, result.negative_buckets) = moved(negative_pairs(histogram), index);
        result.schema = schema;
    }
    result
}

/// The same observations in custom buckets with some of the bounds.
fn with_bounds(histogram: &Histogram, bounds: &[f64]) -> Histogram {
    let mut result = histogram.clone();
    let index = |index: i32| {
        let upper = histogram.upper_bound(index);
        i32::try_from(bounds.partition_point(|bound| *bound < upper)).unwrap_or(i32::MAX)
    };
    (result.positive_spans, result.positive_buckets) = moved(positive_pairs(histogram), index);
    result.custom_bounds = bounds.to_vec();
    result
}

fn moved(pairs: Pairs, index: impl Fn(i32) -> i32) -> (Vec<nave_model::histogram::Span>, Vec<f64>) {
    let mut all: BTreeMap<i32, f64> = BTreeMap::new();
    for (old, count) in pairs {
        *all.entry(index(old)).or_default() += count;
    }
    spans(&all.into_iter().collect::<Vec<_>>())
}

/// Widens the narrower zero bucket, or both, until they are equal.
pub(super) fn widen_zero_buckets(a: &mut Histogram, b: &mut Histogram) {
    while a.zero_threshold != b.zero_threshold {
        let wider = a.zero_threshold.max(b.zero_threshold);
        widen_to(if a.zero_threshold < wider { &mut *a } else { &mut *b }, wider);
    }
}

/// Widens the zero bucket to `threshold`, or to the end of the bucket that this would cut.
pub(super) fn widen_to(narrow: &mut Histogram, threshold: f64) {
    if narrow.zero_threshold >= threshold {
        return;
    }
    let (count, threshold) = zero_count(narrow, threshold);
    narrow.zero_count = count;
    narrow.zero_threshold = threshold;
    let schema = narrow.schema;
    let outside = |(index, _): &(i32, f64)| exponential_bound(index - 1, schema) >= threshold;
    let kept = |pairs: Pairs| spans(&pairs.into_iter().filter(outside).collect::<Vec<_>>());
    (narrow.positive_spans, narrow.positive_buckets) = kept(positive_pairs(narrow));
    (narrow.negative_spans, narrow.negative_buckets) = kept(negative_pairs(narrow));
}

/// The count of a zero bucket up to `threshold`, which grows to the end of a bucket that it cuts.
fn zero_count(histogram: &Histogram, mut threshold: f64) -> (f64, f64) {
    'again: loop {
        let mut count = histogram.zero_count;
        for bucket in positive(histogram).take_while(|bucket| bucket.lower < threshold) {
            count += bucket.count;
            if bucket.upper > threshold {
                if bucket.count != 0.0 {
                    threshold = bucket.upper;
                }
                break;
            }
        }
        for bucket in negative(histogram).take_while(|bucket| bucket.upper > -threshold) {
            count += bucket.count;
            if bucket.lower < -threshold {
                if bucket.count != 0.0 {
                    threshold = -bucket.lower;
                    continue 'again;
                }
                break;
            }
        }
        return (count, threshold);
    }
}

/// Whether the counter started again between `previous` and `current`.
pub(crate) fn is_reset(current: &Histogram, previous: &Histogram) -> bool {
    match current.counter_reset_hint {
        CounterResetHint::Reset => return true,
        CounterResetHint::NotReset => return false,
        CounterResetHint::Unknown | CounterResetHint::Gauge => {}
    }
    if current.count < previous.count || current.has_custom_buckets() != previous.has_custom_buckets() {
        return true;
    }
    if !current.has_custom_buckets() {
        if current.schema > previous.schema || current.zero_threshold < previous.zero_threshold {
            return true;
        }
        let (count, threshold) = zero_count(previous, current.zero_threshold);
        if threshold != current.zero_threshold || current.zero_count < count {
            return true;
        }
    }
    let Ok((mut current, mut previous, _)) = aligned(current, previous) else { return true };
    widen_zero_buckets(&mut current, &mut previous);
    let dropped = |current: Pairs, previous: Pairs| {
        let current: BTreeMap<i32, f64> = current.into_iter().collect();
        previous.iter().any(|(index, count)| current.get(index).copied().unwrap_or(0.0) < *count)
    };
    dropped(positive_pairs(&current), positive_pairs(&previous))
        || dropped(negative_pairs(&current), negative_pairs(&previous))
}
