//! The engine's own metrics, with upstream's names.

use nave_base::metric::{Counter, Gauge, Histogram, Registry, Summary};

use crate::answer::Stats;

/// Handles of `prometheus_engine_*`.
#[derive(Debug, Clone)]
pub(super) struct Metrics {
    queries: Gauge,
    samples: Counter,
    samples_read: Counter,
    queue: Slice,
    prepare: Slice,
    evaluation: Slice,
}

/// One slice of a query's time, as a summary and as a histogram.
#[derive(Debug, Clone)]
struct Slice {
    summary: Summary,
    histogram: Histogram,
}

impl Slice {
    fn observe(&self, seconds: f64) {
        self.summary.observe(seconds);
        self.histogram.observe(seconds);
    }
}

const BOUNDS: &[f64] = &[0.01, 0.1, 1.0, 10.0];

impl Metrics {
    pub(super) fn new(registry: &Registry, max_concurrency: usize) -> Self {
        let concurrent_max = registry
            .gauge("prometheus_engine_queries_concurrent_max", "The max number of concurrent queries.");
        concurrent_max.set(max_concurrency as f64);
        let summary =
            registry.summary_family("prometheus_engine_query_duration_seconds", "Query timings.", &["slice"]);
        let histogram = registry.histogram_family(
            "prometheus_engine_query_duration_histogram_seconds",
            "Query timings.",
            &["slice"],
            BOUNDS,
        );
        let slice = |name: &str| Slice { summary: summary.with(&[name]), histogram: histogram.with(&[name]) };
        Self {
            queries: registry.gauge(
                "prometheus_engine_queries",
                "The current number of queries being executed or waiting.",
            ),
            samples: registry.counter(
                "prometheus_engine_query_samples_total",
                "The total number of samples loaded by all queries.",
            ),
            samples_read: registry.counter(
                "prometheus_engine_query_samples_read_total",
                "The total number of samples read from the store by all queries.",
            ),
            queue: slice("queue_time"),
            prepare: slice("prepare_time"),
            evaluation: slice("inner_eval"),
        }
    }

    /// Counts a query until the result is dropped.
    pub(super) fn running(&self) -> Running {
        self.queries.add(1.0);
        Running(self.queries.clone())
    }

    /// Takes over what a finished query took.
    pub(super) fn observe(&self, stats: &Stats) {
        self.samples.add(stats.samples_total as f64);
        self.samples_read.add(stats.samples_read as f64);
        self.queue.observe(stats.queue_seconds);
        self.prepare.observe(stats.prepare_seconds);
        self.evaluation.observe(stats.evaluation_seconds);
    }
}

/// A query that is being executed.
pub(super) struct Running(Gauge);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.add(-1.0);
    }
}
