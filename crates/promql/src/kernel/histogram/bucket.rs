//! Bucket indexes and bounds, and the way from spans to pairs and back.

use nave_model::histogram::{Histogram, Span};

/// Count per bucket index, ascending.
pub(super) type Pairs = Vec<(i32, f64)>;

/// A bucket with its bounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Bucket {
    pub(super) lower: f64,
    pub(super) upper: f64,
    pub(super) count: f64,
}

/// The buckets that the spans say are present.
pub(super) fn pairs(spans: &[Span], counts: &[f64]) -> Pairs {
    let mut pairs = Vec::with_capacity(counts.len());
    let mut counts = counts.iter();
    let mut index = 0_i32;
    for span in spans {
        index = index.saturating_add(span.offset);
        for _ in 0..span.length {
            let Some(count) = counts.next() else { return pairs };
            pairs.push((index, *count));
            index = index.saturating_add(1);
        }
    }
    pairs
}

/// Spans and counts of `pairs`, which ascend; empty buckets are left out.
pub(super) fn spans(pairs: &[(i32, f64)]) -> (Vec<Span>, Vec<f64>) {
    let (mut spans, mut counts): (Vec<Span>, Vec<f64>) = (Vec::new(), Vec::new());
    let mut next = 0_i32;
    for (index, count) in pairs.iter().filter(|(_, count)| *count != 0.0) {
        match spans.last_mut() {
            Some(span) if *index == next => span.length += 1,
            _ => spans.push(Span { offset: index.saturating_sub(next), length: 1 }),
        }
        counts.push(*count);
        next = index.saturating_add(1);
    }
    (spans, counts)
}

/// The positive buckets, ascending.
pub(super) fn positive(histogram: &Histogram) -> impl Iterator<Item = Bucket> + '_ {
    let bucket = |(index, count)| Bucket {
        lower: histogram.lower_bound(index),
        upper: histogram.upper_bound(index),
        count,
    };
    pairs(&histogram.positive_spans, &histogram.positive_buckets).into_iter().map(bucket)
}

/// The negative buckets, from zero downwards.
pub(super) fn negative(histogram: &Histogram) -> impl Iterator<Item = Bucket> + '_ {
    let bucket = |(index, count)| Bucket {
        lower: -histogram.upper_bound(index),
        upper: -histogram.lower_bound(index),
        count,
    };
    pairs(&histogram.negative_spans, &histogram.negative_buckets).into_iter().map(bucket)
}

/// All buckets, ascending, with the zero bucket when something is in it.
pub(super) fn all(histogram: &Histogram) -> Vec<Bucket> {
    let mut buckets: Vec<Bucket> = negative(histogram).collect();
    buckets.reverse();
    if histogram.zero_count > 0.0 {
        let threshold = histogram.zero_threshold;
        buckets.push(Bucket { lower: -threshold, upper: threshold, count: histogram.zero_count });
    }
    buckets.extend(positive(histogram));
    buckets
}

/// Whether two histograms say the same, however their spans are written. A NaN is equal to a NaN.
pub(crate) fn same(a: &Histogram, b: &Histogram) -> bool {
    let bits = |value: f64| if value.is_nan() { f64::NAN.to_bits() } else { value.to_bits() };
    let filled = |spans: &[Span], counts: &[f64]| -> Vec<(i32, u64)> {
        let filled = pairs(spans, counts).into_iter().filter(|(_, count)| *count != 0.0);
        filled.map(|(index, count)| (index, bits(count))).collect()
    };
    let buckets = |h: &Histogram| {
        let positive = filled(&h.positive_spans, &h.positive_buckets);
        (positive, filled(&h.negative_spans, &h.negative_buckets))
    };
    let totals = |h: &Histogram| [h.zero_threshold, h.zero_count, h.count].map(bits);
    a.schema == b.schema
        && totals(a) == totals(b)
        && (a.sum == b.sum || a.sum.is_nan() && b.sum.is_nan())
        && a.custom_bounds == b.custom_bounds
        && buckets(a) == buckets(b)
}
