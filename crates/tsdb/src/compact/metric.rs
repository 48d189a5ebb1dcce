//! What compaction counts, by upstream's names where upstream has one.

use nave_base::metric::{Counter, Gauge, Histogram, Registry};
use nave_model::select::Columns;

/// As upstream: 1 s to 4.5 h, each twice the one before.
const DURATION: &[f64] =
    &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0, 4096.0, 8192.0];
const CHUNK_BYTES: &[f64] =
    &[32.0, 48.0, 72.0, 108.0, 162.0, 243.0, 364.5, 546.75, 820.125, 1230.1875, 1845.28125, 2767.921875];
const CHUNK_SAMPLES: &[f64] = &[
    4.0,
    6.0,
    9.0,
    13.5,
    20.25,
    30.375,
    45.5625,
    68.34375,
    102.515625,
    153.7734375,
    230.66015625,
    345.990234375,
];
const CHUNK_RANGE: &[f64] =
    &[100.0, 400.0, 1600.0, 6400.0, 25600.0, 102400.0, 409600.0, 1638400.0, 6553600.0, 26214400.0];

/// The counters of a store's compaction.
#[derive(Debug)]
pub(crate) struct Metrics {
    pub(crate) compactions: Counter,
    pub(crate) failed: Counter,
    pub(crate) triggered: Counter,
    pub(crate) skipped: Counter,
    pub(crate) running: Gauge,
    pub(crate) duration: Histogram,
    pub(crate) chunk_bytes: Histogram,
    pub(crate) chunk_samples: Histogram,
    pub(crate) chunk_range: Histogram,
    pub(crate) cleanup: Histogram,
    pub(crate) conflicts: Counter,
    pub(crate) duplicates: Counter,
    pub(crate) damaged_pages: Counter,
    pub(crate) expired_series: Counter,
    pub(crate) time_retentions: Counter,
    pub(crate) size_retentions: Counter,
    pub(crate) input_bytes: Counter,
    pub(crate) output_bytes: Counter,
    pub(crate) rested: Counter,
    pub(crate) refused: Counter,
}

impl Metrics {
    pub(crate) fn register(registry: &Registry) -> Self {
        let counter = |name: &str, help: &'static str| registry.counter(name, help);
        let histogram = |name: &str, help: &'static str, bounds| registry.histogram(name, help, bounds);
        Self {
            compactions: counter("prometheus_tsdb_compactions_total", "Total number of compactions."),
            failed: counter(
                "prometheus_tsdb_compactions_failed_total",
                "Total number of failed compactions.",
            ),
            triggered: counter(
                "prometheus_tsdb_compactions_triggered_total",
                "Times that compaction looked for something to do.",
            ),
            skipped: counter(
                "prometheus_tsdb_compactions_skipped_total",
                "Compactions put off because there was no room for their output.",
            ),
            running: registry.gauge("nave_tsdb_compaction_running", "Whether a compaction runs."),
            duration: histogram(
                "prometheus_tsdb_compaction_duration_seconds",
                "Duration of compactions.",
                DURATION,
            ),
            chunk_bytes: histogram(
                "prometheus_tsdb_compaction_chunk_size_bytes",
                "Bytes of a series in a compacted file, on average.",
                CHUNK_BYTES,
            ),
            chunk_samples: histogram(
                "prometheus_tsdb_compaction_chunk_samples",
                "Samples of a series in a compacted file.",
                CHUNK_SAMPLES,
            ),
            chunk_range: histogram(
                "prometheus_tsdb_compaction_chunk_range_seconds",
                "Time from the first to the last sample of a series in a compacted file.",
                CHUNK_RANGE,
            ),
            cleanup: histogram(
                "prometheus_tsdb_tombstone_cleanup_seconds",
                "The time taken to write files again without what was deleted.",
                DURATION,
            ),
            conflicts: counter(
                "nave_tsdb_conflicts_total",
                "Samples dropped because another value was written first for their series and time.",
            ),
            duplicates: counter(
                "nave_tsdb_compaction_duplicates_total",
                "Samples that stood in several files, bit for bit, and stand in one now.",
            ),
            damaged_pages: counter(
                "nave_tsdb_compaction_damaged_pages_total",
                "Damaged pages that compaction left out.",
            ),
            expired_series: counter(
                "nave_tsdb_retention_rule_series_total",
                "Series of a window that were dropped because a rule keeps them for less than the rest.",
            ),
            time_retentions: counter(
                "prometheus_tsdb_time_retentions_total",
                "Files that were dropped for their age.",
            ),
            size_retentions: counter(
                "prometheus_tsdb_size_retentions_total",
                "Files that were dropped for the size limit.",
            ),
            input_bytes: counter("nave_tsdb_compaction_input_bytes_total", "Bytes of compacted files."),
            output_bytes: counter("nave_tsdb_compaction_output_bytes_total", "Bytes of the results."),
            rested: counter(
                "nave_tsdb_compaction_rest_seconds_total",
                "Time that compaction waited so that appends need not.",
            ),
            refused: counter(
                "nave_tsdb_full_writes_refused_total",
                "Writes refused because the size limit or the disk is full.",
            ),
        }
    }

    pub(crate) fn note_series(&self, columns: &Columns) {
        let (Some(first), Some(last)) = (columns.timestamps.first(), columns.timestamps.last()) else {
            return;
        };
        self.chunk_samples.observe(columns.len() as f64);
        self.chunk_range.observe(last.seconds() - first.seconds());
    }
}
