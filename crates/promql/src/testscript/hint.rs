//! Counter reset hints as a store gives them back.
//!
//! A store keeps runs of histograms without a reset in between (upstream: chunks). Inside a run it knows that
//! there was no reset; about the first one of a run it promises nothing, whatever the writer said.

use nave_model::histogram::{CounterResetHint, Histogram};
use nave_model::sample::is_stale;

use super::histogram::{Buckets, by_index};

/// The hint of `histogram` when `before` is the histogram right before it, if there is one.
pub(super) fn stored_hint(before: Option<&Histogram>, histogram: &Histogram) -> CounterResetHint {
    if histogram.counter_reset_hint == CounterResetHint::Gauge {
        return CounterResetHint::Gauge;
    }
    match before {
        Some(before) if continues(before, histogram) => CounterResetHint::NotReset,
        _ => CounterResetHint::Unknown,
    }
}

/// Whether `next` goes on counting where `before` stopped.
fn continues(before: &Histogram, next: &Histogram) -> bool {
    if before.counter_reset_hint == CounterResetHint::Gauge
        || next.counter_reset_hint == CounterResetHint::Reset
    {
        return false;
    }
    if is_stale(next.sum) {
        return true;
    }
    let grown = |before: Buckets, next: &Buckets| {
        before.into_iter().all(|(index, count)| count <= next.get(&index).copied().unwrap_or(0.0))
    };
    !is_stale(before.sum)
        && before.schema == next.schema
        && before.zero_threshold.to_bits() == next.zero_threshold.to_bits()
        && before.custom_bounds == next.custom_bounds
        && before.count <= next.count
        && before.zero_count <= next.zero_count
        && grown(
            by_index(&before.positive_spans, &before.positive_buckets),
            &by_index(&next.positive_spans, &next.positive_buckets),
        )
        && grown(
            by_index(&before.negative_spans, &before.negative_buckets),
            &by_index(&next.negative_spans, &next.negative_buckets),
        )
}
