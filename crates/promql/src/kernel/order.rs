//! The order of values in `sort`, `topk`, `quantile` and medians: NaN stands before all numbers.

use std::cmp::Ordering;

/// Ascending, NaN first.
pub(crate) fn ascending(a: f64, b: f64) -> Ordering {
    match (a.is_nan(), b.is_nan()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
        (false, false) => a.partial_cmp(&b).unwrap_or(Ordering::Equal),
    }
}

/// Ascending as `sort` shows it: NaN last.
pub(crate) fn ascending_nan_last(a: f64, b: f64) -> Ordering {
    a.is_nan().cmp(&b.is_nan()).then_with(|| a.partial_cmp(&b).unwrap_or(Ordering::Equal))
}

/// Descending as `sort_desc` shows it: NaN last.
pub(crate) fn descending_nan_last(a: f64, b: f64) -> Ordering {
    a.is_nan().cmp(&b.is_nan()).then_with(|| b.partial_cmp(&a).unwrap_or(Ordering::Equal))
}
