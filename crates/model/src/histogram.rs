//! Native histograms: exponential buckets (schemas -4 to 8) or custom bounds (schema -53).
//!
//! Counts are floats; histograms that count in integers are widened on the way in and remember it,
//! so that they can be written back as they came. Layout and names follow upstream
//! `model/histogram`: spans say which bucket indexes are present, buckets hold absolute counts.

mod bound;
mod check;
mod classic;
mod layout;

pub use bound::exponential_bound;
pub use classic::Classic;

/// The coarsest exponential schema.
pub const SCHEMA_MIN: i32 = -4;
/// The finest exponential schema.
pub const SCHEMA_MAX: i32 = 8;

/// Schema of histograms with custom bounds.
pub const CUSTOM_BUCKETS_SCHEMA: i32 = -53;

/// What is known about a counter reset before this histogram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CounterResetHint {
    /// Must be found by comparing.
    #[default]
    Unknown,
    /// There was a reset.
    Reset,
    /// There was none.
    NotReset,
    /// Not a counter.
    Gauge,
}

/// A run of neighbouring buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Distance to the end of the previous span; for the first one, the index it starts at.
    pub offset: i32,
    /// How many buckets.
    pub length: u32,
}

/// A native histogram sample.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Histogram {
    /// Resolution, or [`CUSTOM_BUCKETS_SCHEMA`].
    pub schema: i32,
    /// Width of the zero bucket.
    pub zero_threshold: f64,
    /// Observations in the zero bucket.
    pub zero_count: f64,
    /// All observations.
    pub count: f64,
    /// Sum of all observed values; the stale marker when the series has ended.
    pub sum: f64,
    /// Which positive buckets are present.
    pub positive_spans: Vec<Span>,
    /// Absolute counts of the positive buckets.
    pub positive_buckets: Vec<f64>,
    /// Which negative buckets are present.
    pub negative_spans: Vec<Span>,
    /// Absolute counts of the negative buckets.
    pub negative_buckets: Vec<f64>,
    /// Upper bounds, ascending, when the schema is [`CUSTOM_BUCKETS_SCHEMA`].
    pub custom_bounds: Vec<f64>,
    /// What the writer knew about resets.
    pub counter_reset_hint: CounterResetHint,
    /// Whether the counts came as integers.
    pub integer: bool,
}
