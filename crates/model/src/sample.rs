//! Samples: a float or a native histogram at a time, and the marker that says a series has ended.

use std::sync::Arc;

use crate::histogram::Histogram;
use crate::label::Labels;
use crate::time::Timestamp;

/// The bits of the NaN that means "this series has ended here" (upstream `model/value`).
pub const STALE_NAN_BITS: u64 = 0x7ff0_0000_0000_0002;

/// The stale marker as a float. Compare with [`is_stale`], never with `==`.
#[must_use]
pub fn stale_nan() -> f64 {
    f64::from_bits(STALE_NAN_BITS)
}

/// Whether `value` is the stale marker; an ordinary NaN is not.
#[must_use]
#[inline]
pub fn is_stale(value: f64) -> bool {
    value.to_bits() == STALE_NAN_BITS
}

/// A float or a native histogram.
#[derive(Debug, Clone)]
pub enum Value {
    /// An ordinary number, or the stale marker.
    Float(f64),
    /// A native histogram; stale when its sum is the stale marker.
    Histogram(Arc<Histogram>),
}

/// One sample of one series.
#[derive(Debug, Clone)]
pub struct Sample {
    /// When.
    pub timestamp: Timestamp,
    /// What.
    pub value: Value,
}

/// A measured instance of what a series counts, usually with a trace id.
#[derive(Debug, Clone, PartialEq)]
pub struct Exemplar {
    /// Labels of the exemplar itself, such as `trace_id`.
    pub labels: Labels,
    /// The measured value.
    pub value: f64,
    /// When; `None` when the exposition gave no time.
    pub timestamp: Option<Timestamp>,
}
