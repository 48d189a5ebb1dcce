//! What a query gives back.

use nave_model::label::Labels;
use nave_model::sample;
use nave_model::select::Columns;
use nave_model::time::Timestamp;

/// The answer to a query.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The result.
    pub value: Value,
    /// What is probably wrong with the query or the data, with upstream's texts.
    pub warnings: Vec<String>,
    /// What may be wrong.
    pub infos: Vec<String>,
    /// What it took.
    pub stats: Stats,
    /// [`Stats::samples_total`] by step, where [`crate::QueryOptions::figures_per_step`] asked for it.
    pub samples_per_step: Vec<(Timestamp, u64)>,
    /// The plan as text, where [`crate::QueryOptions::explain`] asked for it.
    pub plan: Option<String>,
}

/// A result.
#[derive(Debug, Clone)]
pub enum Value {
    /// A number at a time.
    Scalar {
        /// When.
        timestamp: Timestamp,
        /// The number.
        value: f64,
    },
    /// A text at a time. Not UTF-8 escapes show as replacement characters.
    String {
        /// When.
        timestamp: Timestamp,
        /// The text.
        value: String,
    },
    /// One sample per series; in the order of `sort` and the like, else by labels.
    Vector(Vec<VectorSample>),
    /// Samples per series, sorted by labels. No series is empty.
    Matrix(Vec<Series>),
}

/// A sample of an instant vector.
#[derive(Debug, Clone)]
pub struct VectorSample {
    /// Of which series.
    pub labels: Labels,
    /// When it was evaluated.
    pub timestamp: Timestamp,
    /// A float or a histogram.
    pub value: sample::Value,
}

/// A series of a range result.
#[derive(Debug, Clone)]
pub struct Series {
    /// Its labels.
    pub labels: Labels,
    /// Its samples, ascending in time.
    pub columns: Columns,
}

/// What a query took.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Stats {
    /// Samples looked at: per step and series one for an instant selector, all in the window for a range
    /// selector (upstream `totalQueryableSamples`). A native histogram counts for the room it takes.
    pub samples_total: u64,
    /// The most samples held at once (upstream `peakSamples`).
    pub samples_peak: u64,
    /// Samples that the store gave; each once per selector.
    pub samples_read: u64,
    /// Series that selectors found.
    pub series: u64,
    /// Seconds in the queue.
    pub queue_seconds: f64,
    /// Seconds for parsing and planning.
    pub prepare_seconds: f64,
    /// Seconds of evaluation.
    pub evaluation_seconds: f64,
    /// The most bytes charged at once.
    pub memory_peak: usize,
}

impl Stats {
    /// Seconds in total.
    #[must_use]
    pub fn total_seconds(&self) -> f64 {
        self.queue_seconds + self.prepare_seconds + self.evaluation_seconds
    }
}
